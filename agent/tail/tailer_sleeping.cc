// The part of Tailer that knows the generations no followed file has: it looks for their rests, for others
// that had their names, and forgets them.
#include <sys/stat.h>

#include <algorithm>
#include <limits>

#include "agent/tail/glob.h"
#include "agent/tail/rotation.h"
#include "agent/tail/tailer.h"
#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/telemetry/log.h"

namespace naru::agent {
namespace {

constexpr std::uint64_t kGapMax = 600 * kNanosPerSecond;  // how long files of a gap may take to settle

std::uint64_t nanos(std::chrono::milliseconds time) {
  return static_cast<std::uint64_t>(time.count()) * kNanosPerMilli;
}

}  // namespace

UnixNanos Tailer::forget_after() const {
  return static_cast<UnixNanos>(std::chrono::nanoseconds(config_.tail.forget_after).count());
}

void Tailer::put_to_sleep(FileCheckpoint checkpoint) {
  sleeping_by_inode_.emplace(checkpoint.known.inode, checkpoint.key);
  sleeping_[checkpoint.key] = std::move(checkpoint);
}

void Tailer::wake(SourceKey key) {
  const auto at = sleeping_.find(key);
  if (at == sleeping_.end()) {
    return;
  }
  const auto [begin, end] = sleeping_by_inode_.equal_range(at->second.known.inode);
  for (auto entry = begin; entry != end; ++entry) {
    if (entry->second == key) {
      sleeping_by_inode_.erase(entry);
      break;
    }
  }
  needs_room_.erase(key);
  sleeping_.erase(at);
}

// A generation that no pattern names any more may still be there under another name, or as a copy. One that
// is known to have more is looked for again for a while: its copy may still be being made.
void Tailer::find_sleeping() {
  const std::uint64_t now = monotonic_now();
  std::set<SourceKey> in_flight;
  for (const Batch& batch : unbuilt_) {
    for (const Range& range : batch.files) {
      in_flight.insert(range.key);
    }
  }
  std::vector<FileCheckpoint> candidates;
  for (const auto& [key, checkpoint] : sleeping_) {
    if (!looked_for_.contains(key)) {
      candidates.push_back(checkpoint);
    }
  }
  for (const FileCheckpoint& checkpoint : candidates) {
    const SourceKey key = checkpoint.key;
    if (!sleeping_.contains(key)) {
      continue;
    }
    const bool found = find_rest_of(checkpoint);
    const auto [missing, fresh] = missing_.try_emplace(key, Missing{0, now});
    if (fresh) {
      note_gap(checkpoint.path, input_of(checkpoint.path));
    }
    if (needs_room_.contains(key)) {
      continue;
    }
    const bool patient =
        missing->second.unread > 0 || in_flight.contains(key) || rests_.find(checkpoint.source);
    const bool grace_is_over = now - missing->second.since >= nanos(config_.tail.copy_grace);
    if (!found && patient && (!grace_is_over || !rests_.is_open())) {
      continue;
    }
    if (!found && missing->second.unread > 0) {
      metrics_.lost_by_truncation_bytes.add(missing->second.unread);
      telemetry::log_error(
          "agent",
          "{} was truncated or deleted before its last {} bytes were read, and no copy of it "
          "was found",
          checkpoint.path, missing->second.unread);
    }
    missing_.erase(missing);
    if (!found) {
      looked_for_.insert(key);
    }
  }
}

// Looks for the rest of a generation that lost its name: the file itself or a copy of it beside it, its copy
// in the spool, a compressed copy.
bool Tailer::find_rest_of(const FileCheckpoint& sleeping) {
  needs_room_.erase(sleeping.key);
  if (take_up_file(sleeping)) {
    return true;
  }
  const std::shared_ptr<RestCopy> copy = rests_.find(sleeping.source);
  const bool whole = copy != nullptr && copy->end() == copy->file_size();
  return (whole && take_up_copy(sleeping)) || take_up_gzip(sleeping) || take_up_copy(sleeping);
}

// Whether rotation may have given that name to the file.
bool Tailer::is_name_of(const FileCheckpoint& checkpoint, const std::string& path) {
  return checkpoint.path == path || is_rotated_name(name_of(checkpoint.path), name_of(path));
}

// A few bytes are no proof: many files begin with the same line.
bool Tailer::may_be_copy(const FileCheckpoint& checkpoint, const std::string& path) {
  return checkpoint.known.offset >= kFingerprintBytesMax || is_name_of(checkpoint, path);
}

bool Tailer::take_up_file(const FileCheckpoint& sleeping) {
  const std::string directory = directory_of(sleeping.path);
  for (const std::string& name : regular_files_in(directory).value_or(std::vector<std::string>())) {
    const std::string path = join_path(directory, name);
    Result<File> opened = File::open(path);
    const Result<File::Facts> facts = opened ? opened->facts() : Result<File::Facts>(fail(opened.error()));
    if (!facts || find(facts->inode) != nullptr) {
      continue;
    }
    const Result<Look> seen = look_at(*opened, sleeping.known);
    const Match match = seen ? compare(sleeping.known, seen->seen()) : Match::kUnrelated;
    if ((match == Match::kSame && (sleeping.known.prefix.size > 0 || is_name_of(sleeping, path))) ||
        (match == Match::kCopy && may_be_copy(sleeping, path))) {
      suspects_.erase(path);
      take_up(sleeping, path, input_of(sleeping.path), false, std::move(*opened), *facts);
      scan_due_ = true;  // a pattern may name it
      return true;
    }
  }
  return false;
}

// Whether the file, and not only its inode, is that of a sleeping generation.
bool Tailer::is_sleeping(const File& file, const Inode& inode) const {
  const auto [begin, end] = sleeping_by_inode_.equal_range(inode);
  return std::any_of(begin, end, [&](const auto& entry) {
    const KnownFile& known = sleeping_.at(entry.second).known;
    const Result<Look> seen = look_at(file, known);
    return seen && compare(known, seen->seen()) == Match::kSame;
  });
}

// Whether a file, packed or not, holds all that was read of a generation that is known. `size`: of what it
// holds, right up to kFingerprintBytesMax. A few bytes are no proof where more follows and nothing of the
// generation is missing: many files begin with the same line.
bool Tailer::holds_known(const File& file, std::uint64_t size, bool packed) const {
  const auto holds = [&](const KnownFile& known) {
    if (packed) {
      return unpacked_head(file, known).has_value();
    }
    const Result<Look> seen = look_at(file, known);
    return seen && compare(known, seen->seen()) == Match::kCopy;
  };
  return std::ranges::any_of(sleeping_,
                             [&](const auto& entry) {
                               const auto& [key, known] = std::pair(entry.first, entry.second.known);
                               const bool proof =
                                   known.offset >= kFingerprintBytesMax || known.offset == size;
                               return (proof || missing_.contains(key)) && holds(known);
                             }) ||
         std::ranges::any_of(followed_, [&](const auto& entry) {
           return entry.second->file.is_copy() && holds(entry.second->known);
         });
}

void Tailer::note_gap(const std::string& path, std::size_t input) {
  const auto same = std::ranges::find(gaps_, path, &Gap::path);
  if (same == gaps_.end()) {
    gaps_.push_back({path, input, monotonic_now()});
  } else {
    same->since = monotonic_now();
  }
}

// Files that had the name of a gap and lost it before they were seen.
void Tailer::find_missed() {
  if (gaps_.empty()) {
    return;
  }
  struct Span {
    UnixNanos first = 0, last = 0;
  };
  std::unordered_map<std::string, Span> known_at;
  const auto note = [&](const std::string& path, UnixNanos at) {
    Span& span = known_at.try_emplace(path, Span{at, at}).first->second;
    span = {std::min(span.first, at), std::max(span.last, at)};
  };
  for (const auto& [key, file] : sleeping_) {
    note(file.path, file.names_known_at);
  }
  for (const auto& [key, file] : followed_) {
    note(file->first_path, file->names_known_at);
  }
  const std::uint64_t now = monotonic_now();
  const auto grace = nanos(config_.tail.copy_grace);
  for (Gap& gap : std::exchange(gaps_, {})) {
    const auto known = known_at.find(gap.path);
    const std::optional<UnixNanos> changed = changed_at(directory_of(gap.path));
    if (changed != gap.changed) {
      gap.changed = changed;
      gap.changed_since = now;
    }
    const auto [first, last] = known == known_at.end() ? Span{} : known->second;
    const bool went_back = changed && *changed < last;
    const UnixNanos after =
        went_back ? std::min(first, *changed - std::min(*changed, forget_after() / 2)) : first;
    const bool settled = known == known_at.end() || (changed && find_missed(gap, after));
    const std::uint64_t age = now - gap.since;
    if (age < 2 * grace || (!settled && age < kGapMax)) {
      gaps_.push_back(std::move(gap));
      continue;
    }
    if (settled && went_back) {
      telemetry::log_warn(
          "agent",
          "the clock of the file system went back by at least {} s: all rotated files of {} that "
          "nobody knew and that were modified up to {} h earlier were read",
          (last - *changed) / kNanosPerSecond, gap.path, config_.tail.forget_after.count() / 2);
    }
    if (settled && changed) {
      note_names(gap.path, *changed, went_back);
    }
  }
}

// Of all files that have or had this name.
void Tailer::note_names(const std::string& path, UnixNanos known_at, bool went_back) {
  const auto note = [&](SourceKey key, UnixNanos& of_file) {
    if (of_file < known_at || (went_back && of_file > known_at)) {
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
    if (file->first_path == path) {
      note(key, file->names_known_at);
    }
  }
}

// False: a file may be one of them and is still being written, or may have been overlooked.
//
// Which files are new is told by the clock of the file system alone, and how long nothing changed by the
// monotonic one: the wall clock of this host may be set, and is not that of a file server.
bool Tailer::find_missed(Gap& gap, UnixNanos after) {
  const std::string directory = directory_of(gap.path);
  const std::string base = name_of(gap.path);
  const std::uint64_t now = monotonic_now();
  const auto grace = nanos(config_.tail.copy_grace);
  // Names that come and go while the directory is read may be seen under none.
  bool settled = now - gap.changed_since >= grace;
  const Result<std::vector<std::string>> names = regular_files_in(directory);
  if (!names) {
    complain(directory, names.error());
    return false;
  }
  for (const std::string& name : *names) {
    const std::string path = join_path(directory, name);
    if (!is_numbered_rotation(base, name) || find(path) != nullptr) {
      continue;
    }
    if (const std::size_t input = input_of(path);
        input < config_.files.size() && !excluded(path, config_.files[input].exclude)) {
      continue;  // a pattern finds it
    }
    Result<File> opened = File::open(path);
    const Result<File::Facts> facts = opened ? opened->facts() : Result<File::Facts>(fail(opened.error()));
    if (!facts && facts.error().code() != ErrorCode::kNotFound) {
      complain(path, facts.error());
      settled = false;
    }
    if (!facts || facts->size == 0 || facts->modified < after || find(facts->inode) != nullptr ||
        is_sleeping(*opened, facts->inode)) {
      continue;
    }
    Quiet& quiet = gap.files[facts->inode];
    if (quiet.size != facts->size || quiet.modified != facts->modified) {
      quiet = {facts->size, facts->modified, now};
    }
    if (now - quiet.since < grace) {
      settled = false;
      continue;
    }
    Result<std::string> head = opened->read(0, kFingerprintBytesMax);
    const bool packed = head && looks_like_gzip(*head);
    if (packed) {
      Result<File> again = opened->again();
      head = again ? Gunzip(std::move(*again)).read(kFingerprintBytesMax)
                   : Result<std::string>(fail(again.error()));
    }
    const auto live = [&](SourceKey key) {
      const Followed& other = *followed_.at(key);
      if (!packed) {
        return other.file.is_open() && holds_beginning_of(*opened, facts->size, *head, other);
      }
      const Result<std::string> begin = other.file.read(0, head->size());
      return begin && *begin == *head;
    };
    // It may be damaged, or not whole yet; a file that was truncated behind its back goes on in its copy; one
    // that was not truncated may be about to be.
    if (!head || settle_rewritten(files_that_begin_like(path, *head)) ||
        std::ranges::any_of(files_that_begin_like(path, *head), live)) {
      settled = false;
      continue;
    }
    if (head->empty() || holds_known(*opened, packed ? head->size() : facts->size, packed)) {
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
    fresh.last_seen = wall_now();
    fresh.names_known_at = *gap.changed;
    fresh.path = gap.path;
    metrics_.generations.add();
    pending_.push_back(encode(fresh));
    put_to_sleep(fresh);
    if (!commit() || !take_up_gzip(fresh, *opened)) {
      looked_for_.erase(fresh.key);
      missing_[fresh.key] = {1, monotonic_now()};  // looked for again
    }
  }
  return settled && changed_at(directory) == gap.changed;
}

void Tailer::forget_old() {
  const UnixNanos now = wall_now();
  std::set<SourceKey> needed;
  const auto need = [&needed](const std::vector<Range>& ranges) {
    for (const Range& range : ranges) {
      needed.insert(range.key);
    }
  };
  for (const Lane& lane : lanes_) {
    need(lane.open.ranges());
  }
  for (const Sealed& sealed : sealed_) {
    need(sealed.batch.files);
  }
  log_.read([&](const State& state) {
    for (const auto& [number, batch] : state.in_flight) {
      need(batch.files);
    }
  });
  // Of the files that had one name the older are forgotten first, and only once all names are known at a
  // later moment: find_missed() takes one that changed after that, and is unknown itself, for a file that
  // nobody read.
  struct Name {
    std::size_t files = 0;
    UnixNanos known_at = std::numeric_limits<UnixNanos>::max();
  };
  std::unordered_map<std::string, Name> names;
  const auto count = [&names](const std::string& path, UnixNanos known_at) {
    Name& name = names[path];
    ++name.files;
    name.known_at = std::min(name.known_at, known_at);
  };
  for (const auto& [key, file] : sleeping_) {
    count(file.path, file.names_known_at);
  }
  for (const auto& [key, file] : followed_) {
    count(file->first_path, file->names_known_at);
  }
  std::set<std::string> kept;
  std::vector<SourceKey> old;
  const auto may_go = [&](const FileCheckpoint& file) {
    const Name& name = names[file.path];
    return file.last_seen + forget_after() < now && (name.files == 1 || file.last_seen < name.known_at) &&
           !needed.contains(file.key) && rests_.find(file.source) == nullptr &&
           !missing_.contains(file.key) && !kept.contains(file.path);
  };
  auto followed = followed_.begin();
  for (const auto& [key, file] : sleeping_) {
    for (; followed != followed_.end() && followed->first < key; ++followed) {
      if (!followed->second->named) {
        kept.insert(followed->second->first_path);
      }
    }
    if (may_go(file)) {
      old.push_back(key);
      --names[file.path].files;
    } else {
      kept.insert(file.path);
    }
  }
  for (const SourceKey key : old) {
    wake(key);
    looked_for_.erase(key);
    pending_.push_back(encode_forget(key));
  }
}

}  // namespace naru::agent
