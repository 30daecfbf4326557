#include "agent/tail/record_reader.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>

namespace naru::agent {
namespace {

constexpr std::size_t kScanBuffer = 64u << 10;

}  // namespace

RecordReader::RecordReader(std::size_t line_bytes_max)
    : chunk_bytes_(std::max(kChunkBytes, line_bytes_max + 8)),
      buffer_(std::make_unique_for_overwrite<char[]>(kFingerprintBytesMax + chunk_bytes_)) {}

Result<void> RecordReader::load(const File& file, std::uint64_t offset, std::uint32_t window_size,
                                std::uint64_t limit) {
  offset_ = offset;
  limit_ = limit;
  window_size_ = window_size;
  data_size_ = 0;
  const std::size_t want = window_size + std::min<std::uint64_t>(chunk_bytes_, limit - offset);
  NARU_TRY(const std::size_t have,
           file.read(offset - window_size, want, buffer_.get() + kFingerprintBytesMax - window_size));
  if (have < want) {  // shorter than its size said: truncated this moment
    limit_ = std::max<std::uint64_t>(offset, offset - window_size + have);
    if (have < window_size) {
      window_size_ = 0;
      return {};
    }
  }
  data_size_ = have - window_size;
  return {};
}

bool RecordReader::is_text(Rest rest) const {
  std::string_view bytes = data();
  if (rest == Rest::kWait) {
    const std::size_t feed = bytes.rfind('\n');
    bytes = bytes.substr(0, feed == std::string_view::npos ? 0 : feed + 1);
  }
  return simdjson::validate_utf8(bytes.data(), bytes.size());
}

Result<std::optional<std::uint64_t>> RecordReader::find_line_end(const File& file, std::uint64_t& scanned,
                                                                 Rest rest) {
  const auto buffer = std::make_unique_for_overwrite<char[]>(kScanBuffer);
  std::uint64_t at = std::max(scanned, offset_ + data_size_);
  const std::uint64_t stop = std::min(limit_, at + kScanBytesPerTurn);
  while (at < stop) {
    NARU_TRY(const std::size_t have,
             file.read(at, std::min<std::uint64_t>(kScanBuffer, stop - at), buffer.get()));
    if (have == 0) {
      break;
    }
    if (const void* feed = std::memchr(buffer.get(), '\n', have)) {
      end_of_body_ = at + static_cast<std::uint64_t>(static_cast<const char*>(feed) - buffer.get());
      return end_of_body_ + 1;
    }
    at += have;
  }
  scanned = at;
  if (at >= limit_ && rest == Rest::kSend) {
    end_of_body_ = limit_;
    return limit_;
  }
  return std::nullopt;
}

Result<Fingerprint> RecordReader::window_at(const File& file, std::uint64_t consumed) const {
  if (consumed > data_size_) {
    return window_of(file, offset_ + consumed);
  }
  const std::size_t size =
      std::min<std::size_t>(kFingerprintBytesMax, window_size_ + static_cast<std::size_t>(consumed));
  return fingerprint({buffer_.get() + kFingerprintBytesMax + consumed - size, size});
}

Result<Fingerprint> window_of(const File& file, std::uint64_t offset) {
  const std::size_t size = std::min<std::uint64_t>(kFingerprintBytesMax, offset);
  NARU_TRY(const std::string bytes, file.read(offset - size, size));
  return fingerprint(bytes);
}

}  // namespace naru::agent
