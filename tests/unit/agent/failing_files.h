// A file system whose writing calls fail while a switch is on.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "core/spool/file_system.h"

namespace naru::agent::test {

class FailingFiles final : public spool::FileSystem {
 public:
  Result<std::unique_ptr<spool::File>> open(const std::string& path, spool::OpenMode mode) override {
    if (mode == spool::OpenMode::kCreate) {
      NARU_TRY_VOID(refuse());
    }
    NARU_TRY(auto file, real_.open(path, mode));
    return std::make_unique<FailingFile>(*this, std::move(file));
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    NARU_TRY_VOID(refuse());
    return real_.rename(from, to);
  }
  Result<void> remove(const std::string& path) override { return real_.remove(path); }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    return real_.list(directory);
  }
  Result<void> create_directories(const std::string& path) override { return real_.create_directories(path); }
  Result<void> sync_directory(const std::string& path) override {
    NARU_TRY_VOID(refuse());
    return real_.sync_directory(path);
  }
  Result<std::unique_ptr<spool::DirectoryLock>> lock_directory(const std::string& path) override {
    return real_.lock_directory(path);
  }
  std::atomic<ErrorCode> code{ErrorCode::kInternal};  // kInternal: the disk works
  std::atomic<int> refusals{0};

 private:
  class FailingFile final : public spool::File {
   public:
    FailingFile(FailingFiles& files, std::unique_ptr<spool::File> file)
        : files_(files), file_(std::move(file)) {}
    Result<std::size_t> read_at(std::uint64_t position, char* out, std::size_t size) override {
      return file_->read_at(position, out, size);
    }
    Result<void> write_at(std::uint64_t position, std::span<const std::string_view> pieces) override {
      NARU_TRY_VOID(files_.refuse());
      return file_->write_at(position, pieces);
    }
    Result<void> sync() override {
      NARU_TRY_VOID(files_.refuse());
      return file_->sync();
    }
    Result<void> truncate(std::uint64_t size) override { return file_->truncate(size); }
    Result<std::uint64_t> size() override { return file_->size(); }

   private:
    FailingFiles& files_;
    std::unique_ptr<spool::File> file_;
  };
  Result<void> refuse() {
    if (code == ErrorCode::kInternal) {
      return {};
    }
    ++refusals;
    return fail(code, "the disk refuses");
  }
  spool::FileSystem& real_ = spool::posix_file_system();
};

}  // namespace naru::agent::test
