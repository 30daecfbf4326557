#include "prepper/process/batch.h"

#include <algorithm>

#include "core/base/check.h"

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

UnixNanos BulkBatch::time(std::size_t entry) const {
  constexpr std::string_view kBefore = "{\"@timestamp\":\"";
  const std::string_view text = document(entry);
  const Result<UnixNanos> time = parse_rfc3339(text.substr(kBefore.size(), kRfc3339Size));
  NARU_CHECK(text.starts_with(kBefore) && time.has_value(), "the encoder writes @timestamp first");
  return *time;
}

BulkBatch retarget(const BulkBatch& batch, std::span<const std::shared_ptr<const IndexTarget>> targets) {
  BulkBatch out;
  out.attempts = batch.attempts;
  out.first_failed_at = batch.first_failed_at;
  out.sources = batch.sources;
  for (std::size_t i = 0; i < batch.entries.size(); ++i) {
    const auto known =
        std::ranges::find(out.targets, targets[i]->name, [](const auto& it) { return it->name; });
    const auto slot = static_cast<std::uint32_t>(known - out.targets.begin());
    if (known == out.targets.end()) {
      out.targets.push_back(targets[i]);
    }
    DocumentEntry entry = batch.entries[i];
    entry.begin = static_cast<std::uint32_t>(out.body.size());
    entry.target = slot;
    out.entries.push_back(entry);
    out.body += targets[i]->action_prefix;
    out.body += batch.id(i);
    out.body += kActionSuffix;
    out.body += batch.document(i);
  }
  return out;
}

}  // namespace naru::prepper
