#include "alerting/rules/counting.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "core/base/check.h"

namespace naru::alerting {
namespace {

std::int64_t second_of(UnixNanos time) {
  return static_cast<std::int64_t>(time / kNanosPerSecond);
}

UnixNanos start_of(std::int64_t second) {
  return second <= 0 ? 0 : static_cast<UnixNanos>(second) * kNanosPerSecond;
}

Status worst_of(Status a, Status b) {
  return std::max(a, b);
}

}  // namespace

Counting::Counting(std::vector<CountingRule> rules, const CountingLimits& limits)
    : rules_(std::move(rules)), limits_(limits) {
  for (const CountingRule& rule : rules_) {
    NARU_CHECK(rule.window_s > 0, "a window needs at least one second");
    NARU_CHECK(!rule.caution_more_than || *rule.caution_more_than <= rule.critical_more_than,
               "CAUTION comes before CRITICAL");
  }
}

std::uint64_t Counting::horizon_s() const {
  std::uint64_t longest = 0;
  for (const CountingRule& rule : rules_) {
    longest = std::max(longest, std::uint64_t{rule.window_s} + rule.hold_s);
  }
  // Once for event times behind their receive times, once for the completion that waits for them, and one
  // second for each rounding.
  return longest + 2 * std::uint64_t{limits_.lateness_s} + 2;
}

std::uint64_t Counting::caution_threshold(const CountingRule& rule) const {
  return rule.caution_more_than.value_or(rule.critical_more_than);
}

Counting::Target* Counting::find_or_add(std::string_view name) {
  const auto found = targets_.find(name);
  if (found != targets_.end()) {
    return &found->second;
  }
  if (targets_.size() >= limits_.targets_max) {
    return nullptr;
  }
  Target& target = targets_[std::string(name)];
  target.groups.resize(rules_.size());
  return &target;
}

bool Counting::restore(const std::string& name, Status status, Status previous, UnixNanos at,
                       std::string_view rule_name) {
  const auto rule = std::ranges::find(rules_, rule_name, &CountingRule::name);
  Target& target = targets_[name];  // not limited: what was decided before must not be decided again
  target.groups.resize(rules_.size());
  target.status = status;
  target.decided_until = second_of(at) - 1;
  if (status == Status::kHealthy) {
    return true;
  }
  if (rule == rules_.end()) {
    target.floor = status;
    return false;
  }
  Group& group = target.groups[static_cast<std::size_t>(rule - rules_.begin())];
  group.level = status;
  // The earliest that the last full window can have ended: with the change on the way up; on the way down
  // behind the last one over the higher threshold. Counting again finds the true end.
  group.caution_until = status > previous ? second_of(at) : second_of(at) - std::int64_t{rule->hold_s};
  if (status == Status::kCritical) {
    group.critical_until = group.caution_until;
  }
  return true;
}

void Counting::resume(UnixNanos caught_up_to) {
  complete_until_ = std::max(complete_until_, complete_at(caught_up_to));
}

// The last window end that can get no more records.
std::int64_t Counting::complete_at(UnixNanos caught_up_to) const {
  return second_of(caught_up_to) - limits_.lateness_s - 1;
}

bool Counting::count(const Hit& hit, std::vector<Transition>& out) {
  Target* target = find_or_add(hit.target);
  if (target == nullptr) {
    return false;
  }
  const UnixNanos apart =
      hit.event_time > hit.received ? hit.event_time - hit.received : hit.received - hit.event_time;
  const bool trusted = hit.event_time != 0 && apart <= limits_.lateness_s * kNanosPerSecond;
  const UnixNanos counted_at = trusted ? hit.event_time : hit.received;
  add(target->groups[hit.rule], second_of(counted_at), hit);
  raise(*target, hit, counted_at, out);
  return true;
}

void Counting::add(Group& group, std::int64_t second, const Hit& hit) {
  auto at = group.counts.end();
  while (at != group.counts.begin() &&
         std::tie(std::prev(at)->second, std::prev(at)->origin) >= std::tie(second, hit.origin)) {
    --at;
  }
  if (at == group.counts.end() || at->second != second || at->origin != hit.origin) {
    at = group.counts.insert(at, Count{.second = second, .origin = hit.origin});
  }
  ++(hit.certain ? at->certain : at->possible);
  ++group.total;
  if (group.counts.size() > limits_.counts_per_target_max) {
    const Count& oldest = group.counts.front();
    group.total -= oldest.certain + oldest.possible;
    counts_dropped_ += oldest.certain + oldest.possible;
    group.counts.erase(group.counts.begin());
  }
}

// Looks at every window that the hit fell into.
void Counting::raise(Target& target, const Hit& hit, UnixNanos counted_at, std::vector<Transition>& out) {
  const CountingRule& rule = rules_[hit.rule];
  Group& group = target.groups[hit.rule];
  const std::uint64_t caution_over = caution_threshold(rule);
  const std::int64_t second = second_of(counted_at);
  const std::int64_t window = rule.window_s;
  const std::int64_t last_end = second + window - 1;
  if (group.total <= caution_over || group.critical_until >= last_end) {
    return;  // no window can be over, or none can tell anything new
  }

  // The window that ends with `end` holds the counts [from, to).
  auto from = group.counts.begin();
  auto to = from;
  std::uint64_t certain = 0;
  std::uint64_t all = 0;
  std::uint64_t fullest_certain = 0;
  std::uint64_t fullest = 0;
  for (std::int64_t end = second; end <= last_end; ++end) {
    for (; to != group.counts.end() && to->second <= end; ++to) {
      certain += to->certain;
      all += to->certain + to->possible;
    }
    for (; from != to && from->second <= end - window; ++from) {
      certain -= from->certain;
      all -= from->certain + from->possible;
    }
    // What was decided before is not decided again, but how long it holds follows from these windows too.
    const bool undecided = end > target.decided_until;
    if (certain > rule.critical_more_than) {
      group.critical_until = std::max(group.critical_until, end);
      fullest_certain = undecided ? std::max(fullest_certain, certain) : fullest_certain;
    }
    if (all > caution_over) {
      group.caution_until = std::max(group.caution_until, end);
      fullest = undecided ? std::max(fullest, all) : fullest;
    }
  }
  const Status level = fullest_certain > 0 ? Status::kCritical
                       : fullest > 0       ? Status::kCaution
                                           : Status::kHealthy;
  group.level = worst_of(group.level, level);
  if (level <= target.status) {
    return;
  }
  const Status previous = std::exchange(target.status, level);
  const UnixNanos at = std::max(counted_at, start_of(target.decided_until + 1));
  target.decided_until = second_of(at) - 1;
  out.push_back({.target = std::string(hit.target),
                 .status = level,
                 .previous = previous,
                 .at = at,
                 .rule = hit.rule,
                 .count = level == Status::kCritical ? fullest_certain : fullest,
                 .more_than = level == Status::kCritical ? rule.critical_more_than : caution_over,
                 .origin = hit.origin,
                 .offset = hit.offset});
}

void Counting::advance(UnixNanos caught_up_to, std::vector<Transition>& out) {
  const std::int64_t complete = complete_at(caught_up_to);
  if (complete <= complete_until_) {
    return;
  }
  complete_until_ = complete;
  for (auto& [name, target] : targets_) {
    for (std::size_t rule = 0; rule < rules_.size(); ++rule) {
      Group& group = target.groups[rule];
      lower(name, target, rule, out);
      const auto kept = std::ranges::find_if(group.counts, [&](const Count& count) {
        return count.second > complete - std::int64_t{rules_[rule].window_s};
      });
      for (auto old = group.counts.begin(); old != kept; ++old) {
        group.total -= old->certain + old->possible;
      }
      group.counts.erase(group.counts.begin(), kept);
    }
  }
}

// One step down at a time, each at its own moment, so that the events do not depend on how far time jumped.
void Counting::lower(const std::string& name, Target& target, std::size_t rule,
                     std::vector<Transition>& out) {
  Group& group = target.groups[rule];
  const std::int64_t hold = rules_[rule].hold_s;
  while (group.level != Status::kHealthy) {
    const bool critical = group.level == Status::kCritical;
    const std::int64_t quiet_until = (critical ? group.critical_until : group.caution_until) + hold;
    if (complete_until_ < quiet_until) {
      return;
    }
    group.level =
        critical && group.caution_until > group.critical_until ? Status::kCaution : Status::kHealthy;
    Status worst = target.floor;
    for (const Group& other : target.groups) {
      worst = worst_of(worst, other.level);
    }
    if (worst >= target.status) {
      continue;  // another rule holds the target where it is
    }
    const Status previous = std::exchange(target.status, worst);
    const UnixNanos at = std::max(start_of(quiet_until + 1), start_of(target.decided_until + 1));
    target.decided_until = second_of(at) - 1;
    out.push_back(
        {.target = name,
         .status = worst,
         .previous = previous,
         .at = at,
         .rule = rule,
         .more_than = critical ? rules_[rule].critical_more_than : caution_threshold(rules_[rule])});
  }
}

void Counting::settle(UnixNanos settled) {
  const std::int64_t settled_s = second_of(settled) - limits_.lateness_s;
  std::erase_if(targets_, [&](const auto& entry) {
    const Target& target = entry.second;
    return target.status == Status::kHealthy && target.decided_until < settled_s &&
           std::ranges::all_of(
               target.groups,
               [](const Group& group) { return group.level == Status::kHealthy && group.counts.empty(); });
  });
}

void Counting::forget(std::uint32_t origin) {
  for (auto& [name, target] : targets_) {
    for (Group& group : target.groups) {
      std::erase_if(group.counts, [&](const Count& count) {
        if (count.origin != origin) {
          return false;
        }
        group.total -= count.certain + count.possible;
        return true;
      });
    }
  }
}

}  // namespace naru::alerting
