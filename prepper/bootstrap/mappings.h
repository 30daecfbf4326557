// The declared index templates and promoted fields: those of config/mappings inside the program, or of a
// directory.
#pragma once

#include <map>
#include <memory>
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
  std::string text;  // with placeholders, see render_template()
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

// What a cluster decides about a template.
struct TemplateValues {
  std::uint32_t shards = 1;
  std::uint32_t replicas = 0;
  bool hot_tier = false;  // a node carries attribute temp: hot
  std::string refresh_interval = "60s";
};

// Fills {{shards}}, {{replicas}}, {{refresh_interval}} and {{hot_tier}}. A line whose placeholder has no
// value (no hot tier) is left out.
std::string render_template(std::string_view text, const TemplateValues& values);

// The files of config/mappings at build time.
std::string_view embedded_mapping(std::string_view file_name);

}  // namespace naru::prepper
