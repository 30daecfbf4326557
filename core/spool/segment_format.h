// The bytes of a segment log: docs/formats/segment-log.md, version 1. Pure: encodes and reads buffers, does
// no I/O. The numbers here are on disk: do not change them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"

namespace naru::spool {

using LogId = std::array<unsigned char, 16>;

inline constexpr std::size_t kSegmentHeaderSize = 64;
inline constexpr std::uint16_t kSegmentVersion = 1;
inline constexpr std::uint32_t kSegmentSparse = 1;  // compacted: missing offsets are no loss
inline constexpr std::size_t kFrameHeaderSize = 40;
inline constexpr std::size_t kPayloadBytesMax = 64u << 20;
inline constexpr std::string_view kFrameMarker = "\xF5NF\xFF";
inline constexpr std::uint8_t kEntryFrame = 1;

struct SegmentHeader {
  LogId log_id{};
  std::uint64_t first_offset = 0;
  UnixNanos created = 0;
  std::uint32_t flags = 0;
};

std::array<char, kSegmentHeaderSize> encode_segment_header(const SegmentHeader& header);
// kCorrupt: short, magic or CRC. kUnsupported: a newer version or an unknown flag.
Result<SegmentHeader> parse_segment_header(std::string_view bytes);

// "00000000000000000042.seg"
std::string segment_name(std::uint64_t first_offset);
std::optional<std::uint64_t> parse_segment_name(std::string_view name);

std::uint32_t log_tag(const LogId& id);

struct FrameHeader {
  std::uint8_t type = kEntryFrame;
  std::uint8_t flags = 0;
  std::uint16_t span = 1;
  std::uint32_t payload_size = 0;
  std::uint32_t payload_crc = 0;
  std::uint64_t offset = 0;
  UnixNanos time = 0;
  std::uint32_t tag = 0;
};

// Writes kFrameHeaderSize bytes.
void encode_frame_header(const FrameHeader& header, char* out);
// nullopt: fewer than kFrameHeaderSize bytes, or marker, CRC or length limit fail.
std::optional<FrameHeader> parse_frame_header(std::string_view bytes);

// An entry in a buffer that the caller keeps alive.
struct EntryView {
  std::uint64_t offset = 0;
  UnixNanos time = 0;
  std::uint8_t flags = 0;
  std::string_view payload{};
};

enum class DamageKind : std::uint8_t {
  kHeader,   // bytes without a good frame header, up to the next one
  kPayload,  // one entry with a wrong payload CRC; `bytes` covers its frame
  kGap,      // offsets that no frame carries
  kSegment,  // the segment's own header
  kTrimmed,  // deleted before they were read
};
std::string_view to_string(DamageKind kind);

// Bytes or entries that a reader could not return.
struct Damage {
  DamageKind kind = DamageKind::kHeader;
  std::uint64_t segment = 0;   // first offset of the segment
  std::uint64_t position = 0;  // in its file
  std::uint64_t bytes = 0;
  std::uint64_t first_offset = 0;  // of the entries that are missing
  std::uint64_t entries_lost = 0;  // 0: only bytes, or told by a following kGap
};

// Reads frames out of a segment that is given piece by piece, in order.
//
// Resynchronises behind damage as the format document says. Holds no bytes: a piece must be given again from
// `consumed` on. Not thread-safe.
class FrameScanner {
 public:
  struct Limits {
    std::uint32_t tag = 0;
    std::uint64_t segment = 0;   // first offset, for Damage
    std::uint64_t expected = 0;  // next offset that the reader wants
    std::uint64_t offset_end = std::numeric_limits<std::uint64_t>::max();  // first offset of the next segment
    bool sparse = false;
  };
  explicit FrameScanner(const Limits& limits) : limits_(limits), good_next_(limits.expected) {}

  struct Progress {
    std::size_t consumed = 0;  // bytes of this piece that are dealt with
    std::size_t needed = 0;    // at least so many bytes from `consumed` on; 0: the piece is used up
    std::size_t good_end = 0;  // end of the last good frame in this piece, 0: none
  };
  // `bytes` lies at `position` of the segment; `is_end`: the segment ends with it. Appends entries whose
  // views point into `bytes`, and damage.
  Progress scan(std::string_view bytes, std::uint64_t position, bool is_end, std::vector<EntryView>& entries,
                std::vector<Damage>& damage);

  std::uint64_t expected() const { return limits_.expected; }
  // The offset behind the last frame whose payload was good too; the first `expected` if there was none.
  std::uint64_t good_next() const { return good_next_; }
  std::uint64_t skipped_frames() const { return skipped_; }  // of unknown type

 private:
  struct Search {
    std::size_t position = 0;
    bool decided = false;  // false: the rest of the piece is too short to tell
  };
  Search find_frame(std::string_view bytes, std::size_t from, bool is_end) const;
  bool belongs(const FrameHeader& header) const;

  Limits limits_;
  std::uint64_t good_next_;
  std::uint64_t skipped_ = 0;
};

}  // namespace naru::spool
