// Which document ids an index holds: 64-bit hash of the id -> sequence number of the document.
//
// Why not one RocksDB key per id: measured 2.6 us to write and 4.3 us with a look-up, more than all else a
// document costs. Ids are random, so they are kept as sorted runs (built in memory, merged four to one) with
// a Bloom filter each; an id that is new is known to be so after one cache line per run. Runs are made from
// the blocks' own id parts, so a crash loses nothing: what no run covers is read again from the blocks.
//
// Answers candidates: equal hashes; the caller compares the ids themselves. Not thread-safe: the index's lock
// covers it. `merge` alone may run beside it (see there).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "store/database.h"

namespace naru::store {

struct IdEntry {
  std::uint64_t hash;
  std::uint64_t sequence;
};

std::uint64_t id_hash(std::string_view id);

// A table of hashes in memory; equal hashes may stand in it several times.
class RecentIds {
 public:
  void add(std::uint64_t hash, std::uint64_t value);
  // Replaces or removes the entry with this hash and value; it must exist.
  void replace(std::uint64_t hash, std::uint64_t value, std::uint64_t with);
  void remove(std::uint64_t hash, std::uint64_t value);
  template <class Take>
  void find(std::uint64_t hash, Take&& take) const {
    for (std::size_t slot = slots_.empty() ? 0 : hash & mask_;
         !slots_.empty() && slots_[slot].sequence != kFree; slot = (slot + 1) & mask_) {
      if (slots_[slot].hash == hash && slots_[slot].sequence != kGone) {
        take(slots_[slot].sequence);
      }
    }
  }
  std::size_t size() const { return used_; }
  std::vector<IdEntry> take_all();  // and empties the table

 private:
  static constexpr std::uint64_t kFree = ~0ull;
  static constexpr std::uint64_t kGone = ~0ull - 1;
  IdEntry* slot_of(std::uint64_t hash, std::uint64_t value);
  void grow();
  std::vector<IdEntry> slots_;
  std::size_t mask_ = 0;
  std::size_t used_ = 0;
};

class IdIndex {
 public:
  static constexpr std::size_t kRunEntries = 65'536;       // of a run made from memory
  static constexpr std::size_t kRunEntriesMax = 1u << 20;  // longer ones are not merged any more
  static constexpr std::size_t kFanIn = 4;
  static constexpr std::uint64_t kPending = 1ull << 63;  // entries of `recent` that no run may take yet

  IdIndex(Database& database, std::uint32_t index) : database_(database), index_(index) {}

  // Reads the list of runs. Ids of sequences from covered() on must then be added to recent().
  Result<void> open();
  std::uint64_t covered() const { return covered_; }
  RecentIds& recent() { return recent_; }

  // Appends the sequences (or pending marks) of every entry with this hash, newest last.
  Result<void> find(std::uint64_t hash, std::vector<std::uint64_t>& found);

  // Writes the entries of `recent` below `stable` as a run when there are enough of them.
  Result<void> flush(std::uint64_t stable);

  // Merging in two steps, so that the slow part needs no lock: begin_merge() under the lock names runs,
  // merge() reads and writes them without it (one caller at a time), end_merge() under the lock puts the
  // result in place.
  struct Merge {
    std::vector<std::uint32_t> from;
    std::uint32_t to = 0;
    std::uint64_t count = 0;
  };
  Merge begin_merge();
  Result<void> merge(Merge& merge) const;
  Result<void> end_merge(const Merge& merge);

  // Drops the filters from memory; they are read again when needed.
  void release();
  std::size_t memory_bytes() const;

 private:
  struct Run {
    std::uint32_t number = 0;
    std::uint64_t count = 0;
    bool loaded = false;
    std::string filter;
    std::vector<std::uint64_t> chunk_first;  // first hash of each chunk
  };
  std::string run_key(std::uint32_t run, char kind, std::uint32_t chunk = 0) const;
  std::string manifest() const;
  void put_run(Batch& batch, std::uint32_t number, const std::vector<IdEntry>& sorted) const;
  Result<void> load(Run& run);
  Result<std::string> read_chunk(std::uint32_t run, std::uint32_t chunk) const;

  Database& database_;
  std::uint32_t index_;
  RecentIds recent_;
  std::vector<Run> runs_;  // oldest first
  std::uint32_t next_run_ = 0;
  std::uint64_t covered_ = 0;
};

// Keys of an index begin with its number, big-endian, so that one range holds all of it.
std::string index_key(std::uint32_t index, char kind);
void append_be32(std::string& out, std::uint32_t value);
void append_be64(std::string& out, std::uint64_t value);
std::uint64_t load_be64(std::string_view bytes);

}  // namespace naru::store
