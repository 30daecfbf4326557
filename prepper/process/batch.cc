#include "prepper/process/batch.h"

namespace naru::prepper {
namespace {

constexpr std::uint32_t kUnmapped = ~0U;

// The slot of `from[slot]` in `to`, which takes it when it is new.
template <class T>
std::uint32_t move_slot(std::uint32_t slot, const std::vector<T>& from, std::vector<T>& to,
                        std::vector<std::uint32_t>& map) {
  if (map[slot] == kUnmapped) {
    map[slot] = static_cast<std::uint32_t>(to.size());
    to.push_back(from[slot]);
  }
  return map[slot];
}

}  // namespace

BulkBatch extract(const BulkBatch& batch, std::span<const std::uint32_t> positions) {
  BulkBatch out;
  out.attempts = batch.attempts;
  out.first_failed_at = batch.first_failed_at;
  out.entries.reserve(positions.size());
  std::vector<std::uint32_t> sources(batch.sources.size(), kUnmapped);
  std::vector<std::uint32_t> targets(batch.targets.size(), kUnmapped);
  for (const std::uint32_t at : positions) {
    const DocumentEntry& entry = batch.entries[at];
    out.entries.push_back({static_cast<std::uint32_t>(out.body.size()),
                           move_slot(entry.source, batch.sources, out.sources, sources), entry.ordinal,
                           move_slot(entry.target, batch.targets, out.targets, targets)});
    out.body.append(batch.text(at));
  }
  return out;
}

}  // namespace naru::prepper
