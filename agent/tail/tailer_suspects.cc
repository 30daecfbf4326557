// The part of Tailer that tells copies in the making from files that begin alike.
#include <algorithm>
#include <iterator>

#include "agent/tail/glob.h"
#include "agent/tail/tailer.h"
#include "core/base/clock.h"

namespace naru::agent {
namespace {

constexpr std::size_t kHeadBytes = 64;  // by which files that begin alike are found

std::uint64_t nanos(std::chrono::milliseconds time) {
  return static_cast<std::uint64_t>(time.count()) * kNanosPerMilli;
}

}  // namespace

std::vector<SourceKey> Tailer::files_that_begin_like(const std::string& path, const std::string& head) const {
  const std::string directory = directory_of(path) + '\0';
  const std::string wanted = directory + head.substr(0, kHeadBytes);
  std::vector<SourceKey> keys;
  for (auto at = by_head_.lower_bound(wanted); at != by_head_.end() && at->first.starts_with(wanted); ++at) {
    keys.push_back(at->second);
  }
  // And those that were shorter when they were last read.
  for (std::size_t size = wanted.size() - 1; size > directory.size(); --size) {
    const auto [begin, end] = by_head_.equal_range(wanted.substr(0, size));
    for (auto at = begin; at != end; ++at) {
      keys.push_back(at->second);
    }
  }
  return keys;
}

// Whether one of the files was rewritten; it is then a new generation.
bool Tailer::settle_rewritten(const std::vector<SourceKey>& keys) {
  bool any = false;
  for (const SourceKey key : keys) {
    const auto at = followed_.find(key);
    if (at == followed_.end() || !ensure_open(*at->second)) {
      continue;
    }
    const Result<Look> seen = look_at(at->second->file, at->second->known);
    if (seen && compare(at->second->known, seen->seen()) == Match::kRewritten) {
      rewritten(*at->second, at->second->lag());
      any = true;
    }
  }
  return any;
}

void Tailer::unindex_head(const Followed& file) {
  const auto [begin, end] = by_head_.equal_range(file.head);
  for (auto at = begin; at != end; ++at) {
    if (at->second == file.key) {
      by_head_.erase(at);
      return;
    }
  }
}

void Tailer::index_head(Followed& file, std::string_view head) {
  unindex_head(file);
  file.head = directory_of(file.path) + '\0' + std::string(head.substr(0, kHeadBytes));
  if (!head.empty()) {
    by_head_.emplace(file.head, file.key);
  }
}

// Whether everything in `copy` is the beginning of the other file too, by its first and last bytes.
bool Tailer::holds_beginning_of(const File& copy, std::uint64_t size, const std::string& head,
                                const Followed& of) const {
  const Result<File::Facts> facts = of.file.facts();
  if (!facts || facts->size < size) {
    return false;
  }
  const Result<std::string> other_head = of.file.read(0, head.size());
  const std::uint64_t tail = std::min<std::uint64_t>(size, kFingerprintBytesMax);
  const Result<std::string> own_tail = copy.read(size - tail, tail);
  const Result<std::string> other_tail = of.file.read(size - tail, tail);
  return other_head && own_tail && other_tail && *other_head == head && *own_tail == *other_tail;
}

// True: the file may be a copy that is being made of a file that is followed, and is not read for now.
bool Tailer::wait_as_suspect(const std::string& path, std::size_t input, const File& file,
                             const File::Facts& facts, const std::string& head) {
  const std::uint64_t size = facts.size;
  SourceKey like = 0;
  const std::vector<SourceKey> keys = files_that_begin_like(path, head);
  for (const SourceKey key : keys) {
    const Followed& other = *followed_.at(key);
    if (size > 0 && other.file.is_open() && holds_beginning_of(file, size, head, other)) {
      like = key;
      break;
    }
  }
  // Of an empty file nothing is lost by waiting for its first bytes.
  if (like == 0 && (size > 0 || keys.empty())) {
    suspects_.erase(path);
    return false;
  }
  const std::uint64_t now = monotonic_now();
  Suspect& suspect = suspects_.try_emplace(path, Suspect{input, facts.inode, like, size, now}).first->second;
  suspect.like = like;
  if (suspect.size != size || suspect.inode != facts.inode) {
    suspect.inode = facts.inode;
    suspect.size = size;
    suspect.since = now;
  }
  if (now - suspect.since < nanos(config_.tail.copy_grace)) {
    return true;
  }
  suspects_.erase(path);
  return false;
}

// `like` was rewritten when `offset` bytes of it were records. Copies that end before that hold nothing new.
void Tailer::settle_suspects(SourceKey like, std::uint64_t offset) {
  std::vector<std::pair<std::string, Suspect>> of_it;
  std::ranges::copy_if(suspects_, std::back_inserter(of_it),
                       [like](const auto& suspect) { return suspect.second.like == like; });
  for (const auto& [path, suspect] : of_it) {
    Result<File> opened = File::open(path);
    const Result<File::Facts> facts = opened ? opened->facts() : Result<File::Facts>(fail(opened.error()));
    const Result<std::string> head =
        facts ? opened->read(0, kFingerprintBytesMax) : Result<std::string>(fail(facts.error()));
    if (head && facts->inode == suspect.inode && facts->size == suspect.size && facts->size <= offset &&
        find(facts->inode) == nullptr) {
      suspects_.erase(path);
      // What makes the copy needless stands in batches that must be noted before it is.
      for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
        seal(lane);
      }
      follow_new(path, suspect.input, std::move(*opened), *facts, *head, facts->size);
    }
  }
}

}  // namespace naru::agent
