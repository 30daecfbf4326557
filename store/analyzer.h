// The `standard` analyzer of text fields: Unicode word boundaries (UAX #29, reduced to the classes below),
// lower-cased, tokens cut at 255 characters.
//
// Letters, digits and `_` join; `.` and `'` join two letters or two digits, `:` two letters, `,` and `;` two
// digits (so 10.0.0.1 and foo.bar are one token, as in OpenSearch). Han and Hiragana characters are tokens of
// their own, Katakana and Hangul join. Case folding covers Latin, Greek and Cyrillic. No stop words, no
// stemming. Pure; invalid UTF-8 bytes separate words.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace naru::store {

namespace analysis {
enum Class : std::uint8_t {
  kOther,
  kLetter,
  kDigit,
  kExtend,        // _
  kMidLetter,     // :
  kMidNumLetter,  // . '
  kMidNumber,     // , ;
  kIdeograph,     // a token by itself
  kMark,          // combining mark, joiner: belongs to the letter before it
  kMultiByte,     // decode first
};
inline constexpr std::array<std::uint8_t, 256> kClasses = [] {
  std::array<std::uint8_t, 256> classes{};
  for (int c = 'a'; c <= 'z'; ++c) {
    classes[c] = kLetter;
    classes[c - 32] = kLetter;
  }
  for (int c = '0'; c <= '9'; ++c) {
    classes[c] = kDigit;
  }
  for (int c = 0x80; c < 0x100; ++c) {
    classes[c] = kMultiByte;
  }
  classes['_'] = kExtend;
  classes[':'] = kMidLetter;
  classes['.'] = kMidNumLetter;
  classes['\''] = kMidNumLetter;
  classes[','] = kMidNumber;
  classes[';'] = kMidNumber;
  return classes;
}();

struct Decoded {
  Class kind;
  std::uint32_t lower;  // the folded code point
  std::uint32_t size;   // bytes read
};
// The character at text[at], which must exist.
Decoded decode(std::string_view text, std::size_t at);
// Writes `code` as UTF-8, returns the bytes written.
std::size_t encode(std::uint32_t code, char* out);
}  // namespace analysis

inline constexpr std::size_t kTokenCharactersMax = 255;

// Calls take(std::string_view token) for each token in order; the view ends with the call.
template <class Take>
void for_each_token(std::string_view text, Take&& take) {
  using namespace analysis;
  char token[kTokenCharactersMax * 4 + 8];
  std::size_t size = 0;
  std::size_t characters = 0;
  bool word = false;  // the token holds a letter or digit
  Class previous = kOther;
  auto flush = [&] {
    if (word) {
      take(std::string_view(token, size));
    }
    size = characters = 0;
    word = false;
    previous = kOther;
  };
  const std::size_t end = text.size();
  std::size_t at = 0;
  while (at < end) {
    const auto byte = static_cast<unsigned char>(text[at]);
    auto kind = static_cast<Class>(kClasses[byte]);
    std::uint32_t length = 1;
    std::uint32_t lower = 0;
    if (kind == kMultiByte) [[unlikely]] {
      const Decoded decoded = decode(text, at);
      kind = decoded.kind;
      length = decoded.size;
      lower = decoded.lower;
    }
    switch (kind) {
      case kLetter:
      case kDigit:
      case kExtend:
      case kMark:
        if (kind == kMark) {
          if (previous == kOther) {
            break;
          }
          kind = previous;
        }
        if (characters == kTokenCharactersMax) {
          flush();
        }
        if (length == 1) {
          token[size++] = static_cast<char>(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
        } else {
          size += encode(lower, token + size);
        }
        ++characters;
        word |= kind != kExtend;
        previous = kind;
        break;
      case kMidLetter:
      case kMidNumLetter:
      case kMidNumber: {
        Class next = kOther;
        if (at + 1 < end) {
          next = static_cast<Class>(kClasses[static_cast<unsigned char>(text[at + 1])]);
          if (next == kMultiByte) {
            next = decode(text, at + 1).kind;
          }
        }
        const bool joins = (previous == kLetter && next == kLetter && kind != kMidNumber) ||
                           (previous == kDigit && next == kDigit && kind != kMidLetter);
        if (joins && characters < kTokenCharactersMax) {
          token[size++] = static_cast<char>(byte);
          ++characters;
        } else {
          flush();
        }
        break;
      }
      case kIdeograph:
        flush();
        size = encode(lower, token);
        word = true;
        flush();
        break;
      default: flush();
    }
    at += length;
  }
  flush();
}

std::vector<std::string> tokens_of(std::string_view text);

}  // namespace naru::store
