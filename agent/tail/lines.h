// Cuts bytes of a file into records. Pure and stateless: what a byte range becomes depends on its bytes, on
// the byte before it and on the limit alone, so that a range that is read again becomes the same records.
//
// A record is a line without its line feed; everything else, a carriage return and an empty line included, is
// kept. A line over the limit is cut to it and says by how much.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace naru::agent {

struct Line {
  std::string_view body;
  std::uint64_t cut = 0;  // bytes of the line behind body
  std::size_t end = 0;    // offset behind the line and its line feed in the bytes given
};

enum class Rest {
  kWait,  // bytes behind the last line feed are no record yet
  kSend,  // they are one
};

// How much of a line over the limit is kept: the limit, less what would split a UTF-8 sequence.
inline std::size_t kept_bytes(std::string_view line, std::size_t line_bytes_max) {
  if (line.size() <= line_bytes_max) [[likely]] {
    return line.size();
  }
  std::size_t kept = line_bytes_max;
  for (int back = 0; back < 3 && kept > 0 && (static_cast<unsigned char>(line[kept]) & 0xC0) == 0x80;
       ++back) {
    --kept;
  }
  return kept;
}

// Calls `take(line)` for each record of `bytes` until it returns false; that record is then not consumed.
// `after_cut`: the byte before `bytes` exists and is no line feed, so a record was cut there and a line feed
// that follows at once ends that record and is none by itself. Returns the bytes consumed.
template <class Take>
std::size_t for_each_line(std::string_view bytes, std::size_t line_bytes_max, bool after_cut, Rest rest,
                          Take&& take) {
  std::size_t at = after_cut && !bytes.empty() && bytes.front() == '\n' ? 1 : 0;
  while (at < bytes.size()) {
    const char* begin = bytes.data() + at;
    const auto* feed = static_cast<const char*>(std::memchr(begin, '\n', bytes.size() - at));
    if (feed == nullptr && rest == Rest::kWait) {
      break;
    }
    const std::size_t size = feed != nullptr ? static_cast<std::size_t>(feed - begin) : bytes.size() - at;
    const std::size_t kept = kept_bytes(std::string_view(begin, size), line_bytes_max);
    const std::size_t end = at + size + (feed != nullptr ? 1 : 0);
    if (!take(Line{std::string_view(begin, kept), size - kept, end})) {
      break;
    }
    at = end;
  }
  return at;
}

// Offset behind the first line feed at or after `from`; npos if there is none.
std::size_t first_line_start(std::string_view bytes, std::size_t from);

}  // namespace naru::agent
