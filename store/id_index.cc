#include "store/id_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "core/base/bytes.h"
#include "core/base/check.h"
#include "core/base/hash.h"
#include "store/token_filter.h"

namespace naru::store {
namespace {

constexpr std::size_t kChunkEntries = 128;  // one look-up reads one chunk
constexpr std::size_t kEntryBytes = 16;     // in memory
constexpr std::size_t kStoredBytes = 14;    // hash u64, 48 bits of sequence
constexpr std::uint32_t kFilterBits = 16;

std::unexpected<Error> corrupt(std::uint32_t index, std::uint32_t run, std::string_view what) {
  return fail(ErrorCode::kCorrupt, fmt::format("id run {} of index number {}: {}", run, index, what));
}

IdEntry entry_at(std::string_view chunk, std::size_t at) {
  IdEntry entry{load_le<std::uint64_t>(chunk.data() + at * kStoredBytes), 0};
  std::memcpy(&entry.sequence, chunk.data() + at * kStoredBytes + 8, 6);
  return entry;
}

}  // namespace

void append_be32(std::string& out, std::uint32_t value) {
  append_le(out, __builtin_bswap32(value));
}
void append_be64(std::string& out, std::uint64_t value) {
  append_le(out, __builtin_bswap64(value));
}
std::uint64_t load_be64(std::string_view bytes) {
  return __builtin_bswap64(load_le<std::uint64_t>(bytes.data()));
}
std::string index_key(std::uint32_t index, char kind) {
  std::string key;
  append_be32(key, index);
  key += kind;
  return key;
}

std::uint64_t id_hash(std::string_view id) {
  const std::uint64_t hash = xxh3_64(id);
  return hash + (hash == 0);
}

IdEntry* RecentIds::slot_of(std::uint64_t hash, std::uint64_t value) {
  for (std::size_t slot = hash & mask_;; slot = (slot + 1) & mask_) {
    NARU_CHECK(slots_[slot].sequence != kFree, "an id that was added before");
    if (slots_[slot].hash == hash && slots_[slot].sequence == value) {
      return &slots_[slot];
    }
  }
}

void RecentIds::add(std::uint64_t hash, std::uint64_t value) {
  if (slots_.size() < 2 * (used_ + 1)) {
    grow();
  }
  std::size_t slot = hash & mask_;
  while (slots_[slot].sequence != kFree) {
    slot = (slot + 1) & mask_;
  }
  slots_[slot] = {hash, value};
  ++used_;
}

void RecentIds::replace(std::uint64_t hash, std::uint64_t value, std::uint64_t with) {
  slot_of(hash, value)->sequence = with;
}
void RecentIds::remove(std::uint64_t hash, std::uint64_t value) {
  slot_of(hash, value)->sequence = kGone;
}

void RecentIds::grow() {
  std::vector<IdEntry> old = std::move(slots_);
  slots_.assign(std::max<std::size_t>(1024, old.size() * 2), {0, kFree});
  mask_ = slots_.size() - 1;
  used_ = 0;
  for (const IdEntry& entry : old) {
    if (entry.sequence < kGone) {
      std::size_t slot = entry.hash & mask_;
      while (slots_[slot].sequence != kFree) {
        slot = (slot + 1) & mask_;
      }
      slots_[slot] = entry;
      ++used_;
    }
  }
}

std::vector<IdEntry> RecentIds::take_all() {
  std::vector<IdEntry> all;
  all.reserve(used_);
  for (const IdEntry& entry : slots_) {
    if (entry.sequence < kGone) {
      all.push_back(entry);
    }
  }
  std::ranges::fill(slots_, IdEntry{0, kFree});
  used_ = 0;
  return all;
}

std::string IdIndex::run_key(std::uint32_t run, char kind, std::uint32_t chunk) const {
  std::string key = index_key(index_, 'R');
  append_be32(key, run);
  key += kind;
  append_be32(key, chunk);
  return key;
}

std::string IdIndex::manifest() const {
  std::string out;
  append_le<std::uint64_t>(out, covered_);
  append_le<std::uint32_t>(out, next_run_);
  append_le<std::uint32_t>(out, static_cast<std::uint32_t>(runs_.size()));
  for (const Run& run : runs_) {
    append_le<std::uint32_t>(out, run.number);
    append_le<std::uint64_t>(out, run.count);
  }
  append_le<std::uint32_t>(out, crc32c(out));
  return out;
}

Result<void> IdIndex::open() {
  NARU_TRY(const std::optional<std::string> stored, database_.get(Space::kCatalog, index_key(index_, 'R')));
  if (!stored) {
    return {};
  }
  const std::string& bytes = *stored;
  if (bytes.size() < 20 || crc32c(std::string_view(bytes).substr(0, bytes.size() - 4)) !=
                               load_le<std::uint32_t>(bytes.data() + bytes.size() - 4)) {
    return corrupt(index_, 0, "the list of runs fails its checksum");
  }
  covered_ = load_le<std::uint64_t>(bytes.data());
  next_run_ = load_le<std::uint32_t>(bytes.data() + 8);
  const auto count = load_le<std::uint32_t>(bytes.data() + 12);
  if (bytes.size() != 20 + count * 12ull) {
    return corrupt(index_, 0, "the list of runs has an impossible length");
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    Run run;
    run.number = load_le<std::uint32_t>(bytes.data() + 16 + i * 12);
    run.count = load_le<std::uint64_t>(bytes.data() + 20 + i * 12);
    runs_.push_back(std::move(run));
  }
  return {};
}

void IdIndex::put_run(Batch& batch, std::uint32_t number, const std::vector<IdEntry>& sorted) const {
  std::vector<std::uint64_t> hashes;
  hashes.reserve(sorted.size());
  std::string head;
  std::string chunk;
  for (std::size_t first = 0; first < sorted.size(); first += kChunkEntries) {
    const std::size_t last = std::min(first + kChunkEntries, sorted.size());
    append_le<std::uint64_t>(head, sorted[first].hash);
    chunk.clear();
    for (std::size_t i = first; i < last; ++i) {
      append_le<std::uint64_t>(chunk, sorted[i].hash);
      // 48 bits of sequence number: 281 million million documents an index.
      chunk.append(reinterpret_cast<const char*>(&sorted[i].sequence), 6);
      hashes.push_back(sorted[i].hash);
    }
    append_le<std::uint32_t>(chunk, crc32c(chunk));
    batch.put(Space::kPassing, run_key(number, 'C', static_cast<std::uint32_t>(first / kChunkEntries)),
              chunk);
  }
  append_le<std::uint32_t>(head, crc32c(head));
  batch.put(Space::kPassing, run_key(number, 'H'), head);
  std::string filter;
  append_filter(filter, hashes, kFilterBits);
  append_le<std::uint32_t>(filter, crc32c(filter));
  batch.put(Space::kPassing, run_key(number, 'F'), filter);
}

Result<void> IdIndex::load(Run& run) {
  const auto part = [&](char kind) -> Result<std::string> {
    NARU_TRY(std::optional<std::string> bytes, database_.get(Space::kPassing, run_key(run.number, kind)));
    if (!bytes || bytes->size() < 4 ||
        crc32c(std::string_view(*bytes).substr(0, bytes->size() - 4)) !=
            load_le<std::uint32_t>(bytes->data() + bytes->size() - 4)) {
      return corrupt(index_, run.number, bytes ? "checksum differs" : "a part is missing");
    }
    bytes->resize(bytes->size() - 4);
    return std::move(*bytes);
  };
  NARU_TRY(const std::string head, part('H'));
  NARU_TRY(run.filter, part('F'));
  run.chunk_first.clear();
  for (std::size_t at = 0; at + 8 <= head.size(); at += 8) {
    run.chunk_first.push_back(load_le<std::uint64_t>(head.data() + at));
  }
  run.loaded = true;
  return {};
}

Result<std::string> IdIndex::read_chunk(std::uint32_t run, std::uint32_t chunk) const {
  NARU_TRY(std::optional<std::string> bytes, database_.get(Space::kPassing, run_key(run, 'C', chunk)));
  if (!bytes || bytes->size() < 4 || (bytes->size() - 4) % kStoredBytes != 0 ||
      crc32c(std::string_view(*bytes).substr(0, bytes->size() - 4)) !=
          load_le<std::uint32_t>(bytes->data() + bytes->size() - 4)) {
    return corrupt(index_, run, fmt::format("chunk {} is missing or fails its checksum", chunk));
  }
  bytes->resize(bytes->size() - 4);
  return std::move(*bytes);
}

Result<void> IdIndex::find(std::uint64_t hash, std::vector<std::uint64_t>& found) {
  for (Run& run : runs_) {
    if (!run.loaded) {
      NARU_TRY_VOID(load(run));
    }
    if (!FilterView(run.filter).may_contain(hash)) {
      continue;
    }
    // Equal hashes may begin in the chunk before.
    std::size_t chunk =
        static_cast<std::size_t>(std::ranges::lower_bound(run.chunk_first, hash) - run.chunk_first.begin());
    for (chunk = chunk == 0 ? 0 : chunk - 1; chunk < run.chunk_first.size() && run.chunk_first[chunk] <= hash;
         ++chunk) {
      NARU_TRY(const std::string entries, read_chunk(run.number, static_cast<std::uint32_t>(chunk)));
      std::size_t low = 0;
      std::size_t high = entries.size() / kStoredBytes;
      while (low < high) {
        const std::size_t middle = (low + high) / 2;
        if (entry_at(entries, middle).hash < hash) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      for (; low < entries.size() / kStoredBytes && entry_at(entries, low).hash == hash; ++low) {
        found.push_back(entry_at(entries, low).sequence);
      }
    }
  }
  recent_.find(hash, [&](std::uint64_t value) { found.push_back(value); });
  std::ranges::sort(found);
  return {};
}

Result<void> IdIndex::flush(std::uint64_t stable) {
  if (recent_.size() < kRunEntries) {
    return {};
  }
  std::vector<IdEntry> all = recent_.take_all();
  const auto middle =
      std::ranges::partition(all, [&](const IdEntry& entry) { return entry.sequence < stable; });
  std::vector<IdEntry> sorted(all.begin(), middle.begin());
  for (const IdEntry& entry : middle) {
    recent_.add(entry.hash, entry.sequence);
  }
  if (sorted.empty()) {
    return {};
  }
  std::ranges::sort(sorted, [](const IdEntry& a, const IdEntry& b) {
    return a.hash != b.hash ? a.hash < b.hash : a.sequence < b.sequence;
  });
  Run run;
  run.number = next_run_;
  run.count = sorted.size();
  const std::uint64_t covered_before = covered_;
  Batch batch;
  put_run(batch, run.number, sorted);
  runs_.push_back(std::move(run));
  ++next_run_;
  covered_ = stable;
  batch.put(Space::kCatalog, index_key(index_, 'R'), manifest());
  if (auto written = database_.write(std::move(batch), false); !written) {
    runs_.pop_back();
    --next_run_;
    covered_ = covered_before;
    for (const IdEntry& entry : sorted) {
      recent_.add(entry.hash, entry.sequence);
    }
    return written;
  }
  return {};
}

IdIndex::Merge IdIndex::begin_merge() {
  Merge merge;
  for (std::size_t last = runs_.size(); last >= kFanIn; --last) {  // neighbours of about one size
    const std::size_t first = last - kFanIn;
    const std::uint64_t size = runs_[first].count;
    std::uint64_t total = 0;
    bool alike = true;
    for (std::size_t i = first; i < last; ++i) {
      alike = alike && runs_[i].count * 2 >= size && runs_[i].count <= size * 2;
      total += runs_[i].count;
    }
    if (alike && total <= kRunEntriesMax + kRunEntriesMax / 2) {
      for (std::size_t i = first; i < last; ++i) {
        merge.from.push_back(runs_[i].number);
      }
      merge.to = next_run_++;
      return merge;
    }
  }
  return merge;
}

Result<void> IdIndex::merge(Merge& merge) const {
  std::vector<IdEntry> all;
  for (std::uint32_t number : merge.from) {
    NARU_TRY(const std::optional<std::string> head, database_.get(Space::kPassing, run_key(number, 'H')));
    if (!head || head->size() < 4) {
      return corrupt(index_, number, "its head is missing");
    }
    std::vector<IdEntry> run;
    for (std::uint32_t chunk = 0; chunk < (head->size() - 4) / 8; ++chunk) {
      NARU_TRY(const std::string entries, read_chunk(number, chunk));
      for (std::size_t i = 0; i < entries.size() / kStoredBytes; ++i) {
        run.push_back(entry_at(entries, i));
      }
    }
    std::vector<IdEntry> merged(all.size() + run.size());
    std::ranges::merge(all, run, merged.begin(), {}, &IdEntry::hash, &IdEntry::hash);
    all = std::move(merged);
  }
  merge.count = all.size();
  Batch batch;
  put_run(batch, merge.to, all);
  return database_.write(std::move(batch), false);
}

Result<void> IdIndex::end_merge(const Merge& merge) {
  const auto first = std::ranges::find(runs_, merge.from.front(), &Run::number);
  NARU_CHECK(first != runs_.end(), "merged runs are still there");
  Run run;
  run.number = merge.to;
  run.count = merge.count;
  *first = std::move(run);
  runs_.erase(first + 1, first + static_cast<std::ptrdiff_t>(merge.from.size()));
  Batch batch;
  batch.put(Space::kCatalog, index_key(index_, 'R'), manifest());
  for (std::uint32_t number : merge.from) {
    batch.remove_range(Space::kPassing, run_key(number, '\0'), run_key(number + 1, '\0'));
  }
  return database_.write(std::move(batch), false);
}

void IdIndex::release() {
  for (Run& run : runs_) {
    run.loaded = false;
    std::string().swap(run.filter);
    std::vector<std::uint64_t>().swap(run.chunk_first);
  }
}

std::size_t IdIndex::memory_bytes() const {
  std::size_t total = recent_.size() * 2 * kEntryBytes;
  for (const Run& run : runs_) {
    total += run.filter.capacity() + run.chunk_first.capacity() * 8;
  }
  return total;
}

}  // namespace naru::store
