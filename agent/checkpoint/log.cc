#include "agent/checkpoint/log.h"

#include <fmt/format.h>

#include <span>

#include "core/base/check.h"

namespace naru::agent {
namespace {

constexpr std::size_t kCompactBytesMin = 1u << 20;
constexpr std::size_t kCompactFactor = 4;
constexpr std::size_t kStateBytesMax = 1u << 30;
constexpr std::string_view kName = "agent.state";

bool may_pass(const Error& error) {
  return error.code() == ErrorCode::kNoSpace || error.code() == ErrorCode::kIo;
}

}  // namespace

CheckpointLog::CheckpointLog(spool::FileSystem& files, std::string directory)
    : files_(files), directory_(std::move(directory)) {}

Result<std::unique_ptr<CheckpointLog>> CheckpointLog::open(spool::FileSystem& files,
                                                           const std::string& directory) {
  NARU_TRY_VOID(files.create_directories(directory));
  std::unique_ptr<CheckpointLog> log(new CheckpointLog(files, directory));
  NARU_TRY(log->lock_, files.lock_directory(directory));
  const std::string path = spool::join_path(directory, kName);
  Result<std::string> bytes = spool::read_file(files, path, kStateBytesMax);
  if (!bytes && bytes.error().code() != ErrorCode::kNotFound) {
    return fail(bytes.error());
  }
  if (bytes && !bytes->empty()) {
    const Result<std::size_t> good = read_log(*bytes, log->state_);
    if (!good) {
      return fail(good.error().with_context(
          fmt::format("the agent's state {} cannot be read (move it away to begin with new sources)", path)));
    }
    log->damaged_bytes_ = bytes->size() - *good;
    log->damage_ = bytes->substr(*good);
  }
  if (const Result<void> written = log->rewrite(); !written) {
    if (!may_pass(written.error())) {
      return fail(written.error());
    }
    log->failing_ = true;
  }
  return log;
}

Result<void> CheckpointLog::rewrite() {
  broken_ = true;
  file_.reset();
  if (!damage_.empty()) {
    NARU_TRY_VOID(spool::replace_file(files_, directory_, std::string(kName) + ".damaged", damage_));
    damage_.clear();
  }
  const std::string path = spool::join_path(directory_, kName);
  const std::string fresh = path + ".new";
  const std::string bytes = snapshot(state_);
  NARU_TRY(std::unique_ptr<spool::File> file, files_.open(fresh, spool::OpenMode::kCreate));
  const std::string_view piece = bytes;
  NARU_TRY_VOID(file->write_at(0, std::span(&piece, 1)));
  NARU_TRY_VOID(file->sync());
  NARU_TRY_VOID(files_.rename(fresh, path));
  NARU_TRY_VOID(files_.sync_directory(directory_));
  file_ = std::move(file);
  broken_ = false;
  size_ = snapshot_size_ = bytes.size();
  return {};
}

Result<void> CheckpointLog::write(std::string_view bytes, Sync sync) {
  if (broken_ || (size_ >= kCompactBytesMin && size_ >= kCompactFactor * snapshot_size_)) {
    NARU_TRY_VOID(rewrite());
  }
  broken_ = true;  // until it is known that all of it was taken
  NARU_TRY_VOID(file_->write_at(size_, std::span(&bytes, 1)));
  if (sync == Sync::kYes) {
    NARU_TRY_VOID(file_->sync());
  }
  broken_ = false;
  return {};
}

Result<void> CheckpointLog::append(const std::vector<std::string>& payloads, Sync sync) {
  if (payloads.empty()) {
    return {};
  }
  std::string bytes;
  for (const std::string& payload : payloads) {
    append_frame(bytes, payload);
  }
  const std::lock_guard lock(mutex_);
  const Result<void> written = write(bytes, sync);
  failing_ = !written;
  NARU_TRY_VOID(written);
  size_ += bytes.size();
  for (const std::string& payload : payloads) {
    NARU_CHECK(apply_entry(state_, payload).has_value(), "the agent wrote an entry that it cannot read");
  }
  return {};
}

void CheckpointLog::read(const std::function<void(const State&)>& look) const {
  const std::lock_guard lock(mutex_);
  look(state_);
}

BatchNumber CheckpointLog::draw_batch() {
  const std::lock_guard lock(mutex_);
  return state_.next_batch++;
}

SourceKey CheckpointLog::draw_key() {
  const std::lock_guard lock(mutex_);
  return state_.next_key++;
}

}  // namespace naru::agent
