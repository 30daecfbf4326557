#include "core/spool/segment_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <utility>

#include "core/base/bytes.h"
#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/base/random.h"

namespace naru::spool {
namespace {

constexpr std::size_t kScanWindow = 4u << 20;
constexpr std::uint64_t kIndexStride = 1u << 20;  // bytes between two points of a segment's index
// Bodies up to this size are copied beside their header: cheaper than a piece of its own in the write.
constexpr std::size_t kCopiedBodyMax = 4096;
constexpr std::uint64_t kSegmentBytesLimit = 1ull << 30;
constexpr std::string_view kTemporarySuffix = ".seg.tmp";

std::uint64_t frame_size(const EntryParts& entry) {
  return kFrameHeaderSize + entry.head.size() + entry.body.size();
}

}  // namespace

struct SegmentLog::Segment {
  struct IndexPoint {
    std::uint64_t offset;  // no frame behind `position` is below it, none before it is at or above it
    std::uint64_t position;
  };

  std::uint64_t first_offset = 0;
  UnixNanos created = 0;
  bool sparse = false;
  bool header_good = true;
  // Guarded by SegmentLog::mutex_:
  std::uint64_t bytes = 0;  // readable: all of a closed segment, the durable part of the active one
  std::weak_ptr<File> file;
  std::vector<IndexPoint> index;

  void note(std::uint64_t offset, std::uint64_t position) {
    if (position >= (index.empty() ? kSegmentHeaderSize : index.back().position) + kIndexStride) {
      index.push_back({offset, position});
    }
  }
  std::uint64_t position_before(std::uint64_t offset) const {
    const auto after = std::ranges::upper_bound(index, offset, {}, &IndexPoint::offset);
    return after == index.begin() ? std::min<std::uint64_t>(kSegmentHeaderSize, bytes)
                                  : std::prev(after)->position;
  }
};

// Keeps a few large read buffers of this process, because fresh pages cost more than the copy into them.
// Thread-safe; a buffer may come back after its log is gone.
class SegmentLog::BufferPool {
 public:
  static std::shared_ptr<char[]> take(std::size_t size) {
    if (size < kPooledMin || size > kPooledMax) {
      return std::make_shared_for_overwrite<char[]>(size);
    }
    const std::size_t capacity = std::bit_ceil(size);
    const std::shared_ptr<BufferPool>& pool = instance();
    std::unique_ptr<char[]> buffer;
    {
      const std::lock_guard lock(pool->mutex_);
      if (const auto at = pool->free_.find(capacity); at != pool->free_.end()) {
        buffer = std::move(at->second);
        pool->free_.erase(at);
        pool->free_bytes_ -= capacity;
      }
    }
    if (!buffer) {
      buffer = std::make_unique_for_overwrite<char[]>(capacity);
    }
    return {buffer.release(),
            [pool, capacity](char* bytes) { pool->give_back(std::unique_ptr<char[]>(bytes), capacity); }};
  }

 private:
  static constexpr std::size_t kPooledMin = 256u << 10;
  static constexpr std::size_t kPooledMax = 8u << 20;
  static constexpr std::size_t kFreeBytesMax = 16u << 20;

  static const std::shared_ptr<BufferPool>& instance() {
    static const auto pool = std::make_shared<BufferPool>();
    return pool;
  }

  void give_back(std::unique_ptr<char[]> buffer, std::size_t capacity) {
    const std::lock_guard lock(mutex_);
    if (free_bytes_ + capacity <= kFreeBytesMax) {
      free_.emplace(capacity, std::move(buffer));
      free_bytes_ += capacity;
    }
  }

