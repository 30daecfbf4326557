// The rules that `naru up` counts by when it is given none: files of config/rules that need nothing else.
#pragma once

#include <vector>

#include "core/rules/rule.h"

namespace naru {

std::vector<rules::RuleSet::File> builtin_rule_files();

}  // namespace naru
