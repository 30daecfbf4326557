// Little-endian integers in byte strings, and the text forms of bytes.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace naru {

static_assert(std::endian::native == std::endian::little, "disk and hash formats assume little-endian hosts");

template <std::unsigned_integral T>
void append_le(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

// Reads sizeof(T) bytes at `from`, which need not be aligned.
template <std::unsigned_integral T>
T load_le(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

template <std::unsigned_integral T>
void store_le(char* to, T value) {
  std::memcpy(to, &value, sizeof(T));
}

// Lower-case hexadecimal.
std::string to_hex(std::string_view bytes);
char* write_hex(std::string_view bytes, char* out);
// 0 to 15 of a digit in either case; -1: no such digit.
int hex_value(char c);
// Either case. nullopt: odd length or another character.
std::optional<std::string> from_hex(std::string_view hex);

// RFC 4648 section 4, with padding.
std::string to_base64(std::string_view bytes);
void append_base64(std::string& out, std::string_view bytes);
// Accepts both alphabets, with or without padding. nullopt: any other character or an impossible length.
std::optional<std::string> from_base64(std::string_view text);

// RFC 4648 section 5 without padding, of exactly 16 bytes: 22 characters.
inline constexpr std::size_t kId22Size = 22;
void write_id22(const unsigned char (&bytes)[16], char* out);

// Whether `bytes` from `at` on lie in one page: reading them cannot fault, even past the end of the object at
// `at`. Wide loads of short texts use it, because a copy of a few bytes costs more than they do. False under
// the sanitizers, which watch over objects and not pages.
inline bool readable_in_page(const char* at, std::size_t bytes) {
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
  return static_cast<void>(at), static_cast<void>(bytes), false;
#endif
#endif
  constexpr std::uintptr_t kPage = 4096;
  return (reinterpret_cast<std::uintptr_t>(at) & (kPage - 1)) <= kPage - bytes;
}

}  // namespace naru
