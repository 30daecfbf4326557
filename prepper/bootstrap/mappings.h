// The declared index templates and promoted fields: those of config/mappings inside the program, or of a
// directory.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/otlp/otlp.h"
#include "prepper/contract/contract.h"
#include "prepper/contract/promoted.h"

namespace naru::prepper {

struct DeclaredTemplate {
  otlp::Signal signal;
  std::string name;  // logs-otel-v1, otel-v1-apm-span, metrics-otel-v1
  std::string text;  // without settings, see index_template.h
};

struct Mappings {
  std::vector<DeclaredTemplate> templates;  // one per signal
  std::vector<Promoted> promoted;
  // What an index made from its template will know, by signal.
  std::map<otlp::Signal, std::shared_ptr<const Contract>> contracts;
};

// `directory` empty: the embedded files. A file that is missing in the directory is taken from the program.
// kInvalidArgument, kIo: names the file and what is wrong with it.
Result<Mappings> load_mappings(const std::string& directory);

// The template of a data set with a mapping of its own: `file` in `directory`. kInvalidArgument, kNotFound,
// kIo.
Result<std::string> load_mapping_file(const std::string& directory, const std::string& file,
                                      std::span<const Promoted> promoted);

// The files of config/mappings at build time.
std::string_view embedded_mapping(std::string_view file_name);

}  // namespace naru::prepper
