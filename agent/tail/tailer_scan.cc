// The part of Tailer that finds files and decides which is which.
#include <fnmatch.h>
#include <sys/stat.h>

#include <algorithm>

#include "agent/tail/glob.h"
#include "agent/tail/tailer.h"
#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/telemetry/log.h"

namespace naru::agent {
namespace {

std::uint64_t nanos(std::chrono::milliseconds time) {
  return static_cast<std::uint64_t>(time.count()) * kNanosPerMilli;
}

struct Named {
  std::string path;
  std::size_t input = 0;
};

}  // namespace

Followed* Tailer::find(const std::string& path) {
  const auto at = by_path_.find(path);
  return at == by_path_.end() ? nullptr : followed_.at(at->second).get();
}

Followed* Tailer::find(const Inode& inode) {
  const auto at = by_inode_.find(inode);
  return at == by_inode_.end() ? nullptr : followed_.at(at->second).get();
}

void Tailer::complain(const std::string& path, const Error& error) {
  metrics_.unreadable_files.add();
  if (complained_.size() < config_.tail.files_max && complained_.insert(path).second) {
    telemetry::log_warn("agent", "{}; it is tried again every {} s", error.message(),
                        std::chrono::duration<double>(config_.tail.rescan_every).count());
  }
}

FileCheckpoint Tailer::checkpoint_of(const Followed& file) const {
  FileCheckpoint checkpoint;
  checkpoint.key = file.key;
  checkpoint.source = file.source;
  checkpoint.known = file.known;
  checkpoint.position = file.position;
  checkpoint.last_seen = wall_now();
  checkpoint.names_known_at = file.names_known_at;
  checkpoint.path = file.first_path;
  return checkpoint;
}

void Tailer::scan() {
  const std::uint64_t now = monotonic_now();
  scan_due_ = false;
  scan_at_ = now + nanos(config_.tail.rescan_every);

  std::vector<Named> found;
  std::set<std::string> paths;
  for (std::size_t input = 0; input < config_.files.size(); ++input) {
    for (const std::string& pattern : config_.files[input].include) {
      expand(
          pattern,
          [&](const std::string& directory) {
            if (!watch_.add_directory(directory.empty() ? "/" : directory)) {
              watch_incomplete_ = true;
            }
          },
          [&](const std::string& path) {
            if (!excluded(path, config_.files[input].exclude) && paths.insert(path).second) {
              found.push_back({path, input});
            }
          });
    }
  }

  // First what is known by its inode, so that a name that moved on is not taken for another file.
  std::set<SourceKey> named;
  for (int pass = 0; pass < 2; ++pass) {
    for (const Named& one : found) {
      struct stat status{};
      if (::stat(one.path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
        continue;
      }
      const Inode inode{status.st_dev, status.st_ino};
      if (Followed* file = find(inode)) {
        if (!named.insert(file->key).second) {
          continue;  // another name of the same file
        }
        if (file->path != one.path) {
          if (const auto at = by_path_.find(file->path); at != by_path_.end() && at->second == file->key) {
            by_path_.erase(at);
          }
          file->path = one.path;
        }
        by_path_[one.path] = file->key;
        file->named = true;
        suspects_.erase(one.path);
        if (static_cast<std::uint64_t>(status.st_size) != file->known.offset) {
          enqueue(*file);
        }
      } else if (pass == 1 || sleeping_by_inode_.contains(inode)) {
        meet(one.path, one.input);
        if (const Followed* met = find(inode)) {
          named.insert(met->key);
        }
      }
    }
  }
  for (const auto& [key, file] : followed_) {
    if (file->named && !named.contains(key)) {
      file->named = false;
      file->changed_at = now;
      enqueue(*file);
      copying_.insert(key);
      note_gap(file->first_path, file->input);
    }
  }
  std::erase_if(suspects_, [&](const auto& suspect) { return !paths.contains(suspect.first); });

  find_sleeping();
  find_missed();
  if (!unbuilt_.empty()) {
    const bool grace_is_over = now - began_at_ >= nanos(config_.tail.copy_grace) && rests_.is_open();
    resend(grace_is_over);
  }
  forget_old();
  if (first_start_) {
    log_.read([this](const State& state) {
      State started = state;
      started.started = true;
      pending_.push_back(encode_totals(started));
    });
  }
  commit();
}

void Tailer::meet(const std::string& path, std::size_t input) {
  Result<File> opened = File::open(path);
  if (!opened) {
    if (opened.error().code() != ErrorCode::kNotFound) {
      complain(path, opened.error());
    }
    return;
  }
  const Result<File::Facts> facts = opened->facts();
  const Result<std::string> head = opened->read(0, kFingerprintBytesMax);
  if (!facts || !head) {
    complain(path, facts ? head.error() : facts.error());
    return;
  }
  complained_.erase(path);
  if (find(facts->inode) != nullptr) {
    return;
  }

  const auto match = [&](const FileCheckpoint& checkpoint) {
    // Of a file that was empty only its name tells that it is still the same.
    if (checkpoint.known.prefix.size == 0 && !is_name_of(checkpoint, path)) {
      return Match::kUnrelated;
    }
    if (!begins_with(*head, checkpoint.known.prefix) || facts->size < checkpoint.known.offset) {
      return Match::kUnrelated;
    }
    const Result<Look> seen = look_at(*opened, checkpoint.known);
    const Match found = seen ? compare(checkpoint.known, seen->seen()) : Match::kUnrelated;
    return found == Match::kCopy && !may_be_copy(checkpoint, path) ? Match::kUnrelated : found;
  };
  // The same file, else of several that it may be a copy of, the one read furthest.
  const FileCheckpoint* known = nullptr;
  const auto [begin, end] = sleeping_by_inode_.equal_range(facts->inode);
  for (auto entry = begin; entry != end && known == nullptr; ++entry) {
    const FileCheckpoint& checkpoint = sleeping_.at(entry->second);
    known = match(checkpoint) == Match::kSame ? &checkpoint : nullptr;
  }
  if (known == nullptr) {
    for (const auto& [key, checkpoint] : sleeping_) {
      if ((known == nullptr || known->known.offset < checkpoint.known.offset) &&
          match(checkpoint) == Match::kCopy) {
        known = &checkpoint;
      }
    }
  }
  if (known != nullptr) {
    take_up(FileCheckpoint(*known), path, input, true, std::move(*opened), *facts);
    return;
  }

  // A copy may be seen before the truncation of its original, and that may happen between two looks.
  do {
    settle_rewritten(files_that_begin_like(path, *head));
    if (find(facts->inode) != nullptr || wait_as_suspect(path, input, *opened, *facts, *head)) {
      return;
    }
  } while (settle_rewritten(files_that_begin_like(path, *head)));
  const bool near_end = first_start_ && !config_.files[input].from_start;
  const std::uint64_t offset = near_end ? first_offset(*opened, facts->size) : 0;
  follow_new(path, input, std::move(*opened), *facts, *head, offset);
}

void Tailer::add(std::unique_ptr<Followed> file) {
  // A link's target lies in a directory that is not watched.
  struct stat status{};
  if (::lstat(file->path.c_str(), &status) == 0 && S_ISLNK(status.st_mode)) {
    file->watched = watch_.add_file(file->path);
  }
  ++open_files_;
  by_inode_[file->known.inode] = file->key;
  if (file->named) {
    by_path_[file->path] = file->key;
  }
  Followed& added = *file;
  followed_[added.key] = std::move(file);
  enqueue(added);
  if (open_files_ > config_.tail.open_files_max) {
    for (auto& [key, other] : followed_) {
      if (other->file.is_open() && other->named && other->lag() == 0 && !other->ready) {
        other->file.close();
        --open_files_;
        break;
      }
    }
  }
}

void Tailer::take_up(const FileCheckpoint& checkpoint, const std::string& path, std::size_t input, bool named,
                     File file, const File::Facts& facts) {
  auto followed = std::make_unique<Followed>();
  followed->key = checkpoint.key;
  followed->source = checkpoint.source;
  followed->known = checkpoint.known;
  followed->position = checkpoint.position;
  followed->path = path;
  followed->first_path = checkpoint.path;
  followed->resource = resource_of(input, checkpoint.path);
  followed->input = input;
  followed->named = named;
  followed->names_known_at = checkpoint.names_known_at;
  followed->file = std::move(file);
  followed->size = facts.size;
  followed->known.born = facts.born;
  if (!named) {
    copying_.insert(checkpoint.key);
  }
  followed->changed_at = monotonic_now();
  if (followed->known.inode != facts.inode) {
    metrics_.copies_inherited.add();
    followed->known.inode = facts.inode;
    // What was read of it stands in batches that must be noted before this offset is.
    for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
      seal(lane);
    }
    pending_.push_back(encode(checkpoint_of(*followed)));
  }
  wake(checkpoint.key);
  index_head(*followed, followed->file.read(0, kFingerprintBytesMax).value_or(std::string()));
  add(std::move(followed));
}

bool Tailer::follow_new(const std::string& path, std::size_t input, File file, const File::Facts& facts,
                        const std::string& head, std::uint64_t offset, bool named) {
  if (followed_.size() >= config_.tail.files_max) {
    metrics_.files_over_limit.add();
    if (!complained_limit_) {
      complained_limit_ = true;
      telemetry::log_error(
          "agent",
          "{} and further new files wait: {} files are followed already; raise tail.files_max or "
          "narrow the patterns",
          path, followed_.size());
    }
    return false;
  }
  auto followed = std::make_unique<Followed>();
  followed->key = log_.draw_key();
  followed->source = random_16();
  followed->known.inode = facts.inode;
  followed->known.born = facts.born;
  followed->names_known_at = changed_at(directory_of(path)).value_or(facts.modified);
  followed->known.prefix = fingerprint(head);
  followed->known.offset = offset;
  followed->known.window = window_of(file, offset).value_or(Fingerprint{});
  followed->path = followed->first_path = path;
  followed->resource = resource_of(input, path);
  followed->input = input;
  followed->file = std::move(file);
  followed->size = facts.size;
  followed->changed_at = monotonic_now();
  metrics_.generations.add();
  pending_.push_back(encode(checkpoint_of(*followed)));
  followed->named = named;
  if (!named) {
    copying_.insert(followed->key);
  } else if (!first_start_) {
    note_gap(path, input);
  }
  index_head(*followed, head);
  add(std::move(followed));
  return true;
}

std::string Tailer::resource_of(std::size_t input, const std::string& path) const {
  std::map<std::string, std::string> attributes = resource_;
  if (input < config_.files.size()) {
    for (const auto& [key, value] : config_.files[input].attributes) {
      attributes[key] = value;
    }
    if (!config_.files[input].service_name.empty()) {
      attributes["service.name"] = config_.files[input].service_name;
    }
  }
  return file_resource(std::move(attributes), path);
}

// Where a file begins that was there at the very first start: at a line, at most first_start_bytes_max before
// its end.
std::uint64_t Tailer::first_offset(const File& file, std::uint64_t size) const {
  const std::uint64_t wanted = config_.tail.first_start_bytes_max;
  if (size <= wanted) {
    return 0;
  }
  // From the byte before, so that a line that begins exactly there counts as one.
  const std::uint64_t from = size - wanted - 1;
  const Result<std::string> bytes = file.read(from, static_cast<std::size_t>(wanted + 1));
  const std::size_t start = bytes ? first_line_start(*bytes, 0) : std::string::npos;
  return start == std::string::npos ? size : from + start;
}

std::size_t Tailer::input_of(const std::string& path) const {
  for (std::size_t input = 0; input < config_.files.size(); ++input) {
    for (const std::string& pattern : config_.files[input].include) {
      if (::fnmatch(pattern.c_str(), path.c_str(), 0) == 0) {
        return input;
      }
    }
  }
  return config_.files.size();
}

// The file was truncated or its content replaced: a new generation begins at 0 under the same name, and what
// was not read of the old one is looked for in a copy.
void Tailer::rewritten(Followed& file, std::uint64_t unread) {
  const FileCheckpoint old = checkpoint_of(file);
  const std::string path = file.path;
  const std::size_t input = file.input;
  const bool named = file.named;
  const std::uint64_t now = monotonic_now();
  drop(file.key);
  looked_for_.erase(old.key);
  note_gap(old.path, input);
  const bool found = find_rest_of(old);
  settle_suspects(old.key, old.known.offset);
  if (!found && unread > 0) {
    missing_[old.key] = {unread, now};
  }
  if (!named) {
    return;
  }
  // Not by meet(): its old checkpoint must not be found again for the same inode.
  Result<File> opened = File::open(path);
  const Result<File::Facts> facts = opened ? opened->facts() : Result<File::Facts>(fail(opened.error()));
  const Result<std::string> head =
      facts ? opened->read(0, kFingerprintBytesMax) : Result<std::string>(fail(facts.error()));
  if (!head || find(facts->inode) != nullptr || facts->inode != old.known.inode) {
    scan_due_ = true;
    return;
  }
  follow_new(path, input, std::move(*opened), *facts, *head, 0);
}

void Tailer::drop(SourceKey key) {
  const auto at = followed_.find(key);
  const Followed& file = *at->second;
  if (file.file.is_open()) {
    --open_files_;
  }
  if (const auto path = by_path_.find(file.path); path != by_path_.end() && path->second == key) {
    by_path_.erase(path);
  }
  if (const auto inode = by_inode_.find(file.known.inode); inode != by_inode_.end() && inode->second == key) {
    by_inode_.erase(inode);
  }
  std::erase(ready_, key);
  copying_.erase(key);
  unpacking_.erase(key);
  unindex_head(file);
  put_to_sleep(checkpoint_of(file));
  followed_.erase(at);
}

// What inotify does not tell of: sizes of files behind links and of renamed ones, lines that wait for their
// end, files that are at their end for good, copies in the making.
void Tailer::look() {
  const std::uint64_t now = monotonic_now();
  look_at_ = now + nanos(config_.tail.look_every);
  std::vector<SourceKey> over, elsewhere;
  for (const auto& [key, file] : followed_) {
    if (file->lag() > 0 && !file->ready) {
      enqueue(*file);
    }
    if (file->named && file->watched && !watch_incomplete_) {
      continue;
    }
    if (!file->file.is_open() && file->named) {
      enqueue(*file);
      continue;
    }
    if (!ensure_open(*file)) {  // it lost its name while it was closed
      elsewhere.push_back(key);
      continue;
    }
    const Result<File::Facts> facts = file->file.facts();
    if (!facts) {
      continue;
    }
    if (facts->size != file->size) {
      enqueue(*file);
      continue;
    }
    if (file->named) {
      continue;
    }
    copying_.insert(key);
    const bool grows = file->file.is_copy() ? unpacking_.contains(key)
                                            : now - file->changed_at < nanos(config_.tail.unnamed_wait);
    if (grows) {
      continue;
    }
    if (file->lag() > 0) {
      file->finish = true;
      enqueue(*file);
    } else {
      over.push_back(key);
    }
  }
  for (const SourceKey key : over) {
    looked_for_.insert(key);
    drop(key);
  }
  for (const SourceKey key : elsewhere) {
    drop(key);
  }
  open_spool();
  release_copies();
  if (!suspects_.empty() || !missing_.empty() || !gaps_.empty() || !unbuilt_.empty() || !elsewhere.empty()) {
    scan_due_ = true;
  }
}

}  // namespace naru::agent
