#include "tests/unit/core/spool/memory_file_system.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace naru::spool {

struct MemoryFileSystem::Inode {
  std::string bytes;
  std::string durable;
  std::vector<std::pair<std::size_t, std::size_t>> dirty;  // written since the last sync: [begin, end)
};

class MemoryFileSystem::MemoryFile final : public File {
 public:
  MemoryFile(MemoryFileSystem& files, std::shared_ptr<Inode> inode, std::string path)
      : files_(files), inode_(std::move(inode)), path_(std::move(path)), life_(files.life_) {}

  Result<std::size_t> read_at(std::uint64_t position, char* out, std::size_t size) override {
    const std::lock_guard lock(files_.mutex_);
    if (life_ != files_.life_) {
      return dead();
    }
    const std::string& bytes = inode_->bytes;
    const std::size_t from = std::min<std::size_t>(position, bytes.size());
    const std::size_t n = std::min(size, bytes.size() - from);
    std::memcpy(out, bytes.data() + from, n);
    return n;
  }

  Result<void> write_at(std::uint64_t position, std::span<const std::string_view> pieces) override {
    const std::lock_guard lock(files_.mutex_);
    if (life_ != files_.life_) {
      return dead();
    }
    std::string all;
    for (const auto piece : pieces) {
      all += piece;
    }
    std::optional<Error> error = files_.next_call();
    std::size_t n = error ? all.size() / 2 : all.size();
    std::string& bytes = inode_->bytes;
    const std::size_t growth = position + n > bytes.size() ? position + n - bytes.size() : 0;
    const std::uint64_t room = files_.space_ - std::min(files_.space_, files_.used());
    if (growth > room) {
      n -= std::min<std::size_t>(n, growth - room);
      error = error ? error : Error(ErrorCode::kNoSpace, "the disk is full");
    }
    if (n > 0) {
      bytes.resize(std::max<std::size_t>(bytes.size(), position + n));
      std::memcpy(bytes.data() + position, all.data(), n);
      inode_->dirty.emplace_back(position, position + n);
    }
    return error ? Result<void>(fail(*error)) : Result<void>();
  }

  Result<void> sync() override {
    const std::lock_guard lock(files_.mutex_);
    if (life_ != files_.life_) {
      return dead();
    }
    std::optional<Error> error = files_.next_call();
    if (files_.fail_syncs_) {
      error = Error(ErrorCode::kIo, "the disk does not answer");
    }
    if (!error) {
      inode_->durable.resize(inode_->bytes.size());
      for (auto [begin, end] : inode_->dirty) {
        end = std::min(end, inode_->bytes.size());
        if (begin < end) {
          std::memcpy(inode_->durable.data() + begin, inode_->bytes.data() + begin, end - begin);
        }
      }
    }
    inode_->dirty.clear();
    return error ? Result<void>(fail(*error)) : Result<void>();
  }

  Result<void> truncate(std::uint64_t size) override {
    const std::lock_guard lock(files_.mutex_);
    if (life_ != files_.life_) {
      return dead();
    }
    std::optional<Error> error = files_.next_call();
    if (error || files_.fail_truncates_) {
      return fail(error.value_or(Error(ErrorCode::kIo, "the disk does not answer")));
    }
    inode_->bytes.resize(size);
    return {};
  }

  Result<std::uint64_t> size() override {
    const std::lock_guard lock(files_.mutex_);
    return inode_->bytes.size();
  }

 private:
  std::unexpected<Error> dead() const {
    return fail(ErrorCode::kIo, fmt::format("'{}' was opened before the power cut", path_));
  }

  MemoryFileSystem& files_;
  std::shared_ptr<Inode> inode_;
  std::string path_;
  std::uint64_t life_;
};

class MemoryFileSystem::MemoryLock final : public DirectoryLock {
 public:
  MemoryLock(MemoryFileSystem& files, std::string path)
      : files_(files), path_(std::move(path)), life_(files.life_) {}
  ~MemoryLock() override {
    const std::lock_guard lock(files_.mutex_);
    if (life_ == files_.life_) {
      files_.locked_.erase(path_);
    }
  }

 private:
  MemoryFileSystem& files_;
  std::string path_;
  std::uint64_t life_;
};

namespace {

std::string parent_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

}  // namespace

MemoryFileSystem::MemoryFileSystem() = default;
MemoryFileSystem::~MemoryFileSystem() = default;

// Counts a call that changes something; an error when it is to fail.
std::optional<Error> MemoryFileSystem::next_call() {
  ++calls_;
  if (calls_ >= die_at_) {
    return Error(ErrorCode::kIo, "the machine is off");
  }
  if (const auto at = failing_calls_.find(calls_); at != failing_calls_.end()) {
    return Error(at->second, fmt::format("call {} fails", calls_));
  }
  return std::nullopt;
}

std::uint64_t MemoryFileSystem::used() const {
  std::uint64_t bytes = 0;
  for (const auto& [path, inode] : now_) {
    bytes += inode->bytes.size();
  }
  return bytes;
}

