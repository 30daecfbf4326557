#include "core/spool/log_walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

namespace naru::spool {
namespace {

constexpr std::size_t kWindow = 4u << 20;

struct Found {
  std::string path;
  std::string name;
  std::uint64_t first_offset = 0;
};

// The tag of the first good frame, for logs whose headers are all gone.
Result<std::optional<std::uint32_t>> tag_of_frames(File& file, std::uint64_t bytes) {
  std::string buffer;
  for (std::uint64_t position = 0; position < bytes;) {
    buffer.resize(std::min<std::uint64_t>(kWindow, bytes - position));
    NARU_TRY(const std::size_t got, file.read_at(position, buffer.data(), buffer.size()));
    const std::string_view view(buffer.data(), got);
    for (std::size_t at = view.find(kFrameMarker); at != std::string_view::npos;
         at = view.find(kFrameMarker, at + 1)) {
      if (const auto frame = parse_frame_header(view.substr(at))) {
        return frame->tag;
      }
    }
    if (got < buffer.size() || position + got == bytes) {
      break;
    }
    position += got - (kFrameHeaderSize - 1);
  }
  return std::optional<std::uint32_t>();
}

// nullopt: damaged. kUnsupported: written by a newer naru.
Result<std::optional<SegmentHeader>> read_header(File& file, const Found& found) {
  char bytes[kSegmentHeaderSize];
  NARU_TRY(const std::size_t got, file.read_at(0, bytes, sizeof(bytes)));
  auto header = parse_segment_header({bytes, got});
  if (!header && header.error().code() == ErrorCode::kUnsupported) {
    return fail(std::move(header).error());
  }
  if (!header || header->first_offset != found.first_offset) {
    return std::nullopt;
  }
  return *header;
}

Result<std::vector<Found>> list_segments(FileSystem& files, const std::string& directory) {
  NARU_TRY(const auto names, files.list(directory));
  std::vector<Found> out;
  for (const std::string& name : names) {
    if (const auto offset = parse_segment_name(name)) {
      out.push_back({join_path(directory, name), name, *offset});
    }
  }
  return out;
}

// The log's tag: of the first good header, else of the first good frame, else 0.
Result<std::uint32_t> tag_of(FileSystem& files, const std::vector<Found>& segments) {
  for (const bool headers : {true, false}) {
    for (const Found& found : segments) {
      auto file = files.open(found.path, OpenMode::kRead);
      if (!file) {
        continue;  // the walk says why
      }
      if (headers) {
        NARU_TRY(const auto header, read_header(**file, found));
        if (header) {
          return log_tag(header->log_id);
        }
      } else {
        NARU_TRY(const std::uint64_t bytes, (*file)->size());
        NARU_TRY(const auto tag, tag_of_frames(**file, bytes));
        if (tag) {
          return *tag;
        }
      }
    }
  }
  return 0;
}

Result<SegmentReport> walk_segment(File& file, const Found& found, std::uint32_t tag,
                                   std::optional<std::uint64_t> next_segment, const LogVisitor& visitor) {
  SegmentReport report{.name = found.name};
  NARU_TRY(report.bytes, file.size());
  NARU_TRY(const auto header, read_header(file, found));
  std::uint64_t position = std::min<std::uint64_t>(kSegmentHeaderSize, report.bytes);
  if (!header) {
    report.damage.push_back({DamageKind::kSegment, found.first_offset, 0, position, 0, 0});
  } else if (log_tag(header->log_id) != tag) {
    return fail(ErrorCode::kCorrupt,
                "it belongs to another log than the segments before it: move the file that was copied in out "
                "of this directory");
  } else {
    report.sparse = (header->flags & kSegmentSparse) != 0;
  }
  FrameScanner::Limits limits{
      .tag = tag, .segment = found.first_offset, .expected = found.first_offset, .sparse = report.sparse};
  limits.offset_end = next_segment.value_or(limits.offset_end);
  FrameScanner scanner(limits);
  std::uint64_t good_end = position;
  std::vector<EntryView> entries;
  std::string buffer;
  std::size_t window = kWindow;
  while (position < report.bytes) {
    buffer.resize(std::min<std::uint64_t>(window, report.bytes - position));
    NARU_TRY(const std::size_t got, file.read_at(position, buffer.data(), buffer.size()));
    const bool is_end = got < buffer.size() || position + got == report.bytes;
    const auto progress = scanner.scan({buffer.data(), got}, position, is_end, entries, report.damage);
    if (progress.good_end > 0) {
      good_end = position + progress.good_end;
    }
    for (const EntryView& entry : entries) {
      if (report.records++ == 0) {
        report.first_offset = entry.offset;
        report.first_time = entry.time;
      }
      report.last_offset = entry.offset;
      report.last_time = entry.time;
      if (visitor.entry) {
        NARU_TRY_VOID(visitor.entry(entry));
      }
    }
    entries.clear();
    position += progress.consumed;
    if (is_end && progress.needed == 0) {
      break;
    }
    window = std::max(kWindow, progress.needed);
  }
  report.skipped_frames = scanner.skipped_frames();
  if (!next_segment) {
    // Not damage: what a crash, or a write that goes on now, leaves behind the last good frame.
    std::erase_if(report.damage, [&](const Damage& damage) {
      return damage.kind != DamageKind::kSegment && damage.position >= good_end;
    });
    report.tail_bytes = report.bytes - good_end;
  } else if (!report.sparse && scanner.expected() < *next_segment) {
    report.damage.push_back({DamageKind::kGap, found.first_offset, report.bytes, 0, scanner.expected(),
                             *next_segment - scanner.expected()});
  }
  return report;
}

}  // namespace

Result<void> walk_log(FileSystem& files, const std::string& directory, const LogVisitor& visitor) {
  NARU_TRY(const std::vector<Found> segments, list_segments(files, directory));
  if (segments.empty()) {
    return fail(ErrorCode::kNotFound, fmt::format("'{}' holds no segment (*.seg)", directory));
  }
  NARU_TRY(const std::uint32_t tag, tag_of(files, segments));
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const Found& found = segments[i];
    auto file = files.open(found.path, OpenMode::kRead);
    if (!file && file.error().code() == ErrorCode::kNotFound) {
      continue;  // its owner deleted it since the listing
    }
    if (!file) {
      return fail(std::move(file).error());
    }
    std::optional<std::uint64_t> next_segment;
    if (i + 1 < segments.size()) {
      next_segment = segments[i + 1].first_offset;
    }
    const auto report = walk_segment(**file, found, tag, next_segment, visitor);
    if (!report) {
      return fail(report.error().with_context(found.path));
    }
    if (visitor.segment) {
      NARU_TRY_VOID(visitor.segment(*report));
    }
  }
  return {};
}

}  // namespace naru::spool
