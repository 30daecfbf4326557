// The part of Tailer that keeps what is left of files that lost their names: copies in the spool, compressed
// copies, and generations that came and went between two looks.
#include <algorithm>

#include "agent/tail/glob.h"
#include "agent/tail/rotation.h"
#include "agent/tail/tailer.h"
#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/telemetry/log.h"

namespace naru::agent {
namespace {

constexpr std::size_t kCopyBytesPerStep = 8u << 20;  // then reading and sending get their turn
constexpr std::uint64_t kComplainEvery = 30 * kNanosPerSecond;
constexpr std::uint64_t kGapMax = 600 * kNanosPerSecond;    // how long files of a gap may take to settle
constexpr UnixNanos kTimestampSlack = 20 * kNanosPerMilli;  // file times lag behind the clock by a tick
constexpr std::uint64_t kNoDevice = ~std::uint64_t{0};

std::string name_of(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

std::string join(const std::string& directory, const std::string& name) {
  return directory == "/" ? "/" + name : directory + "/" + name;
}

std::size_t window_size_at(std::uint64_t offset) {
  return std::min<std::uint64_t>(kFingerprintBytesMax, offset);
}

// Reads on up to `offset`; returns the bytes, at most kFingerprintBytesMax, that end there. Fewer when the
// stream ends before.
Result<std::string> skip_to(Gunzip& stream, std::uint64_t offset, std::string tail) {
  while (stream.offset() < offset && !stream.at_end()) {
    const auto want = std::min<std::uint64_t>(RestSpool::kPieceBytes, offset - stream.offset());
    NARU_TRY(const std::string bytes, stream.read(want));
    tail += bytes;
    if (tail.size() > kFingerprintBytesMax) {
      tail.erase(0, tail.size() - kFingerprintBytesMax);
    }
  }
  return tail;
}

// More than was read while more follows, so that a copy that was cut off here is not taken for the whole.
std::uint64_t size_so_far(const Gunzip& stream) {
  return stream.offset() + (stream.at_end() ? 0 : 1);
}

std::optional<Gunzip> open_gzip(const std::string& path) {
  Result<File> file = File::open(path);
  const Result<std::string> magic = file ? file->read(0, 2) : Result<std::string>(fail(file.error()));
  return magic && looks_like_gzip(*magic) ? std::optional(Gunzip(std::move(*file))) : std::nullopt;
}

// The first bytes of what is packed in a file, if it holds everything that was read of the generation.
// kNotFound: it does not, or not yet.
Result<std::string> unpacked_head(const std::string& path, const KnownFile& known) {
  std::optional<Gunzip> stream = known.prefix.size > 0 ? open_gzip(path) : std::nullopt;
  if (stream) {
    NARU_TRY(const std::string head, stream->read(kFingerprintBytesMax));
    if (begins_with(head, known.prefix)) {
      const std::string before = known.offset >= head.size()
                                     ? skip_to(*stream, known.offset, head).value_or(std::string())
                                     : head.substr(0, known.offset);
      if (stream->offset() >= known.offset && before.size() >= known.window.size &&
          fingerprint(std::string_view(before).substr(before.size() - known.window.size)) == known.window &&
          (known.window.size > 0 || known.offset == 0)) {
        return head;
      }
    }
  }
  return fail(ErrorCode::kNotFound, path + " holds something else");
}

}  // namespace

// Whether rotation may have given that name to the file.
bool Tailer::is_name_of(const FileCheckpoint& checkpoint, const std::string& path) {
  return checkpoint.path == path || is_rotated_name(name_of(checkpoint.path), name_of(path));
}

// A few bytes are no proof: many files begin with the same line.
bool Tailer::may_be_copy(const FileCheckpoint& checkpoint, const std::string& path) {
  return checkpoint.known.offset >= kFingerprintBytesMax || is_name_of(checkpoint, path);
}

void Tailer::spool_refused(const Error& error) {
  metrics_.spool_refused.add();
  const std::uint64_t now = monotonic_now();
  if (spool_told_at_ == 0 || now - spool_told_at_ >= kComplainEvery) {
    spool_told_at_ = now;
    telemetry::log_error("agent",
                         "{}; unsent bytes of files that lost their names are kept by open descriptors only, "
                         "and are lost if the agent is killed now",
                         error.message());
  }
}

// Opens the spool, again while the disk refuses. A copy whose source the state does not know is of a state
// that was damaged or deleted: it goes on from what the copy says.
void Tailer::open_spool() {
  if (rests_.is_open()) {
    return;
  }
  if (const Result<void> opened = rests_.open(wall_now()); !opened) {
    spool_refused(opened.error());
    return;
  }
  if (rests_.damaged_entries() > 0) {
    telemetry::log_error("agent", "{} damaged places in the agent's spool {}/spool were passed over",
                         rests_.damaged_entries(), config_.state_dir);
  }
  std::set<Source> known;
  for (const auto& [key, file] : followed_) {
    known.insert(file->source);
  }
  for (const auto& [key, file] : sleeping_) {
    known.insert(file.source);
  }
  for (const auto& [source, copy] : rests_.copies()) {
    if (!known.contains(source)) {
      FileCheckpoint checkpoint = copy->file();
      checkpoint.key = log_.draw_key();
      pending_.push_back(encode(checkpoint));
      put_to_sleep(std::move(checkpoint));
    }
  }
}

// The checkpoint of the first byte that is not acknowledged; that of what was read when all is. nullopt: the
// file's source is not durable yet, so nothing of it has left.
std::optional<FileCheckpoint> Tailer::unacknowledged(const FileCheckpoint& as_read) const {
  FileCheckpoint from = as_read;
  bool known = false;
  log_.read([&](const State& state) {
    const auto at = state.files.find(as_read.key);
    if (at == state.files.end()) {
      return;
    }
    known = true;
    if (at->second.position < from.position) {  // read and not noted
      from.known.offset = at->second.known.offset;
      from.position = at->second.position;
    }
    for (const auto& [number, batch] : state.in_flight) {
      for (const Range& range : batch.files) {
        if (range.key == as_read.key && range.begin < from.known.offset) {
          from.known.offset = range.begin;
          from.position = range.position;
        }
      }
    }
  });
  if (!known) {
    return std::nullopt;
  }
  return from;
}

std::shared_ptr<RestCopy> Tailer::begin_copy(const FileCheckpoint& from, std::string_view head) {
  const std::uint64_t begin = from.known.offset - window_size_at(from.known.offset);
  auto begun = rests_.begin(from, head, begin, wall_now());
  if (!begun) {
    spool_refused(begun.error());
    return nullptr;
  }
  return *begun;
}

// Copies what is not acknowledged of a file without a name. True: there is more to copy at once.
bool Tailer::protect(Followed& file) {
  if (file.named || !file.file.is_open()) {
    return false;
  }
  if (file.file.is_copy()) {
    return unpack(file);
  }
  std::optional<FileCheckpoint> from = unacknowledged(checkpoint_of(file));
  const Result<Look> seen = look_at(file.file, file.known);
  if (!from || !seen || compare(file.known, seen->seen()) != Match::kSame) {
    return false;  // not noted yet, or rewritten: the next turn of reading says so
  }
  const std::uint64_t size = seen->facts.size;
  std::shared_ptr<RestCopy> copy = rests_.find(file.source);
  if (copy != nullptr && from->known.offset >= copy->end()) {
    rests_.release(file.source, wall_now());
    copy = nullptr;
  }
  if (from->known.offset >= size) {
    return false;
  }
  if (copy == nullptr) {
    const Result<Fingerprint> window = window_of(file.file, from->known.offset);
    if (!window) {
      return false;
    }
    from->known.window = *window;
    copy = begin_copy(*from, seen->head);
    if (copy == nullptr) {
      return false;
    }
  }
  for (std::size_t copied = 0; copy->end() < size;) {
    if (copied >= kCopyBytesPerStep) {
      return true;
    }
    const auto want = std::min<std::uint64_t>(RestSpool::kPieceBytes, size - copy->end());
    const Result<std::string> bytes = file.file.read(copy->end(), want);
    if (!bytes || bytes->empty()) {
      return false;
    }
    if (const auto written = rests_.append(*copy, *bytes, size, wall_now()); !written) {
      spool_refused(written.error());
      return false;
    }
    copied += bytes->size();
    metrics_.spool_copied_bytes.add(bytes->size());
  }
  return false;
}

// Moves the next bytes of a compressed copy to the spool. True: there is more at once.
bool Tailer::unpack(Followed& file) {
  const auto at = unpacking_.find(file.key);
  if (at == unpacking_.end()) {
    return false;
  }
  auto& [stream, head, held] = at->second;
  std::shared_ptr<RestCopy> copy = rests_.find(file.source);
  for (std::size_t copied = 0; copied < kCopyBytesPerStep; copied += RestSpool::kPieceBytes) {
    const std::optional<FileCheckpoint> from = unacknowledged(checkpoint_of(file));
    if (copy != nullptr && rests_.bytes() + 2 * RestSpool::kPieceBytes > config_.spool.bytes_max) {
      // It goes on when what is there was acknowledged, all but the beginning of a line.
      if (!from || from->position < file.position || file.lag() > kCopyBytesPerStep ||
          (file.lag() > 0 && file.scanned < file.size)) {
        return false;
      }
      const std::uint64_t begin = file.known.offset - window_size_at(file.known.offset);
      const Result<std::string> kept = file.file.read(begin, copy->end() - begin);
      if (!kept) {
        return false;
      }
      held.insert(0, *kept);
      rests_.release(file.source, wall_now());
      copy = nullptr;
    }
    if (copy == nullptr) {
      copy = from ? begin_copy(*from, head) : nullptr;
      if (copy == nullptr) {
        return false;
      }
      file.file = File::of(copy, file.known.inode);
    }
    if (held.size() < RestSpool::kPieceBytes / 2 && !stream.at_end()) {
      const Result<std::string> bytes = stream.read(RestSpool::kPieceBytes / 2);
      if (!bytes) {
        complain(file.path, bytes.error());
        unpacking_.erase(at);
        return false;
      }
      held += *bytes;
    }
    if (!held.empty() || stream.at_end()) {
      if (const auto written = rests_.append(*copy, held, size_so_far(stream), wall_now()); !written) {
        spool_refused(written.error());
        return false;
      }
      metrics_.spool_copied_bytes.add(held.size());
      held.clear();
    }
    file.size = copy->end();
    enqueue(file);
    if (stream.at_end()) {
      unpacking_.erase(at);
      return false;
    }
  }
  return true;
}

void Tailer::keep_rests() {
  if (copying_.empty()) {
    return;
  }
  commit();  // a source must be durable before bytes of it are kept under it
  std::erase_if(copying_, [this](SourceKey key) {
    const auto file = followed_.find(key);
    return file == followed_.end() || !protect(*file->second);
  });
}

void Tailer::release_copies() {
  if (!rests_.is_open()) {
    return;
  }
  std::map<Source, FileCheckpoint> as_read;
  for (const auto& [key, file] : followed_) {
    if (rests_.find(file->source) != nullptr) {
      as_read[file->source] = checkpoint_of(*file);
    }
  }
  for (const auto& [key, file] : sleeping_) {
    if (rests_.find(file.source) != nullptr) {
      as_read[file.source] = file;
    }
  }
  std::vector<Source> over;
  for (const auto& [source, copy] : rests_.copies()) {
    const auto file = as_read.find(source);
    if (file == as_read.end()) {
      continue;
    }
    const auto followed = followed_.find(file->second.key);
    const bool is_read = followed != followed_.end() && followed->second->file.is_copy();
    const std::optional<FileCheckpoint> from = unacknowledged(file->second);
    if (!is_read && from && from->known.offset >= copy->end()) {
      over.push_back(source);
    }
  }
  for (const Source& source : over) {
    rests_.release(source, wall_now());
  }
  metrics_.spool_bytes.set(static_cast<double>(rests_.bytes()));
  metrics_.spool_copies.set(static_cast<double>(rests_.copies().size()));
}

bool Tailer::take_up_copy(const FileCheckpoint& sleeping) {
  const std::shared_ptr<RestCopy> copy = rests_.find(sleeping.source);
  if (copy == nullptr || sleeping.known.offset < copy->begin() || sleeping.known.offset > copy->end()) {
    return false;
  }
  File file = File::of(copy, {kNoDevice, sleeping.key});
  const Result<Look> seen = look_at(file, sleeping.known);
  if (!seen || !begins_with(seen->head, sleeping.known.prefix) ||
      fingerprint(seen->before) != sleeping.known.window) {
    return false;
  }
  if (copy->file_size() > copy->end()) {
    const std::uint64_t lost = copy->file_size() - copy->end();
    metrics_.lost_by_truncation_bytes.add(lost);
    telemetry::log_error(
        "agent", "{} is gone, and its last {} bytes had not been copied to the spool when the agent ended",
        sleeping.path, lost);
  }
  take_up(sleeping, sleeping.path, input_of(sleeping.path), false, std::move(file), seen->facts);
  return true;
}

bool Tailer::take_up_gzip(const FileCheckpoint& sleeping) {
  const std::string directory = directory_of(sleeping.path);
  for (const std::string& name : regular_files_in(directory)) {
    if (is_rotated_name(name_of(sleeping.path), name) && take_up_gzip(sleeping, join(directory, name))) {
      return true;
    }
  }
  return false;
}

// Twice through the stream: first to see that it is this generation, then on into the spool.
bool Tailer::take_up_gzip(const FileCheckpoint& sleeping, const std::string& path) {
  const Result<std::string> head = unpacked_head(path, sleeping.known);
  const std::optional<FileCheckpoint> from = unacknowledged(sleeping);
  if (!head || !from || !rests_.is_open()) {
    return false;
  }
  std::optional<Gunzip> stream = open_gzip(path);
  std::shared_ptr<RestCopy> copy = rests_.find(sleeping.source);
  const std::uint64_t begin =
      copy != nullptr ? copy->end() : from->known.offset - window_size_at(from->known.offset);
  if (!stream || !skip_to(*stream, begin, {})) {
    return false;
  }
  if (copy == nullptr) {
    copy = begin_copy(*from, *head);
  }
  while (copy != nullptr && copy->end() < sleeping.known.offset) {
    const Result<std::string> bytes =
        stream->read(std::min<std::uint64_t>(RestSpool::kPieceBytes, sleeping.known.offset - copy->end()));
    if (!bytes || bytes->empty()) {
      return false;
    }
    if (const auto written = rests_.append(*copy, *bytes, size_so_far(*stream), wall_now()); !written) {
      spool_refused(written.error());
      return false;
    }
  }
  if (copy == nullptr) {
    return false;
  }
  File file = File::of(copy, {kNoDevice, sleeping.key});
  const File::Facts facts = file.facts().value();
  const SourceKey key = sleeping.key;
  unpacking_.insert_or_assign(key, Unpacking{std::move(*stream), *head, {}});
  take_up(sleeping, sleeping.path, input_of(sleeping.path), false, std::move(file), facts);
  return true;
}

// Whether a file, packed or not, holds all that was read of a generation that is known.
bool Tailer::holds_known(const File& file, const std::string& path, bool packed) const {
  const auto holds = [&](const KnownFile& known) {
    if (packed) {
      return unpacked_head(path, known).has_value();
    }
    const Result<Look> seen = look_at(file, known);
    return seen && compare(known, seen->seen()) == Match::kCopy;
  };
  return std::ranges::any_of(sleeping_, [&](const auto& entry) { return holds(entry.second.known); }) ||
         std::ranges::any_of(followed_, [&](const auto& entry) {
           return entry.second->file.is_copy() && holds(entry.second->known);
         });
}

void Tailer::note_gap(const std::string& path, std::size_t input, UnixNanos after) {
  const auto same = std::ranges::find(gaps_, path, &Gap::path);
  if (same == gaps_.end()) {
    gaps_.push_back({path, input, after, monotonic_now()});
  } else {
    same->after = std::min(same->after, after);
    same->since = monotonic_now();
  }
}

// Files that had the name of a gap behind its file and lost it before they were seen.
void Tailer::find_missed() {
  const std::uint64_t now = monotonic_now();
  const auto grace = static_cast<std::uint64_t>(config_.tail.copy_grace.count()) * kNanosPerMilli;
  for (const Gap& gap : std::exchange(gaps_, {})) {
    const UnixNanos looked_at = wall_now();
    const bool settled = find_missed(gap);
    const std::uint64_t age = now - gap.since;
    if (age < 2 * grace || (!settled && age < kGapMax)) {
      gaps_.push_back(gap);
    } else if (settled) {
      note_names(gap.path, looked_at - grace);
    }
  }
}

// Of all files that had this name and lost it.
void Tailer::note_names(const std::string& path, UnixNanos known_at) {
  const auto note = [&](SourceKey key, UnixNanos& of_file) {
    if (of_file < known_at) {
      of_file = known_at;
      pending_.push_back(encode_names(key, known_at));
    }
  };
  for (auto& [key, file] : sleeping_) {
    if (file.path == path) {
      note(key, file.names_known_at);
    }
  }
  for (const auto& [key, file] : followed_) {
    if (!file->named && file->first_path == path) {
      note(key, file->names_known_at);
    }
  }
}

// False: a file may be one of them and is still being written.
bool Tailer::find_missed(const Gap& gap) {
  const std::string directory = directory_of(gap.path);
  const std::string base = name_of(gap.path);
  const UnixNanos now = wall_now();
  const auto grace = static_cast<std::uint64_t>(config_.tail.copy_grace.count()) * kNanosPerMilli;
  bool settled = true;
  for (const std::string& name : regular_files_in(directory)) {
    const std::string path = join(directory, name);
    if (!is_numbered_rotation(base, name) || find(path) != nullptr) {
      continue;
    }
    if (const std::size_t input = input_of(path);
        input < config_.files.size() && !excluded(path, config_.files[input].exclude)) {
      continue;  // a pattern finds it
    }
    Result<File> opened = File::open(path);
    const Result<File::Facts> facts = opened ? opened->facts() : Result<File::Facts>(fail(opened.error()));
    if (!facts || facts->size == 0 || facts->modified + kTimestampSlack <= gap.after ||
        find(facts->inode) != nullptr || sleeping_by_inode_.contains(facts->inode)) {
      continue;
    }
    if (facts->modified + grace > now) {
      settled = false;
      continue;
    }
    Result<std::string> head = opened->read(0, kFingerprintBytesMax);
    const bool packed = head && looks_like_gzip(*head);
    if (packed) {
      Result<File> again = File::open(path);
      head = again ? Gunzip(std::move(*again)).read(kFingerprintBytesMax)
                   : Result<std::string>(fail(again.error()));
    }
    const auto live = [&](SourceKey key) {
      const Followed& other = *followed_.at(key);
      return packed ? begins_with(*head, other.known.prefix)
                    : other.file.is_open() && holds_beginning_of(*opened, facts->size, *head, other);
    };
    // One that was truncated behind its back goes on in its copy.
    if (head && settle_rewritten(files_that_begin_like(path, *head))) {
      settled = false;
      continue;
    }
    if (!head || head->empty() || holds_known(*opened, path, packed) ||
        std::ranges::any_of(files_that_begin_like(path, *head), live)) {
      continue;
    }
    if (!packed && !follow_new(gap.path, gap.input, std::move(*opened), *facts, *head, 0, false)) {
      settled = false;
      continue;
    }
    metrics_.missed_generations.add();
    telemetry::log_info(
        "agent", "{} came and was rotated away while nobody looked; it is read from its beginning", path);
    if (!packed) {
      continue;
    }
    FileCheckpoint fresh;
    fresh.key = log_.draw_key();
    fresh.source = random_16();
    fresh.known.prefix = fingerprint(*head);
    fresh.last_seen = fresh.names_known_at = now;
    fresh.path = gap.path;
    metrics_.generations.add();
    pending_.push_back(encode(fresh));
    put_to_sleep(fresh);
    if (!commit() || !take_up_gzip(fresh, path)) {
      looked_for_.erase(fresh.key);
      missing_[fresh.key] = {1, monotonic_now()};  // looked for again
    }
  }
  return settled;
}

}  // namespace naru::agent
