// Processor `dissect`: a text cut at fixed delimiters.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "prepper/processors/builder.h"
#include "prepper/processors/processor.h"

namespace naru::prepper {

struct DissectOptions {
  std::string field = "body";
  std::string pattern;
  std::string prefix;
};
void describe(config::Schema<DissectOptions>& s);
std::unique_ptr<Processor> build(const DissectOptions& options, Builder& builder);

}  // namespace naru::prepper
