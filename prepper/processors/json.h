// Processor `json`: a JSON object in a text becomes attributes.
#pragma once

#include <memory>
#include <string>

#include "prepper/processors/builder.h"
#include "prepper/processors/processor.h"

namespace naru::prepper {

struct JsonOptions {
  std::string field = "body";
  std::string prefix;
  bool flatten = true;
  bool keep = true;
  std::uint32_t fields_max = 1'024;
  std::uint32_t depth_max = 16;
};
void describe(config::Schema<JsonOptions>& s);
std::unique_ptr<Processor> build(const JsonOptions& options, Builder& builder);

}  // namespace naru::prepper