  std::mutex mutex_;
  std::multimap<std::size_t, std::unique_ptr<char[]>> free_;  // by capacity
  std::size_t free_bytes_ = 0;
};

Result<void> validate(const SegmentLogConfig& config) {
  if (config.directory.empty()) {
    return fail(ErrorCode::kInvalidArgument, "a log needs a directory");
  }
  if (config.segment_bytes < kSegmentHeaderSize + kFrameHeaderSize ||
      config.segment_bytes > kSegmentBytesLimit) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("segment_bytes is {}: it may be {} to {}", config.segment_bytes,
                            kSegmentHeaderSize + kFrameHeaderSize, kSegmentBytesLimit));
  }
  if (config.entry_bytes_max == 0 || config.entry_bytes_max > kPayloadBytesMax) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("entry_bytes_max is {}: it may be 1 to {}",
                                                         config.entry_bytes_max, kPayloadBytesMax));
  }
  return {};
}

std::uint32_t payload_crc(std::string_view head, std::string_view body) {
  return crc32c(body, crc32c(head));
}

SegmentLog::SegmentLog(FileSystem& files, SegmentLogConfig config)
    : files_(files), config_(std::move(config)) {}

SegmentLog::~SegmentLog() = default;

Result<std::unique_ptr<SegmentLog>> SegmentLog::open(FileSystem& files, SegmentLogConfig config,
                                                     UnixNanos now) {
  NARU_TRY_VOID(validate(config));
  std::unique_ptr<SegmentLog> log(new SegmentLog(files, std::move(config)));
  NARU_TRY_VOID(log->recover(now));
  return log;
}

std::string SegmentLog::path_of(std::uint64_t first_offset) const {
  return join_path(config_.directory, segment_name(first_offset));
}

Result<void> SegmentLog::recover(UnixNanos now) {
  NARU_TRY_VOID(files_.create_directories(config_.directory));
  NARU_TRY(lock_, files_.lock_directory(config_.directory));
  NARU_TRY_VOID(load_segments());
  if (segments_.empty()) {
    log_id_ = random_16();
    tag_ = log_tag(log_id_);
    next_offset_ = config_.first_offset;
    NARU_TRY_VOID(create_segment(next_offset_, now));
    durable_next_ = next_offset_;
    return {};
  }
  NARU_TRY_VOID(adopt_log_id());
  return recover_tail(now);
}

// Reads the directory and every segment's header into segments_.
Result<void> SegmentLog::load_segments() {
  NARU_TRY(auto names, files_.list(config_.directory));
  bool id_known = false;
  for (const std::string& name : names) {
    const std::string path = join_path(config_.directory, name);
    if (name.ends_with(kTemporarySuffix)) {
      NARU_TRY_VOID(files_.remove(path));
      continue;
    }
    const auto first_offset = parse_segment_name(name);
    if (!first_offset) {
      continue;
    }
    NARU_TRY(auto file, files_.open(path, OpenMode::kRead));
    auto segment = std::make_shared<Segment>();
    segment->first_offset = *first_offset;
    NARU_TRY(segment->bytes, file->size());
    char bytes[kSegmentHeaderSize];
    NARU_TRY(auto got, file->read_at(0, bytes, sizeof(bytes)));
    const auto header = parse_segment_header({bytes, got});
    if (!header && header.error().code() == ErrorCode::kUnsupported) {
      return fail(header.error().with_context(path));
    }
    segment->header_good = header && header->first_offset == *first_offset;
    if (segment->header_good) {
      if (id_known && header->log_id != log_id_) {
        return fail(
            ErrorCode::kCorrupt,
            fmt::format("'{}' belongs to another log than the segments before it: move the file that was "
                        "copied in out of this directory",
                        path));
      }
      log_id_ = header->log_id;
      id_known = true;
      segment->created = header->created;
      segment->sparse = (header->flags & kSegmentSparse) != 0;
    }
    if (!segments_.empty()) {
      closed_bytes_ += segments_.back()->bytes;
    }
    segments_.push_back(std::move(segment));
  }
  return {};
}

