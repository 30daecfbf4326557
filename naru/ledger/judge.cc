#include "naru/ledger/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include "core/base/json_text.h"
#include "naru/up/progress.h"

namespace naru {
namespace {

constexpr std::array<std::string_view, 4> kStages = {"agent", "collector", "prepper", "writer"};

struct Column {
  std::string_view metric;  // behind naru_records_
  std::string_view name;
  std::int64_t LedgerCounts::* count;
};
constexpr std::array<Column, 10> kColumns = {{
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
constexpr std::string_view kPrefix = "naru_records_";

std::size_t rank(std::string_view stage) {
  return static_cast<std::size_t>(std::ranges::find(kStages, stage) - kStages.begin());
}

std::string signed_thousands(std::int64_t number) {
  return (number < 0 ? "-" : "") + with_thousands(static_cast<std::uint64_t>(std::abs(number)));
}

std::string_view what_to_look_at(std::string_view stage) {
  if (stage == "agent") {
    return "the log of naru-agent and its metrics naru_agent_*";
  }
  if (stage == "collector") {
    return "the log of naru-collector and its metrics naru_collector_*";
  }
  return "the log of naru-prepper and its metrics naru_prepper_*";
}

}  // namespace

std::strong_ordering LedgerKey::operator<=>(const LedgerKey& other) const {
  const auto by_rank = rank(stage) <=> rank(other.stage);
  const auto by_stage = by_rank != 0 ? by_rank : stage <=> other.stage;
  return by_stage != 0 ? by_stage : signal <=> other.signal;
}

void add_to_ledger(LedgerSample& ledger, const telemetry::Exposition& page) {
  for (const telemetry::MetricSample& sample : page.samples) {
    const auto stage = sample.labels.find("stage");
    const auto signal = sample.labels.find("signal");
    if (!sample.name.starts_with(kPrefix) || stage == sample.labels.end() || signal == sample.labels.end() ||
        !(std::abs(sample.value) < 9e15)) {  // also NaN: no count of ours
      continue;
    }
    const std::string_view metric = std::string_view(sample.name).substr(kPrefix.size());
    const auto column = std::ranges::find(kColumns, metric, &Column::metric);
    if (column != kColumns.end()) {
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

std::string explain(std::span<const LedgerJudge::Row> rows) {
  std::string out;
  for (const LedgerJudge::Row& row : rows) {
    if (row.balanced) {
      continue;
    }
    const std::int64_t difference = row.counts.difference();
    const std::uint64_t records = static_cast<std::uint64_t>(std::abs(difference));
    out += fmt::format("{}stage {} does not balance, {} {} of signal {} {}: look at {}",
                       out.empty() ? "" : "; ", row.key.stage, with_thousands(records),
                       records == 1 ? "record" : "records", row.key.signal,
                       difference > 0 ? "went in and cannot be found" : "came out that never went in",
                       what_to_look_at(row.key.stage));
  }
  return out;
}

std::string ledger_table(std::span<const LedgerJudge::Row> rows) {
  std::vector<std::vector<std::string>> cells = {{"STAGE", "SIGNAL", "ACCEPTED", "CREATED",
                                                  "DELIVERED (DUPLICATE)", "MERGED", "DEADLETTERED", "PARKED",
                                                  "DROPPED", "LOST", "IN FLIGHT", "DIFFERENCE"}};
  for (const LedgerJudge::Row& row : rows) {
    const LedgerCounts& counts = row.counts;
    cells.push_back(
        {row.key.stage, row.key.signal, signed_thousands(counts.accepted), signed_thousands(counts.created),
         fmt::format("{} ({})", signed_thousands(counts.delivered), signed_thousands(counts.duplicate)),
         signed_thousands(counts.merged), signed_thousands(counts.deadlettered),
         signed_thousands(counts.parked), signed_thousands(counts.dropped), signed_thousands(counts.lost),
         signed_thousands(counts.in_flight), signed_thousands(counts.difference())});
  }
  std::vector<std::size_t> widths(cells.front().size());
  for (const auto& line : cells) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      widths[i] = std::max(widths[i], line[i].size());
    }
  }
  std::string out;
  for (const auto& line : cells) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      out += i < 2 ? fmt::format("{:<{}}", line[i], widths[i]) : fmt::format("  {:>{}}", line[i], widths[i]);
      out += i == 0 ? "  " : "";
    }
    out += '\n';
  }
  return out;
}

std::string ledger_json(std::span<const LedgerJudge::Row> rows) {
  std::string out;
  for (const LedgerJudge::Row& row : rows) {
    out += "{\"stage\":" + json_string(row.key.stage) + ",\"signal\":" + json_string(row.key.signal);
    for (const Column& column : kColumns) {
      out += fmt::format(",\"{}\":{}", column.name, row.counts.*column.count);
    }
    out += fmt::format(",\"difference\":{},\"balanced\":{}}}\n", row.counts.difference(), row.balanced);
  }
  return out;
}

}  // namespace naru
