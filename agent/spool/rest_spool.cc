#include "agent/spool/rest_spool.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "core/base/bytes.h"

namespace naru::agent {
namespace {

enum Type : char {
  kBegin = 1,
  kBytes = 2,
  kEnd = 3,
};

constexpr std::uint64_t kSegmentBytes = 8u << 20;
constexpr std::uint64_t kSegmentBytesMin = 64u << 10;
constexpr std::uint64_t kEndRoom = 1u
                                   << 20;  // beside the limit, so that the end of a copy can always be noted
constexpr std::size_t kReadBytes = 1u << 20;
constexpr std::size_t kFieldsOfBytes = 8 + 8;  // begin, file size

std::string head_of(Type type, const Source& source) {
  std::string out(1, type);
  out.append(reinterpret_cast<const char*>(source.data()), source.size());
  return out;
}

}  // namespace

Result<void> RestCopy::load(std::size_t piece) {
  if (loaded_ == piece) {
    return {};
  }
  loaded_.reset();
  spool::LogReader reader(*spool_->log_, pieces_[piece].entry);
  NARU_TRY(const spool::ReadBatch batch, reader.read(RestSpool::kPieceBytes + 1024));
  const std::size_t fields = 1 + file_.source.size() + kFieldsOfBytes;
  if (batch.entries.empty() || batch.entries.front().offset != pieces_[piece].entry ||
      batch.entries.front().payload.size() < fields) {
    return fail(ErrorCode::kCorrupt, fmt::format("the copy of {} in the agent's spool is damaged at byte {}",
                                                 file_.path, pieces_[piece].begin));
  }
  bytes_ = batch.entries.front().payload.substr(fields);
  loaded_ = piece;
  return {};
}

Result<std::size_t> RestCopy::read(std::uint64_t offset, std::size_t size, char* out) {
  std::size_t have = 0;
  if (offset < begin_) {
    if (offset >= head_.size()) {
      return fail(ErrorCode::kIo,
                  fmt::format("bytes of {} before {} are not in its copy", file_.path, begin_));
    }
    have = std::min<std::size_t>(size, head_.size() - offset);
    std::memcpy(out, head_.data() + offset, have);
    if (offset + have < begin_) {
      return have;
    }
  }
  while (have < size && offset + have < end_) {
    const std::uint64_t at = offset + have;
    const auto behind = std::ranges::upper_bound(pieces_, at, {}, &Piece::begin);
    const auto piece = static_cast<std::size_t>(behind - pieces_.begin()) - 1;
    NARU_TRY_VOID(load(piece));
    const std::uint64_t skip = at - pieces_[piece].begin;
    if (skip >= bytes_.size()) {
      return fail(ErrorCode::kCorrupt,
                  fmt::format("the copy of {} in the agent's spool has a hole at byte {}", file_.path, at));
    }
    const std::size_t n = std::min<std::size_t>(size - have, bytes_.size() - skip);
    std::memcpy(out + have, bytes_.data() + skip, n);
    have += n;
  }
  return have;
}

RestSpool::RestSpool(spool::FileSystem& files, std::string directory, std::uint64_t bytes_max)
    : files_(files), directory_(std::move(directory)), bytes_max_(bytes_max) {}

Result<void> RestSpool::open(UnixNanos now) {
  if (log_ != nullptr) {
    return {};
  }
  spool::SegmentLogConfig config;
  config.directory = directory_;
  config.segment_bytes = std::clamp(bytes_max_ / 8, kSegmentBytesMin, kSegmentBytes);
  config.bytes_max = bytes_max_ + kEndRoom;
  NARU_TRY(log_, spool::SegmentLog::open(files_, std::move(config), now));
  spool::LogReader reader(*log_, log_->stats().first_offset);
  while (true) {
    auto batch = reader.read(kReadBytes);
    if (!batch) {
      copies_.clear();
      log_.reset();
      return fail(batch.error());
    }
    for (const spool::Damage& damage : batch->damage) {
      note_damage(damage.bytes);
    }
    for (const spool::EntryView& entry : batch->entries) {
      take(entry.payload, entry.offset);
    }
    if (batch->entries.empty() && batch->damage.empty()) {
      break;
    }
  }
  return {};
}

void RestSpool::note_damage(std::uint64_t bytes) {
  ++damaged_places_;
  damaged_bytes_ += bytes;
}

// One entry of an earlier start. What does not follow on what is known of its copy is a repeat, or stands
// behind damage: neither belongs to it.
void RestSpool::take(std::string_view payload, std::uint64_t entry) {
  const std::size_t bytes = payload.size();
  Source source{};
  if (payload.size() < 1 + source.size()) {
    note_damage(bytes);
    return;
  }
  const char type = payload.front();
  std::memcpy(source.data(), payload.data() + 1, source.size());
  payload.remove_prefix(1 + source.size());
  if (type == kEnd) {
    copies_.erase(source);
    return;
  }
  if (type == kBegin) {
    if (payload.size() < 12) {
      note_damage(bytes);
      return;
    }
    auto copy = std::make_shared<RestCopy>();
    copy->spool_ = this;
    copy->begin_ = copy->end_ = load_le<std::uint64_t>(payload.data());
    const auto head_size = load_le<std::uint32_t>(payload.data() + 8);
    payload.remove_prefix(12);
    if (payload.size() < head_size) {
      note_damage(bytes);
      return;
    }
    copy->head_ = payload.substr(0, head_size);
    State one;
    if (!apply_entry(one, payload.substr(head_size)) || one.files.size() != 1) {
      note_damage(bytes);
      return;
    }
    copy->file_ = std::move(one.files.begin()->second);
    copy->first_entry_ = entry;
    copies_[source] = std::move(copy);
    return;
  }
  const auto at = copies_.find(source);
  if (type != kBytes || at == copies_.end() || payload.size() < kFieldsOfBytes ||
      load_le<std::uint64_t>(payload.data()) != at->second->end_) {
    return;
  }
  RestCopy& copy = *at->second;
  copy.pieces_.push_back({copy.end_, entry});
  copy.file_size_ = load_le<std::uint64_t>(payload.data() + 8);
  copy.end_ += payload.size() - kFieldsOfBytes;
}

std::shared_ptr<RestCopy> RestSpool::find(const Source& source) const {
  const auto at = copies_.find(source);
  return at == copies_.end() ? nullptr : at->second;
}

Result<std::uint64_t> RestSpool::write(std::string_view head, std::string_view body, UnixNanos now) {
  const spool::EntryParts parts{.head = head, .body = body, .crc = spool::payload_crc(head, body)};
  NARU_TRY(const std::uint64_t entry, log_->append(std::span(&parts, 1), now));
  NARU_TRY_VOID(log_->sync());
  return entry;
}

Result<std::shared_ptr<RestCopy>> RestSpool::begin(const FileCheckpoint& file, std::string_view head,
                                                   std::uint64_t begin, UnixNanos now) {
  NARU_TRY_VOID(open(now));
  trim(now);
  if (bytes() + kPieceBytes > bytes_max_) {
    return fail(ErrorCode::kOverloaded,
                fmt::format("the agent's spool {} has reached its limit of {} bytes (spool.bytes_max)",
                            directory_, bytes_max_));
  }
  std::string fields = head_of(kBegin, file.source);
  append_le(fields, begin);
  append_le(fields, static_cast<std::uint32_t>(head.size()));
  fields.append(head);
  NARU_TRY(const std::uint64_t entry, write(fields, encode(file), now));
  auto copy = std::make_shared<RestCopy>();
  copy->spool_ = this;
  copy->file_ = file;
  copy->head_ = head;
  copy->begin_ = copy->end_ = begin;
  copy->first_entry_ = entry;
  copies_[file.source] = copy;
  return copy;
}

Result<void> RestSpool::append(RestCopy& copy, std::string_view bytes, std::uint64_t file_size,
                               UnixNanos now) {
  if (this->bytes() + bytes.size() > bytes_max_) {
    return fail(ErrorCode::kOverloaded,
                fmt::format("the agent's spool {} has reached its limit of {} bytes (spool.bytes_max)",
                            directory_, bytes_max_));
  }
  std::string fields = head_of(kBytes, copy.file_.source);
  append_le(fields, copy.end_);
  append_le(fields, file_size);
  NARU_TRY(const std::uint64_t entry, write(fields, bytes, now));
  copy.pieces_.push_back({copy.end_, entry});
  copy.end_ += bytes.size();
  copy.file_size_ = file_size;
  return {};
}

void RestSpool::release(const Source& source, UnixNanos now) {
  if (copies_.erase(source) > 0) {
    to_end_.push_back(source);
    trim(now);
  }
}

// Notes the ends that are not noted, then deletes segments that no copy needs. What fails is tried again by
// the next release or begin.
void RestSpool::trim(UnixNanos now) {
  while (!to_end_.empty()) {
    // A copy begun again since supersedes the one that was released.
    if (!copies_.contains(to_end_.back()) && !write(head_of(kEnd, to_end_.back()), {}, now)) {
      return;
    }
    to_end_.pop_back();
  }
  std::uint64_t needed = log_->next_offset();
  for (const auto& [source, copy] : copies_) {
    needed = std::min(needed, copy->first_entry_);
  }
  if (copies_.empty() && bytes() > 2 * spool::kSegmentHeaderSize + 4096 && !log_->roll(now)) {
    return;
  }
  [[maybe_unused]] const auto freed = log_->trim_before(needed);
}

}  // namespace naru::agent