// Sets the log's id and tag from what load_segments() found.
Result<void> SegmentLog::adopt_log_id() {
  if (std::ranges::any_of(segments_, [](const auto& s) { return s->header_good; })) {
    tag_ = log_tag(log_id_);
    return {};
  }
  // No header survived: the frames still tell the tag, the rest of the id is drawn anew.
  log_id_ = random_16();
  for (const auto& segment : segments_) {
    NARU_TRY(auto contents, read_file(files_, path_of(segment->first_offset), kSegmentBytesLimit));
    const std::string_view bytes = contents;
    for (std::size_t at = bytes.find(kFrameMarker); at != std::string_view::npos;
         at = bytes.find(kFrameMarker, at + 1)) {
      if (const auto frame = parse_frame_header(bytes.substr(at))) {
        store_le(reinterpret_cast<char*>(log_id_.data()), frame->tag);
        tag_ = frame->tag;
        return {};
      }
    }
  }
  tag_ = log_tag(log_id_);
  return {};
}

// Finds the end of the last good frame, cuts off what is behind it, and makes the rest durable: this process
// may show only what a power cut leaves behind.
Result<void> SegmentLog::recover_tail(UnixNanos now) {
  Segment& last = *segments_.back();
  const std::string path = path_of(last.first_offset);
  NARU_TRY(active_file_, files_.open(path, OpenMode::kReadWrite));
  last.file = active_file_;

  FrameScanner scanner(
      {.tag = tag_, .segment = last.first_offset, .expected = last.first_offset, .sparse = last.sparse});
  const std::uint64_t begin = std::min<std::uint64_t>(kSegmentHeaderSize, last.bytes);
  std::uint64_t good_end = begin;
  std::vector<EntryView> entries;
  std::vector<Damage> damage;
  std::string buffer;
  std::size_t window = kScanWindow;
  for (std::uint64_t position = begin; position < last.bytes;) {
    buffer.resize(std::min<std::uint64_t>(window, last.bytes - position));
    NARU_TRY(auto got, active_file_->read_at(position, buffer.data(), buffer.size()));
    const bool is_end = got < buffer.size() || position + got == last.bytes;
    const std::uint64_t offset = scanner.expected();
    const auto progress = scanner.scan({buffer.data(), got}, position, is_end, entries, damage);
    if (progress.good_end > 0) {
      good_end = position + progress.good_end;
    }
    // Written anew, not only synced: if the process before this one ended after a failed sync, the kernel
    // calls these pages clean, and a sync would succeed without writing them.
    const std::string_view kept = std::string_view(buffer).substr(0, std::min(progress.consumed, got));
    NARU_TRY_VOID(active_file_->write_at(position, std::span(&kept, 1)));
    last.note(offset, position);
    position += progress.consumed;
    if (is_end && progress.needed == 0) {
      break;
    }
    window = std::max(kScanWindow, progress.needed);
    entries.clear();
    damage.clear();
  }
  next_offset_ = scanner.good_next();

  if (!last.header_good) {
    // Nothing is appended to a file whose header is gone. Without any entry it would get in the way of the
    // new segment's name, so it is set aside.
    torn_bytes_ = last.bytes - good_end;
    if (next_offset_ == last.first_offset) {
      NARU_TRY_VOID(files_.rename(path, path + ".bad"));
      segments_.pop_back();
      if (!segments_.empty()) {
        closed_bytes_ -= segments_.back()->bytes;
      }
    } else {
      NARU_TRY_VOID(active_file_->sync());
    }
    NARU_TRY_VOID(create_segment(next_offset_, now));
  } else {
    if (good_end < last.bytes) {
      torn_bytes_ = last.bytes - good_end;
      NARU_TRY_VOID(active_file_->truncate(good_end));
      last.bytes = good_end;
    }
    NARU_TRY_VOID(active_file_->sync());
    NARU_TRY_VOID(files_.sync_directory(config_.directory));
    write_position_ = good_end;
  }
  durable_next_ = next_offset_;
  return {};
}

