// Processors `grok` and `regex`: texts taken apart by patterns with named parts (RE2, linear in the text).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "prepper/processors/builder.h"
#include "prepper/processors/processor.h"

namespace naru::prepper {

struct GrokOptions {
  std::string field = "body";
  std::vector<std::string> patterns;
  std::map<std::string, std::string> definitions;
  std::string prefix;
};
struct RegexOptions {
  std::string field = "body";
  std::string pattern;
  std::string prefix;
};
void describe(config::Schema<GrokOptions>& s);
void describe(config::Schema<RegexOptions>& s);
std::unique_ptr<Processor> build(const GrokOptions& options, Builder& builder);
std::unique_ptr<Processor> build(const RegexOptions& options, Builder& builder);

// A grok pattern as RE2 sees it, and what its numbered groups are called.
struct GrokPattern {
  struct Part {
    int group;         // of the expression
    std::string name;  // of the attribute
    std::string type;  // empty: text
  };
  std::string expression;
  std::vector<Part> parts;
};
// `%{NAME}`, `%{NAME:field}` and `%{NAME:field:type}` replaced; `definitions` before the usual patterns.
// kInvalidArgument: a name that is not known, or names that lead in a circle.
Result<GrokPattern> expand_grok(std::string_view pattern,
                                const std::map<std::string, std::string>& definitions);

// The usual patterns. nullptr: no such name.
const char* find_grok_pattern(std::string_view name);

}  // namespace naru::prepper
