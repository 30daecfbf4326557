#include "prepper/processors/enrichment.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

namespace naru::prepper {
namespace {

// Tells one version of a file from the next; empty: it is not there.
std::string stamp_of(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    return {};
  }
  return fmt::format("{}/{}/{}/{}.{}", info.st_dev, info.st_ino, info.st_size, info.st_mtim.tv_sec,
                     info.st_mtim.tv_nsec);
}

}  // namespace

Result<void> EnrichmentSlot::refresh() {
  const std::string stamp = stamp_of(path_);
  if (stamp == stamp_ && !stamp.empty()) {
    return {};
  }
  Result<std::shared_ptr<const EnrichmentFile>> file =
      stamp.empty() ? fail(ErrorCode::kNotFound, fmt::format("{}: {}", path_, std::strerror(errno)))
                    : load_();
  const std::lock_guard lock(mutex_);
  stamp_ = stamp;
  if (!file) {
    problem_ = file.error().message();
    return fail(file.error());
  }
  problem_.clear();
  file_ = std::move(*file);
  version_.fetch_add(1, std::memory_order_release);
  return {};
}

Result<std::shared_ptr<EnrichmentSlot>> EnrichmentStore::open(const std::string& path, const std::string& how,
                                                              LoadEnrichment load) {
  const std::lock_guard lock(mutex_);
  auto known = slots_.find({path, how});
  if (known == slots_.end()) {
    auto slot = std::make_shared<EnrichmentSlot>(path, std::move(load));
    NARU_TRY_VOID(slot->refresh());
    known = slots_.emplace(std::pair(path, how), std::move(slot)).first;
  }
  return known->second;
}

std::size_t EnrichmentStore::refresh() {
  std::vector<std::shared_ptr<EnrichmentSlot>> slots;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, slot] : slots_) {
      slots.push_back(slot);
    }
  }
  for (const auto& slot : slots) {
    static_cast<void>(slot->refresh());  // its problem is kept in the slot
  }
  return problems().size();
}

std::vector<std::string> EnrichmentStore::problems() const {
  std::vector<std::string> out;
  const std::lock_guard lock(mutex_);
  for (const auto& [name, slot] : slots_) {
    const std::lock_guard slot_lock(slot->mutex_);
    if (!slot->problem_.empty()) {
      out.push_back(slot->problem_);
    }
  }
  return out;
}

}  // namespace naru::prepper