// Begins a new active segment. On failure from the rename on, the file may exist: nothing may be appended to
// the old segment any more, or the new name would supersede it after a restart.
Result<void> SegmentLog::create_segment(std::uint64_t first_offset, UnixNanos now) {
  const std::string path = path_of(first_offset);
  const std::string temporary = path + ".tmp";
  const auto header =
      encode_segment_header({.log_id = log_id_, .first_offset = first_offset, .created = now});
  const std::string_view header_bytes(header.data(), header.size());
  NARU_TRY(std::shared_ptr<File> file, files_.open(temporary, OpenMode::kCreate));
  NARU_TRY_VOID(file->write_at(0, std::span(&header_bytes, 1)));
  NARU_TRY_VOID(file->sync());
  tail_broken_ = true;
  NARU_TRY_VOID(files_.rename(temporary, path));
  NARU_TRY_VOID(files_.sync_directory(config_.directory));
  tail_broken_ = false;

  auto segment = std::make_shared<Segment>();
  segment->first_offset = first_offset;
  segment->created = now;
  segment->bytes = kSegmentHeaderSize;
  segment->file = file;
  active_file_ = std::move(file);
  write_position_ = kSegmentHeaderSize;
  const std::lock_guard lock(mutex_);
  if (!segments_.empty() && segments_.back()->first_offset == first_offset) {
    segments_.pop_back();  // it held nothing durable, and its file was just replaced
  } else if (!segments_.empty()) {
    closed_bytes_ += segments_.back()->bytes;
  }
  segments_.push_back(std::move(segment));
  return {};
}

Result<void> SegmentLog::repair_tail(UnixNanos now) {
  next_offset_ = durable_next_;
  {
    const std::lock_guard lock(mutex_);
    write_position_ = segments_.back()->bytes;
  }
  // Only spares readers the work: the new segment supersedes whatever stays behind.
  std::ignore = active_file_->truncate(write_position_);
  return create_segment(next_offset_, now);
}

Result<std::uint64_t> SegmentLog::append(std::span<const EntryParts> entries, UnixNanos now) {
  std::uint64_t bytes = 0;
  for (const EntryParts& entry : entries) {
    if (entry.head.size() + entry.body.size() > config_.entry_bytes_max) {
      return fail(
          ErrorCode::kTooLarge,
          fmt::format("an entry of {} bytes is over the limit of {} bytes for the log '{}'",
                      entry.head.size() + entry.body.size(), config_.entry_bytes_max, config_.directory));
    }
    bytes += frame_size(entry);
  }
  if (config_.bytes_max != 0 && closed_bytes_ + write_position_ + bytes > config_.bytes_max) {
    return fail(
        ErrorCode::kOverloaded,
        fmt::format("the log '{}' has reached its limit of {} bytes: wait until its reader catches up, or "
                    "raise the limit",
                    config_.directory, config_.bytes_max));
  }
  if (tail_broken_) {
    NARU_TRY_VOID(repair_tail(now));
  }
  const std::uint64_t first = next_offset_;
  for (std::size_t begin = 0, end = 0; begin < entries.size(); begin = end) {
    std::uint64_t position = write_position_;
    while (end < entries.size() &&
           (position == kSegmentHeaderSize || position + frame_size(entries[end]) <= config_.segment_bytes)) {
      position += frame_size(entries[end++]);
    }
    if (end == begin) {
      NARU_TRY_VOID(roll(now));
      continue;
    }
    NARU_TRY_VOID(write_run(entries.subspan(begin, end - begin), now));
  }
  return first;
}