Result<std::unique_ptr<File>> MemoryFileSystem::open(const std::string& path, OpenMode mode) {
  const std::lock_guard lock(mutex_);
  auto at = now_.find(path);
  if (mode != OpenMode::kCreate && at == now_.end()) {
    return fail(ErrorCode::kNotFound, fmt::format("cannot open '{}'", path));
  }
  if (mode == OpenMode::kCreate) {
    if (auto error = next_call()) {
      return fail(*error);
    }
    at = now_.insert_or_assign(path, std::make_shared<Inode>()).first;
  }
  return std::make_unique<MemoryFile>(*this, at->second, path);
}

Result<void> MemoryFileSystem::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  if (auto error = next_call()) {
    return fail(*error);
  }
  const auto at = now_.find(from);
  if (at == now_.end()) {
    return fail(ErrorCode::kNotFound, fmt::format("cannot rename '{}'", from));
  }
  now_[to] = at->second;
  now_.erase(from);
  return {};
}

Result<void> MemoryFileSystem::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (auto error = next_call()) {
    return fail(*error);
  }
  if (now_.erase(path) == 0) {
    return fail(ErrorCode::kNotFound, fmt::format("cannot delete '{}'", path));
  }
  return {};
}

Result<std::vector<std::string>> MemoryFileSystem::list(const std::string& directory) {
  const std::lock_guard lock(mutex_);
  std::set<std::string> names;
  const auto add = [&](const std::string& path) {
    if (path.starts_with(directory + "/")) {
      const std::string rest = path.substr(directory.size() + 1);
      names.insert(rest.substr(0, rest.find('/')));
    }
  };
  for (const auto& [path, inode] : now_) {
    add(path);
  }
  std::ranges::for_each(directories_, add);
  return std::vector<std::string>(names.begin(), names.end());
}

// Directories are durable at once; the log never relies on less.
Result<void> MemoryFileSystem::create_directories(const std::string& path) {
  const std::lock_guard lock(mutex_);
  directories_.insert(path);
  return {};
}

Result<void> MemoryFileSystem::sync_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (auto error = next_call()) {
    return fail(*error);
  }
  if (fail_syncs_) {
    return fail(ErrorCode::kIo, "the disk does not answer");
  }
  std::erase_if(durable_, [&](const auto& entry) { return parent_of(entry.first) == path; });
  for (const auto& [name, inode] : now_) {
    if (parent_of(name) == path) {
      durable_[name] = inode;
    }
  }
  return {};
}

Result<std::unique_ptr<DirectoryLock>> MemoryFileSystem::lock_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (!locked_.insert(path).second) {
    return fail(ErrorCode::kConflict, fmt::format("'{}' is in use by another naru", path));
  }
  return std::make_unique<MemoryLock>(*this, path);
}

std::uint64_t MemoryFileSystem::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}
void MemoryFileSystem::fail_call(std::uint64_t number, ErrorCode code) {
  const std::lock_guard lock(mutex_);
  failing_calls_[number] = code;
}
void MemoryFileSystem::die_at(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  die_at_ = number;
}
void MemoryFileSystem::set_space(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  space_ = bytes;
}
void MemoryFileSystem::fail_syncs(bool fail) {
  const std::lock_guard lock(mutex_);
  fail_syncs_ = fail;
}
void MemoryFileSystem::fail_truncates(bool fail) {
  const std::lock_guard lock(mutex_);
  fail_truncates_ = fail;
}

void MemoryFileSystem::power_cut(std::optional<std::uint64_t> seed) {
  const std::lock_guard lock(mutex_);
  std::mt19937_64 random(seed.value_or(0));
  const auto coin = [&] { return seed && (random() & 1) != 0; };
  // The entries first: each name keeps its old or its new file.
  Entries names = durable_;
  for (const auto& [path, inode] : now_) {
    if (coin()) {
      names[path] = inode;
    }
  }
  for (const auto& [path, inode] : durable_) {
    if (!now_.contains(path) && coin()) {
      names.erase(path);
    }
  }
  std::set<Inode*> done;
  for (const auto& [path, inode] : names) {
    if (!done.insert(inode.get()).second) {
      continue;
    }
    if (seed) {
      std::string torn = inode->durable;
      if (coin()) {
        torn.resize(inode->bytes.size());
      }
      for (auto [begin, end] : inode->dirty) {
        for (std::size_t at = begin; at < std::min(end, torn.size());) {
          const std::size_t stop =
              std::min({(at / kSector + 1) * kSector, end, torn.size(), inode->bytes.size()});
          if (stop <= at) {
            break;
          }
          if (coin()) {
            std::memcpy(torn.data() + at, inode->bytes.data() + at, stop - at);
          }
          at = stop;
        }
      }
      inode->durable = torn;
    }
    inode->bytes = inode->durable;
    inode->dirty.clear();
  }
  now_ = names;
  durable_ = names;
  locked_.clear();
  ++life_;
  die_at_ = std::numeric_limits<std::uint64_t>::max();
  failing_calls_.clear();
}

std::string MemoryFileSystem::contents(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  return now_.at(path)->bytes;
}

void MemoryFileSystem::overwrite(const std::string& path, const std::string& contents) {
  const std::lock_guard lock(mutex_);
  auto& inode = now_[path];
  if (!inode) {
    inode = std::make_shared<Inode>();
    durable_[path] = inode;
  }
  inode->bytes = contents;
  inode->durable = contents;
  inode->dirty.clear();
}

std::vector<std::string> MemoryFileSystem::paths() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [path, inode] : now_) {
    out.push_back(path);
  }
  return out;
}

}  // namespace naru::spool
