#include "core/spool/segment_format.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>

#include "core/base/bytes.h"
#include "core/base/hash.h"

namespace naru::spool {
namespace {

constexpr std::string_view kMagic{"NARUSEG\0", 8};
constexpr std::size_t kNameDigits = 20;
constexpr std::string_view kNameSuffix = ".seg";

}  // namespace

std::array<char, kSegmentHeaderSize> encode_segment_header(const SegmentHeader& header) {
  std::array<char, kSegmentHeaderSize> out{};
  std::memcpy(out.data(), kMagic.data(), kMagic.size());
  store_le<std::uint16_t>(out.data() + 8, kSegmentVersion);
  store_le<std::uint16_t>(out.data() + 10, kSegmentHeaderSize);
  store_le<std::uint32_t>(out.data() + 12, header.flags);
  std::memcpy(out.data() + 16, header.log_id.data(), header.log_id.size());
  store_le<std::uint64_t>(out.data() + 32, header.first_offset);
  store_le<std::uint64_t>(out.data() + 40, header.created);
  store_le<std::uint32_t>(out.data() + 60, crc32c({out.data(), 60}));
  return out;
}

Result<SegmentHeader> parse_segment_header(std::string_view bytes) {
  if (bytes.size() < kSegmentHeaderSize) {
    return fail(ErrorCode::kCorrupt, "the segment header is cut short");
  }
  const char* in = bytes.data();
  if (bytes.substr(0, kMagic.size()) != kMagic) {
    return fail(ErrorCode::kCorrupt, "the segment header does not begin with its magic bytes");
  }
  if (load_le<std::uint32_t>(in + 60) != crc32c(bytes.substr(0, 60))) {
    return fail(ErrorCode::kCorrupt, "the segment header fails its checksum");
  }
  const auto version = load_le<std::uint16_t>(in + 8);
  SegmentHeader header;
  header.flags = load_le<std::uint32_t>(in + 12);
  if (version != kSegmentVersion || (header.flags & ~kSegmentSparse) != 0) {
    return fail(
        ErrorCode::kUnsupported,
        fmt::format("the segment has format version {}, flags {:#x}; this naru reads version {}: use a "
                    "newer one",
                    version, header.flags, kSegmentVersion));
  }
  std::memcpy(header.log_id.data(), in + 16, header.log_id.size());
  header.first_offset = load_le<std::uint64_t>(in + 32);
  header.created = load_le<std::uint64_t>(in + 40);
  return header;
}

std::string segment_name(std::uint64_t first_offset) {
  return fmt::format("{:020}{}", first_offset, kNameSuffix);
}

std::optional<std::uint64_t> parse_segment_name(std::string_view name) {
  if (name.size() != kNameDigits + kNameSuffix.size() || !name.ends_with(kNameSuffix)) {
    return std::nullopt;
  }
  std::uint64_t offset = 0;
  const char* end = name.data() + kNameDigits;
  const auto [stop, error] = std::from_chars(name.data(), end, offset);
  if (error != std::errc{} || stop != end) {
    return std::nullopt;
  }
  return offset;
}

std::uint32_t log_tag(const LogId& id) {
  return load_le<std::uint32_t>(reinterpret_cast<const char*>(id.data()));
}

void encode_frame_header(const FrameHeader& header, char* out) {
  std::memcpy(out, kFrameMarker.data(), kFrameMarker.size());
  out[4] = static_cast<char>(header.type);
  out[5] = static_cast<char>(header.flags);
  store_le<std::uint16_t>(out + 6, header.span);
  store_le<std::uint32_t>(out + 8, header.payload_size);
  store_le<std::uint32_t>(out + 12, header.payload_crc);
  store_le<std::uint64_t>(out + 16, header.offset);
  store_le<std::uint64_t>(out + 24, header.time);
  store_le<std::uint32_t>(out + 32, header.tag);
  store_le<std::uint32_t>(out + 36, crc32c({out, 36}));
}

std::optional<FrameHeader> parse_frame_header(std::string_view bytes) {
  if (bytes.size() < kFrameHeaderSize || !bytes.starts_with(kFrameMarker)) {
    return std::nullopt;
  }
  const char* in = bytes.data();
  if (load_le<std::uint32_t>(in + 36) != crc32c(bytes.substr(0, 36))) {
    return std::nullopt;
  }
  FrameHeader header;
  header.type = static_cast<std::uint8_t>(in[4]);
  header.flags = static_cast<std::uint8_t>(in[5]);
  header.span = load_le<std::uint16_t>(in + 6);
  header.payload_size = load_le<std::uint32_t>(in + 8);
  header.payload_crc = load_le<std::uint32_t>(in + 12);
  header.offset = load_le<std::uint64_t>(in + 16);
  header.time = load_le<std::uint64_t>(in + 24);
  header.tag = load_le<std::uint32_t>(in + 32);
  if (header.payload_size > kPayloadBytesMax) {
    return std::nullopt;
  }
  return header;
}

std::string_view to_string(DamageKind kind) {
  switch (kind) {
    case DamageKind::kHeader: return "frame header";
    case DamageKind::kPayload: return "payload";
    case DamageKind::kGap: return "gap";
    case DamageKind::kSegment: return "segment header";
    case DamageKind::kTrimmed: return "deleted unread";
  }
  return "unknown";
}

bool FrameScanner::belongs(const FrameHeader& header) const {
  return header.tag == limits_.tag;
}

// The first place at or behind `from` where a frame may begin.
FrameScanner::Search FrameScanner::find_frame(std::string_view bytes, std::size_t from, bool is_end) const {
  for (;;) {
    const std::size_t at = bytes.find(kFrameMarker, from);
    if (at == std::string_view::npos) {
      if (is_end) {
        return {bytes.size(), true};
      }
      // A marker may be cut by the end of the piece.
      const std::size_t tail = kFrameMarker.size() - 1;
      return {std::max(from, bytes.size() - std::min(bytes.size(), tail)), false};
    }
    if (bytes.size() - at < kFrameHeaderSize) {
      if (!is_end) {
        return {at, false};
      }
    } else if (const auto header = parse_frame_header(bytes.substr(at));
               header && belongs(*header) && header->offset >= limits_.expected &&
               header->offset < limits_.offset_end) {
      const bool fits = bytes.size() - at - kFrameHeaderSize >= header->payload_size;
      if (fits || !is_end) {
        return {at, fits};
      }
    }
    from = at + 1;
  }
}

FrameScanner::Progress FrameScanner::scan(std::string_view bytes, std::uint64_t position, bool is_end,
                                          std::vector<EntryView>& entries, std::vector<Damage>& damage) {
  Progress progress;
  std::size_t& at = progress.consumed;
  const auto add_header_damage = [&](std::size_t end) {
    const std::uint64_t begin = position + at;
    if (!damage.empty() && damage.back().kind == DamageKind::kHeader &&
        damage.back().segment == limits_.segment && damage.back().position + damage.back().bytes == begin) {
      damage.back().bytes += end - at;
    } else if (end > at) {
      damage.push_back({DamageKind::kHeader, limits_.segment, begin, end - at, limits_.expected, 0});
    }
    at = end;
  };
  while (at < bytes.size()) {
    if (limits_.expected >= limits_.offset_end) {
      at = bytes.size();  // all that may follow is superseded
      return progress;
    }
    const std::string_view rest = bytes.substr(at);
    if (rest.size() < kFrameHeaderSize && !is_end) {
      progress.needed = kFrameHeaderSize;
      return progress;
    }
    const auto header = parse_frame_header(rest);
    const bool good = header && belongs(*header);
    const bool fits = good && rest.size() - kFrameHeaderSize >= header->payload_size;
    if (good && !fits && !is_end) {
      progress.needed = kFrameHeaderSize + header->payload_size;
      return progress;
    }
    if (!fits) {
      const Search next = find_frame(bytes, at + 1, is_end);
      add_header_damage(next.position);
      if (!next.decided) {
        progress.needed = std::max(kFrameHeaderSize, bytes.size() - at + 1);
        return progress;
      }
      continue;
    }
    const std::size_t frame_size = kFrameHeaderSize + header->payload_size;
    if (header->offset < limits_.expected || header->offset >= limits_.offset_end) {
      at += frame_size;  // superseded, or before the place where reading begins
      progress.good_end = at;
      continue;
    }
    if (header->offset > limits_.expected && !limits_.sparse) {
      damage.push_back({DamageKind::kGap, limits_.segment, position + at, 0, limits_.expected,
                        header->offset - limits_.expected});
    }
    limits_.expected = header->offset + header->span;
    const std::string_view payload = rest.substr(kFrameHeaderSize, header->payload_size);
    if (crc32c(payload) != header->payload_crc) {
      damage.push_back(
          {DamageKind::kPayload, limits_.segment, position + at, frame_size, header->offset, header->span});
      at += frame_size;
      continue;
    }
    if (header->type == kEntryFrame) {
      entries.push_back({header->offset, header->time, header->flags, payload});
    } else {
      ++skipped_;
    }
    at += frame_size;
    progress.good_end = at;
    good_next_ = limits_.expected;
  }
  return progress;
}

}  // namespace naru::spool
