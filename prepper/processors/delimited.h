// Processors `logfmt`, `key_value` and `csv`: texts whose parts are cut by delimiters.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "prepper/processors/builder.h"
#include "prepper/processors/processor.h"

namespace naru::prepper {

struct LogfmtOptions {
  std::string field = "body";
  std::string prefix;
  bool strict = false;
  std::uint32_t fields_max = 256;
};
struct KeyValueOptions {
  std::string field = "body";
  std::string prefix;
  std::string pair_separator = " ";
  std::string separator = "=";
  std::string trim = " \t\"'";
  std::uint32_t fields_max = 256;
};
struct CsvOptions {
  std::string field = "body";
  std::vector<std::string> columns;
  std::string separator = ",";
  std::string quote = "\"";
};
void describe(config::Schema<LogfmtOptions>& s);
void describe(config::Schema<KeyValueOptions>& s);
void describe(config::Schema<CsvOptions>& s);
std::unique_ptr<Processor> build(const LogfmtOptions& options, Builder& builder);
std::unique_ptr<Processor> build(const KeyValueOptions& options, Builder& builder);
std::unique_ptr<Processor> build(const CsvOptions& options, Builder& builder);

}  // namespace naru::prepper
