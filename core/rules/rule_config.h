// The YAML form of a rule file.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/config/config.h"
#include "core/rules/rule.h"

namespace naru::rules {

struct RuleGroup {
  std::string name;
  std::vector<Rule> rules;
};

struct RuleFile {
  std::vector<RuleGroup> groups;
};

void describe(config::Schema<Rule>& schema);
void validate(const Rule& rule, config::Errors& errors);
void describe(config::Schema<RuleGroup>& schema);
void describe(config::Schema<RuleFile>& schema);

}  // namespace naru::rules
