// Processors `enrich` and `geoip`: fields looked up in a file by the value of another.
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
struct GeoIpOptions {
  std::string database;
  std::string field;
  std::string prefix;
  std::string language = "en";
  bool ignore_missing = true;
};
void describe(config::Schema<GeoIpOptions>& s);
std::unique_ptr<Processor> build(const GeoIpOptions& options, Builder& builder);
void describe(config::Schema<EnrichOptions>& s);
std::unique_ptr<Processor> build(const EnrichOptions& options, Builder& builder);

}  // namespace naru::prepper
