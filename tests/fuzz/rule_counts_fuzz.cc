// Records of naru.rule-counts: key and value, as a broken or forging counter may write them.
#include "alerting/rules/evaluator.h"
#include "core/rules/counts.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace naru;
  fuzz::Input input(data, size);
  const std::string_view key = input.until('\0');
  const Result<rules::Feed> feed = rules::parse_feed(key);
  if (feed) {
    fuzz::must(rules::format_feed(*feed) == key, "a feed has one name");
  }
  const Result<rules::Counts> counts = rules::parse_counts(input.rest());
  if (!counts) {
    return 0;
  }
  for (const std::string& value : rules::encode(*counts)) {
    fuzz::must(rules::parse_counts(value).has_value(), "what is encoded can be read");
  }
  static const auto kRules = rules::RuleSet::compile(
      {{"r.yaml",
        "groups: [{name: g, rules: [{alert: A, by: {s: body}, critical_above: 100, target: t}]}]"}});
  fuzz::must(kRules.has_value(), kRules ? "" : kRules.error().message().c_str());
  alerting::Evaluator evaluator({.lateness = std::chrono::seconds{10},
                                 .blind_after = std::chrono::milliseconds{5'000},
                                 .groups_max = 100});
  std::vector<alerting::LevelChange> changes;
  constexpr UnixNanos kNow = 1'795'000'000 * kNanosPerSecond;
  evaluator.use(*kRules, kNow, changes);
  rules::Counts mine = *counts;
  for (rules::RuleCount& rule : mine.rules) {
    rule.rule = (*kRules)->rules()[0].fingerprint();
  }
  const rules::Feed where = feed ? *feed : rules::Feed{"c", "t", 0};
  evaluator.count(where, mine, changes);
  evaluator.count(where, mine, changes);
  evaluator.tick(kNow + kNanosPerSecond, changes);
  fuzz::must(evaluator.groups() <= 100, "no more groups than allowed");
  return 0;
}
