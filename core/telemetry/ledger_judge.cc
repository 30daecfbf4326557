#include "core/telemetry/ledger_judge.h"

#include <algorithm>
#include <cmath>

namespace naru::telemetry {
namespace {

constexpr std::array<std::string_view, 4> kStages = {"agent", "collector", "prepper", "writer"};

std::size_t rank(std::string_view stage) {
  return static_cast<std::size_t>(std::ranges::find(kStages, stage) - kStages.begin());
}

}  // namespace

const std::array<LedgerColumn, 10> kLedgerColumns = {{
    {"accepted_total", "accepted", &LedgerCounts::accepted},
    {"created_total", "created", &LedgerCounts::created},
    {"delivered_total", "delivered", &LedgerCounts::delivered},
    {"duplicate_total", "duplicate", &LedgerCounts::duplicate},
    {"merged_total", "merged", &LedgerCounts::merged},
    {"deadlettered_total", "deadlettered", &LedgerCounts::deadlettered},
    {"parked_total", "parked", &LedgerCounts::parked},
    {"dropped_total", "dropped", &LedgerCounts::dropped},
    {"lost_total", "lost", &LedgerCounts::lost},
    {"in_flight", "in_flight", &LedgerCounts::in_flight},
}};

std::strong_ordering LedgerKey::operator<=>(const LedgerKey& other) const {
  const auto by_rank = rank(stage) <=> rank(other.stage);
  const auto by_stage = by_rank != 0 ? by_rank : stage <=> other.stage;
  return by_stage != 0 ? by_stage : signal <=> other.signal;
}

void add_to_ledger(LedgerSample& ledger, const Exposition& page) {
  for (const MetricSample& sample : page.samples) {
    const auto stage = sample.labels.find("stage");
    const auto signal = sample.labels.find("signal");
    if (!sample.name.starts_with(kLedgerPrefix) || stage == sample.labels.end() ||
        signal == sample.labels.end() || !(std::abs(sample.value) < 9e15)) {  // also NaN: no count of ours
      continue;
    }
    const std::string_view metric = std::string_view(sample.name).substr(kLedgerPrefix.size());
    const auto column = std::ranges::find(kLedgerColumns, metric, &LedgerColumn::metric);
    if (column != kLedgerColumns.end()) {
      ledger[{stage->second, signal->second}].*column->count += std::llround(sample.value);
    }
  }
}

void LedgerJudge::look(const LedgerSample& sample, std::uint64_t now_ns) {
  first_ns_ = first_ns_ == 0 ? now_ns : first_ns_;
  now_ns_ = now_ns;
  for (const auto& [key, counts] : sample) {
    const auto [at, is_new] =
        rows_.try_emplace(key, Watched{.counts = counts, .same_since = now_ns, .off_since = {}});
    Watched& row = at->second;
    const std::int64_t before = is_new ? 0 : row.counts.difference();
    const std::int64_t difference = counts.difference();
    if (!is_new && counts == row.counts) {
      ++row.looks_same;
    } else {
      row.counts = counts;
      row.same_since = now_ns;
      row.looks_same = 1;
    }
    if (difference == 0) {
      row.off_since.reset();
    } else if (!row.off_since || (before < 0) != (difference < 0)) {
      row.off_since = now_ns;
    }
  }
}

bool LedgerJudge::unbalanced(const Watched& row) const {
  return row.off_since &&
         (now_ns_ - row.same_since >= config_.quiet_ns || now_ns_ - *row.off_since >= config_.settle_ns);
}

bool LedgerJudge::decided() const {
  const std::uint64_t watched_ns = now_ns_ - first_ns_;
  return watched_ns >= 3 * config_.settle_ns || std::ranges::all_of(rows_, [&](const auto& entry) {
           const Watched& row = entry.second;
           if (row.off_since) {
             return unbalanced(row);
           }
           return row.looks_same > 1 || watched_ns >= config_.settle_ns;
         });
}

std::vector<LedgerJudge::Row> LedgerJudge::verdict() const {
  std::vector<Row> out;
  for (const auto& [key, row] : rows_) {
    out.push_back({key, row.counts, !unbalanced(row)});
  }
  return out;
}

}  // namespace naru::telemetry
