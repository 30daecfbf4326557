// Processor `enrich`: fields looked up in a table by the value of another.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "prepper/processors/builder.h"
#include "prepper/processors/processor.h"

namespace naru::prepper {

struct EnrichOptions {
  std::string table;
  std::string column;
  std::string field;
  std::map<std::string, std::string> set;
  bool overwrite = true;
  bool ignore_missing = true;
};
void describe(config::Schema<EnrichOptions>& s);
std::unique_ptr<Processor> build(const EnrichOptions& options, Builder& builder);

}  // namespace naru::prepper