// Writes entries that fit the active segment with one call.
Result<void> SegmentLog::write_run(std::span<const EntryParts> entries, UnixNanos now) {
  std::size_t staged = 0;
  for (const EntryParts& entry : entries) {
    staged +=
        kFrameHeaderSize + entry.head.size() + (entry.body.size() <= kCopiedBodyMax ? entry.body.size() : 0);
  }
  if (staging_.size() < staged) {
    staging_.resize(staged);
  }
  pieces_.clear();
  char* out = staging_.data();
  const char* piece_begin = out;
  std::uint64_t offset = next_offset_;
  std::uint64_t bytes = 0;
  for (const EntryParts& entry : entries) {
    encode_frame_header({.flags = entry.flags,
                         .payload_size = static_cast<std::uint32_t>(entry.head.size() + entry.body.size()),
                         .payload_crc = entry.crc,
                         .offset = offset++,
                         .time = now,
                         .tag = tag_},
                        out);
    out = std::ranges::copy(entry.head, out + kFrameHeaderSize).out;
    if (entry.body.size() <= kCopiedBodyMax) {
      out = std::ranges::copy(entry.body, out).out;
    } else {
      pieces_.emplace_back(piece_begin, static_cast<std::size_t>(out - piece_begin));
      pieces_.push_back(entry.body);
      piece_begin = out;
    }
    bytes += frame_size(entry);
  }
  if (out != piece_begin) {
    pieces_.emplace_back(piece_begin, static_cast<std::size_t>(out - piece_begin));
  }
  if (auto written = active_file_->write_at(write_position_, pieces_); !written) {
    // The remains of a failed write could later read as frames.
    tail_broken_ = !active_file_->truncate(write_position_).has_value();
    return written;
  }
  {
    const std::lock_guard lock(mutex_);
    segments_.back()->note(next_offset_, write_position_);
  }
  write_position_ += bytes;
  next_offset_ = offset;
  return {};
}

Result<void> SegmentLog::sync() {
  if (tail_broken_) {
    return fail(ErrorCode::kIo, fmt::format("the tail of the log '{}' could not be written: append again",
                                            config_.directory));
  }
  if (next_offset_ == durable_next_) {
    return {};
  }
  if (auto synced = active_file_->sync(); !synced) {
    tail_broken_ = true;
    return synced;
  }
  const std::lock_guard lock(mutex_);
  segments_.back()->bytes = write_position_;
  durable_next_.store(next_offset_, std::memory_order_release);
  return {};
}

Result<void> SegmentLog::roll(UnixNanos now) {
  if (tail_broken_) {
    return repair_tail(now);
  }
  if (write_position_ == kSegmentHeaderSize) {
    return {};
  }
  NARU_TRY_VOID(sync());
  return create_segment(next_offset_, now);
}

Result<void> SegmentLog::advance_to(std::uint64_t offset, UnixNanos now) {
  if (tail_broken_) {
    NARU_TRY_VOID(repair_tail(now));
  }
  if (offset <= next_offset_) {
    return {};
  }
  NARU_TRY_VOID(sync());
  NARU_TRY_VOID(create_segment(offset, now));
  next_offset_ = offset;
  durable_next_.store(offset, std::memory_order_release);
  return {};
}

Result<std::uint64_t> SegmentLog::trim_before(std::uint64_t offset) {
  const std::lock_guard maintenance(maintenance_);
  std::uint64_t freed = 0;
  for (;;) {
    std::shared_ptr<Segment> front;
    {
      const std::lock_guard lock(mutex_);
      if (segments_.size() < 2 || segments_[1]->first_offset > offset) {
        return freed;
      }
      front = segments_.front();
      segments_.pop_front();
      closed_bytes_ -= front->bytes;
    }
    if (auto removed = files_.remove(path_of(front->first_offset)); !removed) {
      const std::lock_guard lock(mutex_);
      closed_bytes_ += front->bytes;
      segments_.push_front(std::move(front));
      return fail(removed.error());
    }
    freed += front->bytes;
    // One by one: a later deletion must not become durable before an earlier one.
    NARU_TRY_VOID(files_.sync_directory(config_.directory));
  }
}

