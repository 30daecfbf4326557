#include "agent/checkpoint/state.h"

#include <fmt/format.h>

#include <cstring>

#include "core/base/bytes.h"
#include "core/base/hash.h"

namespace naru::agent {
namespace {

constexpr std::string_view kMagic{"NARUAGT\0", 8};
constexpr std::uint32_t kVersion = 2;

enum Type : std::uint8_t {
  kFile = 1,
  kBatch = 2,
  kDone = 3,
  kForget = 4,
  kJournalBatch = 5,
  kJournal = 6,
  kTotals = 7,
  kNames = 8,
};

constexpr std::size_t kRangeSize = 4 + 8 + 8 + 8 + 4 + 8 + 4 + 12 + 12;

void put_type(std::string& out, Type type) {
  out.push_back(static_cast<char>(type));
}
void put_text(std::string& out, std::string_view text) {
  append_le(out, static_cast<std::uint32_t>(text.size()));
  out.append(text);
}
void put_print(std::string& out, const Fingerprint& print) {
  append_le(out, print.size);
  append_le(out, print.hash);
}
void put_source(std::string& out, const Source& source) {
  out.append(reinterpret_cast<const char*>(source.data()), source.size());
}

// Reads fields in order; after a failure every further one is zero and ok() is false.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : bytes_(bytes) {}
  template <class T>
  T number() {
    if (!need(sizeof(T))) {
      return 0;
    }
    const T value = load_le<T>(bytes_.data());
    bytes_.remove_prefix(sizeof(T));
    return value;
  }
  std::uint64_t u64() { return number<std::uint64_t>(); }
  std::uint32_t u32() { return number<std::uint32_t>(); }
  std::string text() {
    const std::size_t size = u32();
    if (!need(size)) {
      return {};
    }
    std::string value(bytes_.substr(0, size));
    bytes_.remove_prefix(size);
    return value;
  }
  Source source() {
    Source value{};
    if (need(value.size())) {
      std::memcpy(value.data(), bytes_.data(), value.size());
      bytes_.remove_prefix(value.size());
    }
    return value;
  }
  Fingerprint print() {
    Fingerprint value;
    value.size = u32();
    value.hash = u64();
    ok_ = ok_ && value.size <= kFingerprintBytesMax;
    return value;
  }
  std::size_t left() const { return bytes_.size(); }
  bool at_end() const { return ok_ && bytes_.empty(); }

