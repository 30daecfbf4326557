#include "naru/ledger/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "core/base/json_text.h"
#include "naru/up/progress.h"

namespace naru {
namespace {

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
    for (const telemetry::LedgerColumn& column : telemetry::kLedgerColumns) {
      out += fmt::format(",\"{}\":{}", column.name, row.counts.*column.count);
    }
    out += fmt::format(",\"difference\":{},\"balanced\":{}}}\n", row.counts.difference(), row.balanced);
  }
  return out;
}

}  // namespace naru
