// The inside of Store, shared by its source files.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "store/index.h"
#include "store/store.h"

namespace naru::store {

struct Template {
  std::string raw;  // as put
  std::vector<std::string> patterns;
  std::int64_t priority = 0;
  std::string mappings;  // JSON, empty: none
  Settings settings;
  std::set<std::string> aliases;
};

bool glob_match(std::string_view pattern, std::string_view text);  // `*` only
std::vector<std::string_view> split_list(std::string_view list);   // by commas, empty parts left out

struct Store::Impl {
  Impl(StoreConfig given, telemetry::Registry& registry);
  ~Impl();

  Result<void> load();
  Result<std::shared_ptr<Index>> load_index(const std::string& name, const std::string& json);
  void run();
  void maintain(UnixNanos now);

  std::shared_ptr<Index> find(std::string_view name) const;
  // An index or an alias of exactly one; null: neither.
  Outcome<std::shared_ptr<Index>> write_target(std::string_view name);
  // `through_aliases`: an alias stands for its indices. Without it a wildcard matches names of indices only
  // and a plain alias is refused.
  Outcome<std::vector<std::shared_ptr<Index>>> resolve(std::string_view pattern, bool missing_ok,
                                                       bool through_aliases = true) const;
  Outcome<std::shared_ptr<Index>> create(std::string_view name, std::string_view body, bool automatic);
  Result<void> drop(const std::shared_ptr<Index>& index);
  bool may_create(std::string_view name) const;
  std::string catalog_entry(const Index& index) const;
  IndexView view(const std::shared_ptr<Index>& index) const;
  std::size_t fields_max(const Index& index) const;

  // The newest live document with this id: its sequence or a pending mark. `index.mutex` is held.
  struct IdCache {
    std::map<std::uint64_t, IdsView> blocks;
  };
  Result<std::optional<std::uint64_t>> find_id(Index& index, std::uint64_t hash, std::string_view id,
                                               IdCache& cache) const;
  Outcome<std::shared_ptr<const Mapping>> learn(Index& index, const NewField& field);

  std::unique_ptr<BlockBuilder> take_builder();
  void give_builder(std::unique_ptr<BlockBuilder> builder);

  Result<void> join_small_blocks(const std::shared_ptr<Index>& index);
  Result<void> merge_runs(const std::shared_ptr<Index>& index);
  void check_disk();
  // Below the least free space, or writers already stand.
  bool disk_full() const { return flood || database->waiting_for_room(); }
  void enforce_retention(UnixNanos now);

  StoreConfig config;
  std::unique_ptr<Database> database;
  std::string cluster_uuid;

  mutable std::shared_mutex catalog;  // the maps; taken before any index's mutex
  std::map<std::string, std::shared_ptr<Index>, std::less<>> indices;
  std::map<std::string, Template, std::less<>> templates;
  Settings persistent, transient;
  std::uint32_t next_number = 1;
  std::vector<std::uint32_t> to_compact;

  mutable std::mutex offsets_mutex;
  std::map<std::string, std::uint64_t, std::less<>> offsets;

  std::mutex builders_mutex;
  std::vector<std::unique_ptr<BlockBuilder>> builders;

  std::atomic<bool> flood{false};
  std::atomic<bool> stopping{false};
  std::mutex wake_mutex;
  std::condition_variable wake;
  std::mutex maintain_mutex;
  std::thread worker;

  telemetry::Counter documents, duplicates, refused, joined, maintenance_failures;
  telemetry::Histogram bulk_seconds, search_seconds;
  std::shared_ptr<void> disk_gauge, flood_gauge;
};

}  // namespace naru::store
