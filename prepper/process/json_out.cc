#include "prepper/process/json_out.h"

#include <simdjson.h>

#include <algorithm>
#include <bit>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "core/base/bytes.h"
#include "core/base/json_text.h"

namespace naru::prepper {
namespace {

constexpr std::size_t kFirstGrowth = 4096;
constexpr std::size_t kEscapedByteMax = 6;  // \u001f
constexpr std::size_t kSlack = 64;          // wide stores may reach past the end of what counts

constexpr char kHex[] = "0123456789abcdef";

char* write_escape(unsigned char c, char* out) {
  *out++ = '\\';
  switch (c) {
    case '"':
    case '\\': *out++ = static_cast<char>(c); return out;
    case '\n': *out++ = 'n'; return out;
    case '\r': *out++ = 'r'; return out;
    case '\t': *out++ = 't'; return out;
    default:
      std::memcpy(out, "u00", 3);
      out[3] = kHex[c >> 4];
      out[4] = kHex[c & 15];
      return out + 5;
  }
}

bool needs_escape(unsigned char c) {
  return c < 0x20 || c == '"' || c == '\\';
}

// Each form copies [from, end) escaped to `out` (room: kEscapedByteMax per byte and kSlack), sets `high` when
// a byte is above 0x7F and returns the end of what it wrote.
[[maybe_unused]] char* escape_bytes(const char* from, const char* end, char* out, bool& high) {
  for (; from != end; ++from) {
    const auto c = static_cast<unsigned char>(*from);
    high |= c >= 0x80;
    if (needs_escape(c)) {
      out = write_escape(c, out);
    } else {
      *out++ = static_cast<char>(c);
    }
  }
  return out;
}

#if defined(__x86_64__)
// The `size` < 16 bytes at `from`, and whatever lies behind them.
__m128i load_short(const char* from, std::size_t size) {
  if (readable_in_page(from, 16)) [[likely]] {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  }
  alignas(16) char tail[16] = {};
  std::memcpy(tail, from, size);
  return _mm_load_si128(reinterpret_cast<const __m128i*>(tail));
}

char* escape_sse2(const char* from, const char* end, char* out, bool& high) {
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  const __m128i control = _mm_set1_epi8(0x1f);
  int high_bits = 0;
  while (from != end) {
    const auto left = static_cast<std::size_t>(end - from);
    const unsigned valid = left >= 16 ? 16 : static_cast<unsigned>(left);
    const unsigned counts = (1U << valid) - 1;
    const __m128i bytes =
        left >= 16 ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)) : load_short(from, left);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
    high_bits |= _mm_movemask_epi8(bytes) & static_cast<int>(counts);
    const auto mask =
        counts & static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(
                     _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
                     _mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes))));
    if (mask == 0) [[likely]] {
      from += valid;
      out += valid;
      continue;
    }
    const auto clean = static_cast<unsigned>(std::countr_zero(mask));
    out = write_escape(static_cast<unsigned char>(from[clean]), out + clean);
    from += clean + 1;
  }
  high |= high_bits != 0;
  return out;
}

__attribute__((target("avx2"))) char* escape_avx2(const char* from, const char* end, char* out, bool& high) {
  const __m256i quote = _mm256_set1_epi8('"');
  const __m256i backslash = _mm256_set1_epi8('\\');
  const __m256i control = _mm256_set1_epi8(0x1f);
  int high_bits = 0;
  while (end - from >= 32) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), bytes);
    high_bits |= _mm256_movemask_epi8(bytes);
    auto mask = static_cast<unsigned>(_mm256_movemask_epi8(
        _mm256_or_si256(_mm256_or_si256(_mm256_cmpeq_epi8(bytes, quote), _mm256_cmpeq_epi8(bytes, backslash)),
                        _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, control), bytes))));
    if (mask == 0) [[likely]] {
      from += 32;
      out += 32;
      continue;
    }
    const auto clean = static_cast<unsigned>(std::countr_zero(mask));
    out = write_escape(static_cast<unsigned char>(from[clean]), out + clean);
    from += clean + 1;
  }
  high |= high_bits != 0;
  return escape_sse2(from, end, out, high);
}
#endif

using EscapeFunction = char* (*)(const char*, const char*, char*, bool&);
EscapeFunction pick_escape() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") ? escape_avx2 : escape_sse2;
#else
  return escape_bytes;
#endif
}
const EscapeFunction kEscape = pick_escape();

}  // namespace

void JsonOut::grow(std::size_t bytes) {
  const std::size_t wanted = std::max({size_ + bytes, buffer_.size() * 2, expected_, kFirstGrowth});
  buffer_.resize_and_overwrite(wanted, [](char*, std::size_t n) { return n; });
}

bool JsonOut::string(std::string_view text) {
  reserve(text.size() * kEscapedByteMax + kSlack);
  char* const begin = buffer_.data() + size_;
  *begin = '"';
  bool high = false;
  char* out = kEscape(text.data(), text.data() + text.size(), begin + 1, high);
  if (high && !simdjson::validate_utf8(text.data(), text.size())) [[unlikely]] {
    raw(json_string(text));
    return false;
  }
  *out++ = '"';
  size_ = static_cast<std::size_t>(out - buffer_.data());
  return true;
}

void JsonOut::time(UnixNanos time) {
  const UnixNanos second = time / kNanosPerSecond;
  if (second != cached_second_) {
    write_rfc3339(second * kNanosPerSecond, cached_text_);
    cached_second_ = second;
  }
  reserve(kRfc3339Size + 2);
  char* out = buffer_.data() + size_;
  *out++ = '"';
  std::memcpy(out, cached_text_, kRfc3339Size);
  constexpr std::size_t kFractionEnd = kRfc3339Size - 2;
  auto fraction = static_cast<std::uint32_t>(time % kNanosPerSecond);
  for (std::size_t i = 0; i < 9; ++i) {
    out[kFractionEnd - i] = static_cast<char>('0' + fraction % 10);
    fraction /= 10;
  }
  out[kRfc3339Size] = '"';
  size_ += kRfc3339Size + 2;
}

void JsonOut::base64(std::string_view bytes) {
  raw('"');
  raw(to_base64(bytes));
  raw('"');
}

void JsonOut::hex(std::string_view bytes) {
  reserve(bytes.size() * 2 + 2);
  raw('"');
  size_ = static_cast<std::size_t>(write_hex(bytes, buffer_.data() + size_) - buffer_.data());
  raw('"');
}

std::string_view cut_utf8(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) {
    return text;
  }
  std::size_t size = bytes_max;
  // At most three continuation bytes belong to the sequence that would be cut.
  for (int i = 0; i < 3 && size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80; ++i) {
    --size;
  }
  return text.substr(0, size);
}

}  // namespace naru::prepper
