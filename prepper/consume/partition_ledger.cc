#include "prepper/consume/partition_ledger.h"

#include <fmt/format.h>

#include <charconv>

#include "core/telemetry/ledger.h"

namespace naru::prepper {
namespace {

// docs/formats/commit-metadata.md
constexpr std::string_view kLetters = "acdumxplo";
static_assert(kLetters.size() == kFates);
constexpr char kStageSeparator = ';';

}  // namespace

LedgerCounts& LedgerCounts::operator+=(const LedgerCounts& other) {
  for (std::size_t i = 0; i < slots.size(); ++i) {
    slots[i] += other.slots[i];
  }
  return *this;
}

LedgerCounts& LedgerCounts::operator-=(const LedgerCounts& other) {
  for (std::size_t i = 0; i < slots.size(); ++i) {
    slots[i] -= other.slots[i];
  }
  return *this;
}

std::string LedgerCounts::text() const {
  std::string out;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (i == kFates) {
      out += kStageSeparator;
    }
    if (slots[i] > 0) {
      fmt::format_to(std::back_inserter(out), "{}{}", kLetters[i % kFates], slots[i]);
    }
  }
  return out;
}

std::optional<LedgerCounts> LedgerCounts::parse(std::string_view text) {
  LedgerCounts out;
  std::size_t stage = 0;
  while (!text.empty()) {
    if (text.front() == kStageSeparator) {
      text.remove_prefix(1);
      if (++stage == kStages) {
        return std::nullopt;
      }
      continue;
    }
    const std::size_t fate = kLetters.find(text.front());
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), value);
    if (fate == std::string_view::npos || error != std::errc() || out.slots[stage * kFates + fate] != 0) {
      return std::nullopt;
    }
    out.slots[stage * kFates + fate] = value;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  }
  return stage + 1 == kStages ? std::optional(out) : std::nullopt;
}

LedgerCounts LedgerTally::counts() const {
  LedgerCounts out;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    out.slots[i] = slots_[i].load(std::memory_order_relaxed);
  }
  return out;
}

PartitionLedger::PartitionLedger(const LedgerCounts& base) {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    slots_[i].store(base.slots[i], std::memory_order_relaxed);
  }
}

LedgerSeries::LedgerSeries(telemetry::Registry& registry, std::shared_ptr<const PartitionLedger> ledger,
                           const std::string& signal, const std::string& pipeline, const std::string& topic,
                           std::int32_t partition) {
  constexpr std::array<std::string_view, kStages> kStageNames{"prepper", "writer"};
  for (std::size_t i = 0; i < kStages; ++i) {
    const auto stage = static_cast<Stage>(i);
    const telemetry::Labels labels{{"stage", std::string(kStageNames[i])},
                                   {"signal", signal},
                                   {"pipeline", pipeline},
                                   {"topic", topic},
                                   {"partition", std::to_string(partition)}};
    for (std::size_t f = 0; f < kFates; ++f) {
      const auto fate = static_cast<Fate>(f);
      const telemetry::LedgerMetric& series = telemetry::kLedgerCounters[f];
      tokens_.push_back(registry.sampled_counter(
          std::string(series.name), std::string(series.help), labels,
          [ledger, stage, fate] { return ledger->value(stage, fate); }, ledger->value(stage, fate)));
    }
    tokens_.push_back(registry.sampled_gauge(
        std::string(telemetry::kLedgerInFlight.name), std::string(telemetry::kLedgerInFlight.help), labels,
        [ledger, stage] { return static_cast<double>(ledger->in_flight(stage)); }));
  }
}

}  // namespace naru::prepper
