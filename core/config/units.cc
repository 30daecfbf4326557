#include "core/config/units.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <limits>

namespace naru::config {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array kDurationUnits = {
    Unit{"d", 86'400'000'000'000},
    Unit{"h", 3'600'000'000'000},
    Unit{"m", 60'000'000'000},
    Unit{"s", 1'000'000'000},
    Unit{"ms", 1'000'000},
    Unit{"us", 1'000},
    Unit{"ns", 1},
};
constexpr std::array kByteUnits = {
    Unit{"TiB", 1ull << 40},
    Unit{"GiB", 1ull << 30},
    Unit{"MiB", 1ull << 20},
    Unit{"KiB", 1ull << 10},
    Unit{"B", 1},
    Unit{"TB", 1'000'000'000'000},
    Unit{"GB", 1'000'000'000},
    Unit{"MB", 1'000'000},
    Unit{"kB", 1'000},
};
constexpr std::size_t kBinaryByteUnits = 5;  // the first of kByteUnits

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Reads "12.5unit" from the front of `text` and returns the exact product with the unit, moving `text` on.
// An empty unit is looked up as `bare`.
template <std::size_t N>
Result<std::uint64_t> take_quantity(std::string_view& text, const std::array<Unit, N>& units,
                                    std::string_view bare) {
  std::size_t end = 0;
  while (end < text.size() && (is_digit(text[end]) || text[end] == '.')) {
    ++end;
  }
  const std::string_view digits = text.substr(0, end);
  text.remove_prefix(end);
  std::size_t unit_end = 0;
  while (unit_end < text.size() && !is_digit(text[unit_end]) && text[unit_end] != '.') {
    ++unit_end;
  }
  const std::string_view name = unit_end == 0 ? bare : text.substr(0, unit_end);
  text.remove_prefix(unit_end);
  if (digits.empty() || digits.front() == '.' || digits.back() == '.') {
    return fail(ErrorCode::kInvalidArgument, "has no number before its unit");
  }
  if (name.empty()) {
    return fail(ErrorCode::kInvalidArgument, "has no unit");
  }
  std::uint64_t factor = 0;
  for (const Unit& unit : units) {
    if (unit.name == name) {
      factor = unit.factor;
    }
  }
  if (factor == 0) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("has the unknown unit \"{}\"", name));
  }
  __extension__ typedef unsigned __int128 Wide;
  Wide number = 0;
  Wide scale = 1;
  bool fraction = false;
  for (const char c : digits) {
    if (c == '.') {
      if (fraction) {
        return fail(ErrorCode::kInvalidArgument, "has two decimal points");
      }
      fraction = true;
      continue;
    }
    number = number * 10 + static_cast<unsigned>(c - '0');
    scale *= fraction ? 10 : 1;
    if (number > (Wide{1} << 64) || scale > (Wide{1} << 62)) {
      return fail(ErrorCode::kInvalidArgument, "is too large");
    }
  }
  const Wide product = number * factor;
  if (product % scale != 0) {
    return fail(ErrorCode::kInvalidArgument, "is finer than its smallest unit");
  }
  if (product / scale > std::numeric_limits<std::uint64_t>::max()) {
    return fail(ErrorCode::kInvalidArgument, "is too large");
  }
  return static_cast<std::uint64_t>(product / scale);
}

}  // namespace

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  if (text == "0") {
    return std::chrono::nanoseconds{0};
  }
  constexpr std::uint64_t kMax = std::numeric_limits<std::int64_t>::max();
  std::uint64_t sum = 0;
  do {
    NARU_TRY(const std::uint64_t part, take_quantity(text, kDurationUnits, ""));
    if (part > kMax - sum) {
      return fail(ErrorCode::kInvalidArgument, "is too large");
    }
    sum += part;
  } while (!text.empty());
  return std::chrono::nanoseconds{static_cast<std::int64_t>(sum)};
}

std::string format_duration(std::chrono::nanoseconds duration) {
  auto rest = static_cast<std::uint64_t>(duration.count());
  if (rest == 0) {
    return "0s";
  }
  std::string text;
  for (const Unit& unit : kDurationUnits) {
    if (rest >= unit.factor) {
      text += fmt::format("{}{}", rest / unit.factor, unit.name);
      rest %= unit.factor;
    }
  }
  return text;
}

Result<std::uint64_t> parse_bytes(std::string_view text) {
  NARU_TRY(const std::uint64_t bytes, take_quantity(text, kByteUnits, "B"));
  if (!text.empty()) {
    return fail(ErrorCode::kInvalidArgument, "has something behind its unit");
  }
  return bytes;
}

std::string format_bytes(std::uint64_t bytes) {
  for (std::size_t i = 0; i < kBinaryByteUnits; ++i) {
    const Unit& unit = kByteUnits[i];
    if (bytes >= unit.factor && bytes % unit.factor == 0) {
      return fmt::format("{}{}", bytes / unit.factor, unit.name);
    }
  }
  return "0B";
}

}  // namespace naru::config