Result<void> SegmentLog::replace(std::uint64_t first, std::uint64_t last,
                                 std::span<const EntryView> entries) {
  const std::lock_guard maintenance(maintenance_);
  auto segment = std::make_shared<Segment>();
  segment->first_offset = first;
  segment->sparse = true;
  {
    const std::lock_guard lock(mutex_);
    const auto begin = std::ranges::find(segments_, first, &Segment::first_offset);
    const auto end = std::ranges::find(segments_, last, &Segment::first_offset);
    if (begin == segments_.end() || end == segments_.end() || begin > end || *end == segments_.back()) {
      return fail(ErrorCode::kNotFound, fmt::format("the log '{}' has no closed segments from {} to {}",
                                                    config_.directory, first, last));
    }
    segment->created = (*end)->created;
  }

  const std::string path = path_of(first);
  const std::string temporary = path + ".tmp";
  NARU_TRY(std::shared_ptr<File> file, files_.open(temporary, OpenMode::kCreate));
  const auto header = encode_segment_header(
      {.log_id = log_id_, .first_offset = first, .created = segment->created, .flags = kSegmentSparse});
  const std::string_view header_bytes(header.data(), header.size());
  NARU_TRY_VOID(file->write_at(0, std::span(&header_bytes, 1)));
  segment->bytes = header.size();
  std::string frames;
  const auto write_frames = [&]() -> Result<void> {
    const std::string_view view = frames;
    NARU_TRY_VOID(file->write_at(segment->bytes, std::span(&view, 1)));
    segment->bytes += frames.size();
    frames.clear();
    return {};
  };
  for (const EntryView& entry : entries) {
    char frame[kFrameHeaderSize];
    encode_frame_header({.flags = entry.flags,
                         .payload_size = static_cast<std::uint32_t>(entry.payload.size()),
                         .payload_crc = crc32c(entry.payload),
                         .offset = entry.offset,
                         .time = entry.time,
                         .tag = tag_},
                        frame);
    frames.append(frame, sizeof(frame)).append(entry.payload);
    if (frames.size() >= kScanWindow) {
      NARU_TRY_VOID(write_frames());
    }
  }
  NARU_TRY_VOID(write_frames());
  NARU_TRY_VOID(file->sync());
  segment->file = file;

  {
    // Under the lock: a reader must never open the new file with the old one's bounds.
    const std::lock_guard lock(mutex_);
    NARU_TRY_VOID(files_.rename(temporary, path));
    const auto at = std::ranges::find(segments_, first, &Segment::first_offset);
    NARU_CHECK(at != segments_.end(), "only trim and replace remove segments, one at a time");
    closed_bytes_ += segment->bytes;
    closed_bytes_ -= (*at)->bytes;
    *at = segment;
  }
  NARU_TRY_VOID(files_.sync_directory(config_.directory));
  for (;;) {
    std::shared_ptr<Segment> next;
    {
      const std::lock_guard lock(mutex_);
      const auto at = std::ranges::find(segments_, first, &Segment::first_offset) + 1;
      if ((*at)->first_offset > last) {
        return {};
      }
      next = *at;
      segments_.erase(at);
      closed_bytes_ -= next->bytes;
    }
    // When this fails, the next start finds the file, and it supersedes its copy.
    NARU_TRY_VOID(files_.remove(path_of(next->first_offset)));
    NARU_TRY_VOID(files_.sync_directory(config_.directory));
  }
}

LogStats SegmentLog::stats() const {
  const std::lock_guard lock(mutex_);
  return {.bytes = closed_bytes_ + segments_.back()->bytes,
          .segments = segments_.size(),
          .first_offset = segments_.front()->first_offset,
          .next_offset = durable_next_,
          .torn_bytes = torn_bytes_};
}

