// Rule files, as people write them.
#include "core/rules/rule.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace naru;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto rules = rules::RuleSet::compile({{"r.yaml", text}});
  if (!rules) {
    fuzz::must(!rules.error().message().empty(), "an error says what is wrong");
    return 0;
  }
  for (const rules::Rule& rule : (*rules)->rules()) {
    fuzz::must((*rules)->find(rule.fingerprint()) != nullptr, "a rule is found by its fingerprint");
  }
  return 0;
}
