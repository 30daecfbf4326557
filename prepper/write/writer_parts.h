// What the sending and the settling half of the writer (writer.cc, writer_settle.cc) share. Not for others.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "prepper/process/batch.h"

namespace naru::prepper {

inline constexpr std::string_view kCluster;  // the gate's name for the cluster as a whole
inline constexpr std::string_view kDependency = "opensearch";

// Calls with each message and how many of the documents at `positions` (empty: all) come from it, once per
// run of neighbours.
template <class Use>
void each_source(const BulkBatch& batch, std::span<const std::uint32_t> positions, Use&& use) {
  const std::size_t size = positions.empty() ? batch.entries.size() : positions.size();
  std::uint32_t run = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const auto source_at = [&](std::size_t k) {
      return batch.entries[positions.empty() ? k : positions[k]].source;
    };
    ++run;
    if (i + 1 == size || source_at(i + 1) != source_at(i)) {
      use(batch.sources[source_at(i)], std::exchange(run, 0));
    }
  }
}

inline std::vector<std::uint32_t> range(std::uint32_t begin, std::uint32_t end) {
  std::vector<std::uint32_t> out;
  for (; begin < end; ++begin) {
    out.push_back(begin);
  }
  return out;
}

}  // namespace naru::prepper
