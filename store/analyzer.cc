#include "store/analyzer.h"

#include <algorithm>
#include <iterator>

namespace naru::store {
namespace analysis {
namespace {

struct Range {
  std::uint32_t first, last;
  Class kind;
};
// Everything above U+007F that is no plain letter, sorted. Sources: Unicode WordBreakProperty and block
// names.
constexpr Range kRanges[] = {
    {0x80, 0xA9, kOther},
    {0xAB, 0xAC, kOther},
    {0xAD, 0xAD, kMark},
    {0xAE, 0xB4, kOther},
    {0xB6, 0xB6, kOther},
    {0xB7, 0xB7, kMidLetter},
    {0xB8, 0xB9, kOther},
    {0xBB, 0xBF, kOther},
    {0xD7, 0xD7, kOther},
    {0xF7, 0xF7, kOther},
    {0x300, 0x36F, kMark},
    {0x483, 0x489, kMark},
    {0x591, 0x5BD, kMark},
    {0x5BE, 0x5CF, kOther},
    {0x600, 0x60F, kOther},
    {0x61B, 0x61F, kOther},
    {0x64B, 0x65F, kMark},
    {0x660, 0x669, kDigit},
    {0x66A, 0x66D, kOther},
    {0x6F0, 0x6F9, kDigit},
    {0x966, 0x96F, kDigit},
    {0x2000, 0x200B, kOther},
    {0x200C, 0x200F, kMark},
    {0x2010, 0x2017, kOther},
    {0x2018, 0x2019, kMidNumLetter},
    {0x201A, 0x203E, kOther},
    {0x203F, 0x2040, kExtend},
    {0x2041, 0x2070, kOther},
    {0x2072, 0x207E, kOther},
    {0x2080, 0x208F, kOther},
    {0x20A0, 0x20CF, kOther},
    {0x2190, 0x245F, kOther},
    {0x2500, 0x2BFF, kOther},
    {0x2E00, 0x2E2E, kOther},
    {0x2E30, 0x2E7F, kOther},
    {0x2E80, 0x2FFF, kIdeograph},
    {0x3000, 0x3004, kOther},
    {0x3005, 0x3007, kIdeograph},
    {0x3008, 0x3020, kOther},
    {0x3021, 0x3029, kIdeograph},
    {0x3030, 0x3030, kOther},
    {0x3038, 0x303B, kIdeograph},
    {0x303C, 0x303F, kOther},
    {0x3041, 0x3096, kIdeograph},
    {0x309D, 0x309F, kIdeograph},
    {0x30FB, 0x30FB, kOther},
    {0x3200, 0x33FF, kOther},
    {0x3400, 0x4DBF, kIdeograph},
    {0x4DC0, 0x4DFF, kOther},
    {0x4E00, 0x9FFF, kIdeograph},
    {0xD800, 0xF8FF, kOther},
    {0xF900, 0xFAFF, kIdeograph},
    {0xFE00, 0xFE0F, kMark},
    {0xFE10, 0xFE1F, kOther},
    {0xFE20, 0xFE2F, kMark},
    {0xFE30, 0xFE6F, kOther},
    {0xFEFF, 0xFEFF, kMark},
    {0xFF00, 0xFF0F, kOther},
    {0xFF10, 0xFF19, kDigit},
    {0xFF1A, 0xFF20, kOther},
    {0xFF3B, 0xFF3E, kOther},
    {0xFF3F, 0xFF3F, kExtend},
    {0xFF40, 0xFF40, kOther},
    {0xFF5B, 0xFF65, kOther},
    {0xFFE0, 0xFFFF, kOther},
    {0x1F000, 0x1FAFF, kOther},
    {0x20000, 0x3FFFF, kIdeograph},
    {0xE0000, 0x10FFFF, kOther},
};

Class classify(std::uint32_t code) {
  const Range* found = std::ranges::lower_bound(kRanges, code, {}, &Range::last);
  return found != std::end(kRanges) && code >= found->first ? found->kind : kLetter;
}

std::uint32_t fold(std::uint32_t code) {
  if ((code >= 0xC0 && code <= 0xDE) || (code >= 0x391 && code <= 0x3A9) ||
      (code >= 0x410 && code <= 0x42F) || (code >= 0xFF21 && code <= 0xFF3A)) {
    return code + 32;
  }
  if (code >= 0x400 && code <= 0x40F) {
    return code + 80;
  }
  if ((code >= 0x100 && code <= 0x137 && code != 0x130) || (code >= 0x14A && code <= 0x177) ||
      (code >= 0x460 && code <= 0x4BF) || (code >= 0x4D0 && code <= 0x52F) ||
      (code >= 0x1E00 && code <= 0x1EFF)) {
    return code | 1;  // upper and lower case alternate, the lower one odd
  }
  if ((code >= 0x139 && code <= 0x148) || (code >= 0x179 && code <= 0x17E)) {
    return code + (code & 1);  // there the lower one is even
  }
  return code;
}

}  // namespace

Decoded decode(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) -> std::uint32_t {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0;
  };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const std::uint32_t lead = byte(0);
  std::uint32_t code = lead;
  std::uint32_t size = 1;
  if (lead < 0x80) {
    return {static_cast<Class>(kClasses[lead]), lead, 1};
  }
  if (lead >= 0xC2 && lead < 0xE0 && tail(1)) {
    code = (lead & 0x1F) << 6 | (byte(1) & 0x3F);
    size = 2;
  } else if (lead >= 0xE0 && lead < 0xF0 && tail(1) && tail(2)) {
    code = (lead & 0xF) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    size = 3;
  } else if (lead >= 0xF0 && lead < 0xF5 && tail(1) && tail(2) && tail(3)) {
    code = (lead & 7) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
    size = 4;
  } else {
    return {kOther, lead, 1};
  }
  const Class kind = classify(code);
  return {kind, kind == kLetter ? fold(code) : code, size};
}

std::size_t encode(std::uint32_t code, char* out) {
  if (code < 0x80) {
    out[0] = static_cast<char>(code);
    return 1;
  }
  if (code < 0x800) {
    out[0] = static_cast<char>(0xC0 | code >> 6);
    out[1] = static_cast<char>(0x80 | (code & 0x3F));
    return 2;
  }
  if (code < 0x10000) {
    out[0] = static_cast<char>(0xE0 | code >> 12);
    out[1] = static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out[2] = static_cast<char>(0x80 | (code & 0x3F));
    return 3;
  }
  out[0] = static_cast<char>(0xF0 | code >> 18);
  out[1] = static_cast<char>(0x80 | (code >> 12 & 0x3F));
  out[2] = static_cast<char>(0x80 | (code >> 6 & 0x3F));
  out[3] = static_cast<char>(0x80 | (code & 0x3F));
  return 4;
}

}  // namespace analysis

std::vector<std::string> tokens_of(std::string_view text) {
  std::vector<std::string> tokens;
  for_each_token(text, [&](std::string_view token) { tokens.emplace_back(token); });
  return tokens;
}

}  // namespace naru::store
