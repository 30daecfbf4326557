// Reads records out of an open file, one chunk a turn. The same bytes give the same records, whether they are
// read for the first time or again after a crash (docs/formats/agent-checkpoint.md).
//
// Owns one buffer that serves every file; views into it end with the next load(). Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "agent/tail/followed.h"
#include "agent/tail/identity.h"
#include "agent/tail/lines.h"
#include "core/base/result.h"

namespace naru::agent {

class RecordReader {
 public:
  static constexpr std::size_t kChunkBytes = 256u << 10;
  // A line without an end is searched for it this far in one turn.
  static constexpr std::size_t kScanBytesPerTurn = 16u << 20;

  explicit RecordReader(std::size_t line_bytes_max);

  // Loads the `window_size` bytes before `offset` and a chunk behind it, not beyond `limit`.
  Result<void> load(const File& file, std::uint64_t offset, std::uint32_t window_size, std::uint64_t limit);
  std::string_view window() const {
    return {buffer_.get() + kFingerprintBytesMax - window_size_, window_size_};
  }
  std::string_view data() const { return {buffer_.get() + kFingerprintBytesMax, data_size_}; }

  // Calls `take(line, text)` for the records of what load() loaded, until it returns false; line.end counts
  // from `offset`, `text` is true when the body is known to be UTF-8. A line that is longer than the chunk is
  // searched for its end in the file. `rest`: what to do with bytes behind the last line feed once `limit` is
  // reached. `scanned`: the caller's note of how far an unfinished line was searched, for the next turn.
  // Returns the bytes consumed.
  template <class Take>
  Result<std::uint64_t> take_records(const File& file, std::size_t line_bytes_max, Rest rest,
                                     std::uint64_t& scanned, Take&& take) {
    const bool complete = offset_ + data_size_ >= limit_;
    const Rest here = complete ? rest : Rest::kWait;
    const bool after_cut = window_size_ > 0 && window().back() != '\n';
    const bool text = is_text(here);
    const std::size_t consumed = for_each_line(data(), line_bytes_max, after_cut, here,
                                               [&](const Line& line) { return take(line, text); });
    if (consumed > 0 || complete || find_line_end_in_data()) {
      if (complete) {
        scanned = limit_;
      }
      return consumed;
    }
    NARU_TRY(const std::optional<std::uint64_t> end, find_line_end(file, scanned, rest));
    if (!end) {
      return 0;
    }
    Line line;
    line.body = data().substr(0, kept_bytes(data(), line_bytes_max));
    line.cut = end_of_body_ - offset_ - line.body.size();
    line.end = static_cast<std::size_t>(*end - offset_);
    return take(line, false) ? line.end : 0;
  }

  // Fingerprint of the bytes that end `consumed` behind the loaded offset.
  Result<Fingerprint> window_at(const File& file, std::uint64_t consumed) const;

 private:
  bool is_text(Rest rest) const;
  bool find_line_end_in_data() const { return data().find('\n') != std::string_view::npos; }
  // Offset behind the line that begins at offset_ and is longer than the chunk; sets end_of_body_. nullopt:
  // not found in this turn.
  Result<std::optional<std::uint64_t>> find_line_end(const File& file, std::uint64_t& scanned, Rest rest);

  const std::size_t chunk_bytes_;
  std::unique_ptr<char[]> buffer_;
  std::uint64_t offset_ = 0, limit_ = 0, end_of_body_ = 0;
  std::uint32_t window_size_ = 0;
  std::size_t data_size_ = 0;
};

// Fingerprint of the bytes that end at `offset`.
Result<Fingerprint> window_of(const File& file, std::uint64_t offset);

}  // namespace naru::agent