std::vector<SegmentInfo> SegmentLog::segments() const {
  const std::lock_guard lock(mutex_);
  std::vector<SegmentInfo> out;
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    const bool active = i + 1 == segments_.size();
    out.push_back({.first_offset = segments_[i]->first_offset,
                   .end_offset = active ? durable_next_.load() : segments_[i + 1]->first_offset,
                   .bytes = segments_[i]->bytes,
                   .created = segments_[i]->created,
                   .sparse = segments_[i]->sparse,
                   .active = active});
  }
  return out;
}

// What may be read of the segment that holds the reader's offset.
struct LogReader::Window {
  std::uint64_t limit = 0;       // bytes
  std::uint64_t offset_end = 0;  // first offset of the next segment, or the durable end
  bool caught_up = false;
};

// Finds, opens and positions in the segment that holds offset_.
Result<LogReader::Window> LogReader::next_window(std::vector<Damage>& damage) {
  const std::lock_guard lock(log_.mutex_);
  const auto& segments = log_.segments_;
  const std::uint64_t oldest = segments.front()->first_offset;
  if (offset_ < oldest) {
    damage.push_back({DamageKind::kTrimmed, oldest, 0, 0, offset_, oldest - offset_});
    offset_ = oldest;
  }
  const std::uint64_t durable = log_.durable_next_;
  if (offset_ >= durable) {
    return Window{.caught_up = true};
  }
  const auto after = std::ranges::upper_bound(segments, offset_, {},
                                              [](const auto& segment) { return segment->first_offset; });
  const auto& found = *std::prev(after);
  if (found != segment_) {
    auto file = found->file.lock();
    if (!file) {
      NARU_TRY(file, log_.files_.open(log_.path_of(found->first_offset), OpenMode::kRead));
      found->file = file;
    }
    segment_ = found;
    file_ = std::move(file);
    position_ = segment_->position_before(offset_);
    if (!segment_->header_good) {
      damage.push_back({DamageKind::kSegment, segment_->first_offset, 0, position_, 0, 0});
    }
  } else {
    segment_->note(offset_, position_);
  }
  return Window{.limit = segment_->bytes,
                .offset_end = after == segments.end() ? durable : (*after)->first_offset};
}

Result<ReadBatch> LogReader::read(std::size_t bytes_max) {
  ReadBatch batch;
  std::size_t size_wanted = std::max(bytes_max, kFrameHeaderSize);
  while (batch.entries.empty()) {
    NARU_TRY(const Window window, next_window(batch.damage));
    if (window.caught_up) {
      break;
    }
    if (position_ >= window.limit) {
      if (!segment_->sparse) {
        batch.damage.push_back(
            {DamageKind::kGap, segment_->first_offset, position_, 0, offset_, window.offset_end - offset_});
      }
      offset_ = window.offset_end;
      continue;
    }
    const std::size_t size = std::min<std::uint64_t>(size_wanted, window.limit - position_);
    auto buffer = SegmentLog::BufferPool::take(size);
    NARU_TRY(const std::size_t got, file_->read_at(position_, buffer.get(), size));
    const bool is_end = got < size || position_ + got == window.limit;
    FrameScanner scanner({.tag = log_.tag_,
                          .segment = segment_->first_offset,
                          .expected = offset_,
                          .offset_end = window.offset_end,
                          .sparse = segment_->sparse});
    const auto progress = scanner.scan({buffer.get(), got}, position_, is_end, batch.entries, batch.damage);
    position_ += progress.consumed;
    if (got < size) {  // somebody cut the file: what is missing is reported as a gap
      position_ = window.limit;
    }
    offset_ = scanner.expected();
    batch.skipped_frames += scanner.skipped_frames();
    batch.owner = std::move(buffer);
    size_wanted = std::max(size_wanted, progress.needed);
  }
  batch.next_offset = offset_;
  return batch;
}

void LogReader::seek(std::uint64_t offset) {
  offset_ = offset;
  segment_.reset();
  file_.reset();
}

}  // namespace naru::spool
