// One index: its mapping, its blocks and its ids. Private to the store.
#pragma once

#include <atomic>
#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store/block.h"
#include "store/database.h"
#include "store/id_index.h"
#include "store/mapping.h"

namespace naru::store {

using Settings = std::map<std::string, std::string>;  // "index.codec" -> "\"best_compression\"" (JSON)

using Deleted = std::vector<std::uint64_t>;  // sequences of overwritten documents, sorted

// A bulk between its id check and its commit. Lives on the stack of its thread.
struct Ticket {
  std::shared_future<bool> committed;
  const std::vector<std::string_view>* ids = nullptr;  // by item
};

struct Index {
  Index(Database& database, std::string index_name, std::uint32_t index_number)
      : name(std::move(index_name)), number(index_number), ids(database, index_number) {}

  const std::string name;
  const std::uint32_t number;
  std::string uuid;
  std::int64_t created_millis = 0;

  // Bulks that only create hold it shared from the id check to the commit, those that overwrite exclusively.
  std::shared_mutex overwrite;

  mutable std::mutex mutex;  // all below
  bool dropped = false;
  Settings settings;
  std::set<std::string> aliases;
  std::shared_ptr<const Mapping> mapping;
  std::vector<BlockInfo> blocks;  // ordered by first_sequence
  std::uint64_t next_sequence = 0;
  std::set<std::uint64_t> uncommitted;  // first sequences that were given out
  IdIndex ids;
  std::unordered_map<std::uint32_t, const Ticket*> tickets;
  std::uint32_t next_ticket = 0;
  std::shared_ptr<const Deleted> deleted;                     // null: none
  std::unordered_map<std::uint64_t, std::uint32_t> versions;  // by id hash, of overwritten documents
  std::uint64_t documents = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t raw_bytes = 0;
  std::uint64_t last_write = 0;  // monotonic nanoseconds

  const BlockInfo* block_of(std::uint64_t sequence) const;
  // Every sequence below it is committed or given up.
  std::uint64_t stable() const { return uncommitted.empty() ? next_sequence : *uncommitted.begin(); }
};

// Keys of the parts of a block.
enum class BlockPart : char { kIds = 'I', kColumns = 'C', kFilter = 'F', kChunk = 'S' };
std::string block_key(std::uint32_t index, std::uint64_t first_sequence, BlockPart part,
                      std::size_t chunk = 0);
// Where the parts of a block are: small ones are joined soon and then gone.
inline Space block_space(const BlockInfo& block) {
  return block.raw_bytes < kSmallBlock ? Space::kPassing : Space::kData;
}
std::string meta_key(std::uint32_t index, std::uint64_t first_sequence);

void put_block(Batch& batch, std::uint32_t index, const EncodedBlock& block);

// What a search sees of an index: nothing of it changes or goes away while it is held.
struct IndexView {
  std::shared_ptr<const Index> index;
  std::shared_ptr<const Mapping> mapping;
  std::shared_ptr<const Deleted> deleted;
  std::shared_ptr<const Snapshot> snapshot;
  const Database* database = nullptr;
  std::vector<BlockInfo> blocks;
  std::size_t result_window = 10'000;

  Result<std::string> part(const BlockInfo& block, BlockPart part, std::size_t chunk = 0) const;
  Result<IdsView> ids(const BlockInfo& block) const;
};

}  // namespace naru::store
