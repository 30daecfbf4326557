// The embedded search store: indices of JSON documents on one machine, behind OpenSearch's semantics.
//
// Layout and durability: docs/formats/embedded-store.md. What it is not: a cluster, a relevance ranking
// (every score is 1), a store for updates in place (an overwritten document costs its space until its index
// goes). Every method may be called from any thread; they block on the disk, so callers use threads of their
// own. StoreApi (store/api.h) is the HTTP face.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/telemetry/metrics.h"
#include "store/outcome.h"

namespace naru::store {

struct Index;
struct IndexView;

struct StoreConfig {
  std::string directory;
  std::string cluster_name = "naru";
  std::size_t cache_bytes = 32u << 20;         // index blocks of the engine
  std::size_t write_buffer_bytes = 32u << 20;  // up to four of them
  int zstd_level = 1;                          // of documents: higher is smaller and slower
  std::uint64_t disk_free_min = 512u << 20;    // below it bulks are answered 429 cluster_block_exception
  std::uint64_t disk_bytes_max = 0;     // above it the index with the oldest documents goes; 0: no limit
  std::uint32_t retention_days = 0;     // indices whose newest document is older go; 0: kept
  std::uint32_t maintain_millis = 500;  // how often the background work runs; 0: only maintain()
  std::size_t fields_max = 1000;        // of one mapping (index.mapping.total_fields.limit)
  std::size_t indices_max = 1000;
  std::uint64_t search_millis_max = 30'000;  // then a search answers what it has, with timed_out true
  std::size_t bulk_items_max = 200'000;      // of one request
};

// A position of the bus, stored with the documents that were made from it.
struct AppliedOffset {
  std::string key;
  std::uint64_t offset = 0;
};

struct BulkOptions {
  std::string_view index;  // for lines without _index; empty: they are an error
  std::optional<AppliedOffset> applied;
};

struct IndexSummary {
  std::string name, uuid;
  std::uint64_t documents = 0, deleted = 0, stored_bytes = 0, raw_bytes = 0;
  std::int64_t created_millis = 0;
};

class Store {
 public:
  // kConflict: the directory is in use. kCorrupt, kIo, kNoSpace, kPermissionDenied name what cannot be read.
  static Result<std::unique_ptr<Store>> open(StoreConfig config, telemetry::Registry& registry);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Before the end: a bulk that waits for room on the disk ends with an error, and so does any later one that
  // would have to wait.
  void give_up_on_a_full_disk();

  const StoreConfig& config() const;
  const std::string& cluster_uuid() const;

  // Runs one `_bulk` body and answers its JSON. When it returns, every item with status 200 or 201 is on disk
  // and searchable. An error is the answer to the whole request, of which nothing was stored.
  Outcome<std::string> bulk(std::string body, const BulkOptions& options);
  std::optional<std::uint64_t> applied_offset(std::string_view key) const;

  // `body` is a JSON object with settings, mappings and aliases, or empty.
  Outcome<void> create_index(std::string_view name, std::string_view body);
  // Wildcards and lists of index names. With `missing_ok` a plain name that does not exist is no error; an
  // alias always is, because it may stand for more than the caller has in mind.
  Outcome<void> drop_indices(std::string_view pattern, bool missing_ok);
  Outcome<void> extend_mapping(std::string_view pattern, std::string_view body);
  // {"actions":[{"add":{...}},{"remove":{...}}]}
  Outcome<void> update_aliases(std::string_view body);
  Outcome<void> set_alias(std::string_view pattern, std::string_view alias, bool add);

  Outcome<void> put_template(std::string_view name, std::string_view body);
  Outcome<void> drop_template(std::string_view name);
  // {"index_templates":[...]}; 404 resource_not_found_exception when a plain name is not there.
  Outcome<std::string> templates(std::string_view pattern) const;

  Outcome<void> put_settings(std::string_view body);  // {"persistent":{...},"transient":{...}}
  std::string cluster_settings(bool flat) const;      // flat: dotted names instead of objects

  // {"index":{"aliases":{},"mappings":{},"settings":{}}}, of which only the named parts are written.
  struct Parts {
    bool aliases = false, mappings = false, settings = false;
    bool flat = false;  // settings with dotted names
  };
  Outcome<std::string> describe(std::string_view pattern, Parts parts) const;
  // {"index":{"aliases":{...}}} of the indices of `pattern` that have an alias matching `alias` (empty: any
  // or none).
  Outcome<std::string> aliases(std::string_view pattern, std::string_view alias) const;
  Outcome<std::vector<IndexSummary>> summaries(std::string_view pattern) const;

  struct SearchOptions {
    bool count_only = false;          // `_count`
    bool ignore_unavailable = false;  // a plain name that does not exist is skipped
    UnixNanos now = 0;                // what date math calls now
    // Parameters of the URL that stand for members of the body.
    std::optional<std::uint64_t> size, from;
    std::optional<std::string> q, track_total_hits;
  };
  Outcome<std::string> search(std::string_view pattern, std::string_view body,
                              const SearchOptions& options) const;
  // GET /{index}/_doc/{id}: found or not is in the JSON, the flag says which.
  struct Document {
    bool found = false;
    std::string json;
  };
  Outcome<Document> document(std::string_view index, std::string_view id) const;

  std::uint64_t disk_bytes() const;
  // One round of the background work: joins small blocks, merges id runs, drops what retention says, frees
  // the space of dropped indices. Runs by itself every half second; `now` decides retention.
  void maintain(UnixNanos now);

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  Result<void> load_catalog();
  std::unique_ptr<Impl> impl_;
};

}  // namespace naru::store
