#include "prepper/count/repeats.h"

#include "core/base/bytes.h"
#include "core/base/check.h"

namespace naru::prepper {

// Sources are drawn at random, so any part of them is a hash.
std::size_t Repeats::IdHash::operator()(const SourceId& id) const {
  return load_le<std::uint64_t>(reinterpret_cast<const char*>(id.data()));
}

Repeats::Repeats(std::size_t sources_max) : sources_max_(sources_max) {
  NARU_CHECK(sources_max > 0, "at least one source is remembered");
}

bool Repeats::admit(const SourceId& source, std::uint64_t position, std::uint32_t origin) {
  const auto found = by_id_.find(source);
  if (found == by_id_.end()) {
    if (by_id_.size() == sources_max_) {
      by_id_.erase(newest_first_.back().id);
      newest_first_.pop_back();
      ++evicted_;
    }
    newest_first_.push_front({source, position, origin});
    by_id_.emplace(source, newest_first_.begin());
    return true;
  }
  Source& known = *found->second;
  if (position <= known.highest) {
    return false;
  }
  known.highest = position;
  known.origin = origin;
  newest_first_.splice(newest_first_.begin(), newest_first_, found->second);
  return true;
}

void Repeats::forget(std::uint32_t origin) {
  for (auto at = newest_first_.begin(); at != newest_first_.end();) {
    if (at->origin == origin) {
      by_id_.erase(at->id);
      at = newest_first_.erase(at);
    } else {
      ++at;
    }
  }
}

}  // namespace naru::prepper