 private:
  bool need(std::size_t size) {
    ok_ = ok_ && bytes_.size() >= size;
    return ok_;
  }
  std::string_view bytes_;
  bool ok_ = true;
};

std::unexpected<Error> malformed(std::string_view what) {
  return fail(ErrorCode::kCorrupt, fmt::format("a {} entry of the agent's state has the wrong form", what));
}

template <class Key>
void raise_next(Key& next, Key used) {
  if (used >= next) {
    next = used + 1;
  }
}

Result<void> apply_file(State& state, Fields& in) {
  FileCheckpoint file;
  file.key = in.u32();
  file.source = in.source();
  file.known.inode.device = in.u64();
  file.known.inode.inode = in.u64();
  file.known.born = in.u64();
  file.known.prefix = in.print();
  file.known.offset = in.u64();
  file.position = in.u64();
  file.known.window = in.print();
  file.last_seen = in.u64();
  file.names_known_at = in.u64();
  file.path = in.text();
  if (!in.at_end()) {
    return malformed("file");
  }
  raise_next(state.next_key, file.key);
  state.files[file.key] = std::move(file);
  return {};
}

Result<void> apply_batch(State& state, Fields& in) {
  Batch batch;
  batch.number = in.u64();
  const std::uint32_t count = in.u32();
  if (in.left() != count * kRangeSize) {
    return malformed("batch");
  }
  batch.files.resize(count);
  for (Range& range : batch.files) {
    range.key = in.u32();
    range.begin = in.u64();
    range.end = in.u64();
    range.position = in.u64();
    range.count = in.u32();
    range.observed = in.u64();
    range.line_bytes_max = in.u32();
    range.prefix = in.print();
    range.window = in.print();
    if (range.end < range.begin || !state.files.contains(range.key)) {
      return malformed("batch");
    }
  }
  if (!in.at_end()) {
    return malformed("batch");
  }
  for (const Range& range : batch.files) {
    FileCheckpoint& file = state.files[range.key];
    if (range.end > file.known.offset) {
      file.known.offset = range.end;
      file.known.prefix = range.prefix;
      file.known.window = range.window;
      file.position = range.position + range.count;
      file.last_seen = range.observed;
    }
  }
  raise_next(state.next_batch, batch.number);
  state.totals.accepted += batch.records();
  state.in_flight[batch.number] = std::move(batch);
  return {};
}

Result<void> apply_journal_batch(State& state, Fields& in) {
  Batch batch;
  batch.number = in.u64();
  JournalRange range;
  range.key = in.u32();
  range.position = in.u64();
  range.count = in.u32();
  range.observed = in.u64();
  range.first_cursor = in.text();
  range.last_cursor = in.text();
  const auto journal = state.journals.find(range.key);
  if (!in.at_end() || journal == state.journals.end()) {
    return malformed("journal batch");
  }
  if (range.position + range.count > journal->second.position) {
    journal->second.position = range.position + range.count;
    journal->second.cursor = range.last_cursor;
  }
  raise_next(state.next_batch, batch.number);
  state.totals.accepted += range.count;
  batch.journal.push_back(std::move(range));
  state.in_flight[batch.number] = std::move(batch);
  return {};
}

Result<void> apply_done(State& state, Fields& in) {
  const BatchNumber number = in.u64();
  const std::uint64_t delivered = in.u64();
  const std::uint64_t rejected = in.u64();
  const std::uint64_t lost = in.u64();
  const auto batch = state.in_flight.find(number);
  if (!in.at_end() || batch == state.in_flight.end() ||
      delivered + rejected + lost > batch->second.records()) {
    return malformed("done");
  }
  state.totals.delivered += delivered;
  state.totals.rejected += rejected;
  state.totals.lost += lost;
  state.in_flight.erase(batch);
  return {};
}

Result<void> apply_journal(State& state, Fields& in) {
  JournalCheckpoint journal;
  journal.key = in.u32();
  journal.source = in.source();
  journal.position = in.u64();
  journal.cursor = in.text();
  journal.directory = in.text();
  if (!in.at_end()) {
    return malformed("journal");
  }
  raise_next(state.next_key, journal.key);
  state.journals[journal.key] = std::move(journal);
  return {};
}

Result<void> apply_names(State& state, Fields& in) {
  const auto file = state.files.find(in.u32());
  const UnixNanos known_at = in.u64();
  if (!in.at_end() || file == state.files.end()) {
    return malformed("names");
  }
  file->second.names_known_at = known_at;
  return {};
}

Result<void> apply_totals(State& state, Fields& in) {
  State read;
  read.totals.accepted = in.u64();
  read.totals.delivered = in.u64();
  read.totals.rejected = in.u64();
  read.totals.lost = in.u64();
  read.next_batch = in.u64();
  read.next_key = in.u32();
  read.started = in.number<std::uint8_t>() != 0;
  if (!in.at_end()) {
    return malformed("totals");
  }
  state.totals = read.totals;
  state.next_batch = read.next_batch;
  state.next_key = read.next_key;
  state.started = read.started;
  return {};
}

}  // namespace

std::uint64_t Batch::records() const {
  std::uint64_t sum = 0;
  for (const Range& range : files) {
    sum += range.count;
  }
  for (const JournalRange& range : journal) {
    sum += range.count;
  }
  return sum;
}

std::uint64_t State::in_flight_records() const {
  std::uint64_t sum = 0;
  for (const auto& [number, batch] : in_flight) {
    sum += batch.records();
  }
  return sum;
}

std::string encode(const FileCheckpoint& file) {
  std::string out;
  put_type(out, kFile);
  append_le(out, file.key);
  put_source(out, file.source);
  append_le(out, file.known.inode.device);
  append_le(out, file.known.inode.inode);
  append_le(out, file.known.born);
  put_print(out, file.known.prefix);
  append_le(out, file.known.offset);
  append_le(out, file.position);
  put_print(out, file.known.window);
  append_le(out, file.last_seen);
  append_le(out, file.names_known_at);
  put_text(out, file.path);
  return out;
}

std::string encode(const JournalCheckpoint& journal) {
  std::string out;
  put_type(out, kJournal);
  append_le(out, journal.key);
  put_source(out, journal.source);
  append_le(out, journal.position);
  put_text(out, journal.cursor);
  put_text(out, journal.directory);
  return out;
}

