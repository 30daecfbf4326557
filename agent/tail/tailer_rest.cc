// The part of Tailer that keeps what is left of files that lost their names: copies in the spool, compressed
// copies.
#include <algorithm>

#include "agent/tail/glob.h"
#include "agent/tail/rotation.h"
#include "agent/tail/tailer.h"
#include "core/base/clock.h"
#include "core/telemetry/log.h"

namespace naru::agent {
namespace {

constexpr std::size_t kCopyBytesPerStep = 8u << 20;  // then reading and sending get their turn
constexpr std::uint64_t kComplainEvery = 30 * kNanosPerSecond;
constexpr std::uint64_t kNoDevice = ~std::uint64_t{0};

std::size_t window_size_at(std::uint64_t offset) {
  return std::min<std::uint64_t>(kFingerprintBytesMax, offset);
}

// More than was read while more follows, so that a copy that was cut off here is not taken for the whole.
std::uint64_t size_so_far(const Gunzip& stream) {
  return stream.offset() + (stream.at_end() ? 0 : 1);
}

}  // namespace

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
  if (rests_.damaged_places() > 0) {
    metrics_.spool_damaged_bytes.add(rests_.damaged_bytes());
    telemetry::log_error("agent",
                         "{} damaged places, {} bytes, in the agent's spool {}/spool were passed over",
                         rests_.damaged_places(), rests_.damaged_bytes(), config_.state_dir);
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
  for (const std::string& name : regular_files_in(directory).value_or(std::vector<std::string>())) {
    if (!is_rotated_name(name_of(sleeping.path), name)) {
      continue;
    }
    if (const Result<File> file = File::open(join_path(directory, name));
        file && take_up_gzip(sleeping, *file)) {
      return true;
    }
  }
  return false;
}

// Twice through one open file, whose name may be another one's by then: first to see that it is this
// generation, then on into the spool.
bool Tailer::take_up_gzip(const FileCheckpoint& sleeping, const File& packed) {
  const Result<std::string> head = unpacked_head(packed, sleeping.known);
  const std::optional<FileCheckpoint> from = unacknowledged(sleeping);
  if (!head || !from || !rests_.is_open()) {
    return false;
  }
  std::optional<Gunzip> stream = open_gzip(packed);
  std::shared_ptr<RestCopy> copy = rests_.find(sleeping.source);
  const std::uint64_t begin =
      copy != nullptr ? copy->end() : from->known.offset - window_size_at(from->known.offset);
  if (!stream || !skip_to(*stream, begin, {})) {
    return false;
  }
  if (copy == nullptr) {
    copy = begin_copy(*from, *head);
  }
  if (copy == nullptr) {
    needs_room_.insert(sleeping.key);
    return false;
  }
  while (copy->end() < sleeping.known.offset) {
    const Result<std::string> bytes =
        stream->read(std::min<std::uint64_t>(RestSpool::kPieceBytes, sleeping.known.offset - copy->end()));
    if (!bytes || bytes->empty()) {
      return false;
    }
    if (const auto written = rests_.append(*copy, *bytes, size_so_far(*stream), wall_now()); !written) {
      spool_refused(written.error());
      needs_room_.insert(sleeping.key);
      return false;
    }
  }
  File file = File::of(copy, {kNoDevice, sleeping.key});
  const File::Facts facts = file.facts().value();
  const SourceKey key = sleeping.key;
  unpacking_.insert_or_assign(key, Unpacking{std::move(*stream), *head, {}});
  take_up(sleeping, sleeping.path, input_of(sleeping.path), false, std::move(file), facts);
  return true;
}

}  // namespace naru::agent