std::string encode(const Batch& batch) {
  std::string out;
  if (!batch.journal.empty()) {
    const JournalRange& range = batch.journal.front();
    put_type(out, kJournalBatch);
    append_le(out, batch.number);
    append_le(out, range.key);
    append_le(out, range.position);
    append_le(out, range.count);
    append_le(out, range.observed);
    put_text(out, range.first_cursor);
    put_text(out, range.last_cursor);
    return out;
  }
  put_type(out, kBatch);
  append_le(out, batch.number);
  append_le(out, static_cast<std::uint32_t>(batch.files.size()));
  out.reserve(out.size() + batch.files.size() * kRangeSize);
  for (const Range& range : batch.files) {
    append_le(out, range.key);
    append_le(out, range.begin);
    append_le(out, range.end);
    append_le(out, range.position);
    append_le(out, range.count);
    append_le(out, range.observed);
    append_le(out, range.line_bytes_max);
    put_print(out, range.prefix);
    put_print(out, range.window);
  }
  return out;
}

std::string encode_done(BatchNumber number, const Outcomes& outcomes) {
  std::string out;
  put_type(out, kDone);
  append_le(out, number);
  append_le(out, outcomes.delivered);
  append_le(out, outcomes.rejected);
  append_le(out, outcomes.lost);
  return out;
}

std::string encode_forget(SourceKey key) {
  std::string out;
  put_type(out, kForget);
  append_le(out, key);
  return out;
}

std::string encode_names(SourceKey key, UnixNanos known_at) {
  std::string out;
  put_type(out, kNames);
  append_le(out, key);
  append_le(out, known_at);
  return out;
}

std::string encode_totals(const State& state) {
  std::string out;
  put_type(out, kTotals);
  append_le(out, state.totals.accepted);
  append_le(out, state.totals.delivered);
  append_le(out, state.totals.rejected);
  append_le(out, state.totals.lost);
  append_le(out, state.next_batch);
  append_le(out, state.next_key);
  append_le(out, static_cast<std::uint8_t>(state.started));
  return out;
}

Result<void> apply_entry(State& state, std::string_view payload) {
  if (payload.empty()) {
    return malformed("nameless");
  }
  Fields in(payload.substr(1));
  switch (static_cast<std::uint8_t>(payload.front())) {
    case kFile: return apply_file(state, in);
    case kBatch: return apply_batch(state, in);
    case kDone: return apply_done(state, in);
    case kForget: {
      const SourceKey key = in.u32();
      if (!in.at_end()) {
        return malformed("forget");
      }
      state.files.erase(key);
      return {};
    }
    case kJournalBatch: return apply_journal_batch(state, in);
    case kJournal: return apply_journal(state, in);
    case kTotals: return apply_totals(state, in);
    case kNames: return apply_names(state, in);
    default: return malformed("unknown");
  }
}

void append_frame(std::string& out, std::string_view payload) {
  append_le(out, static_cast<std::uint32_t>(payload.size()));
  append_le(out, crc32c(payload));
  out.append(payload);
}

std::string log_header() {
  std::string out(kMagic);
  append_le(out, kVersion);
  append_le(out, crc32c(out));
  return out;
}

std::string snapshot(const State& state) {
  std::string out = log_header();
  for (const auto& [key, file] : state.files) {
    append_frame(out, encode(file));
  }
  for (const auto& [key, journal] : state.journals) {
    append_frame(out, encode(journal));
  }
  for (const auto& [number, batch] : state.in_flight) {
    append_frame(out, encode(batch));
  }
  append_frame(out, encode_totals(state));
  return out;
}

Result<std::size_t> read_log(std::string_view bytes, State& state) {
  if (bytes.size() < kHeaderSize || !bytes.starts_with(kMagic) ||
      load_le<std::uint32_t>(bytes.data() + 12) != crc32c(bytes.substr(0, 12))) {
    return fail(ErrorCode::kCorrupt, "it does not begin as the state of an agent does");
  }
  if (const auto version = load_le<std::uint32_t>(bytes.data() + 8); version != kVersion) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("it has format version {}, this program reads version {}", version, kVersion));
  }
  std::size_t at = kHeaderSize;
  while (bytes.size() - at > kFrameHeaderSize) {
    const auto size = load_le<std::uint32_t>(bytes.data() + at);
    if (size == 0 || size > kFrameBytesMax || size > bytes.size() - at - kFrameHeaderSize) {
      break;
    }
    const std::string_view payload = bytes.substr(at + kFrameHeaderSize, size);
    if (load_le<std::uint32_t>(bytes.data() + at + 4) != crc32c(payload) || !apply_entry(state, payload)) {
      break;
    }
    at += kFrameHeaderSize + size;
  }
  return at;
}

}  // namespace naru::agent
