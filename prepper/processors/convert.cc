#include "prepper/processors/convert.h"

#include <array>
#include <charconv>
#include <cmath>

namespace naru::prepper {
namespace {

using Kind = AnyValue::Kind;

template <class Number>
std::optional<Number> parse_all(std::string_view text) {
  Number out{};
  const char* begin = text.data();
  const char* const end = begin + text.size();
  if (begin != end && *begin == '+') {
    ++begin;
  }
  const auto parsed = std::from_chars(begin, end, out);
  return parsed.ec == std::errc() && parsed.ptr == end && begin != end ? std::optional(out) : std::nullopt;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  return begin == std::string_view::npos ? std::string_view()
                                         : text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

std::optional<AnyValue> to_integer(const AnyValue& value) {
  switch (value.kind) {
    case Kind::kInt: return value;
    case Kind::kBool: return int_value(value.boolean ? 1 : 0);
    case Kind::kDouble: {
      constexpr double kBound = 9223372036854775808.0;  // 2^63
      return value.real >= -kBound && value.real < kBound
                 ? std::optional(int_value(static_cast<std::int64_t>(value.real)))
                 : std::nullopt;
    }
    case Kind::kString: {
      const std::string_view text = trimmed(value.bytes);
      if (const auto number = parse_all<std::int64_t>(text)) {
        return int_value(*number);
      }
      if (const auto real = parse_all<double>(text)) {
        return to_integer(real_value(*real));
      }
      return std::nullopt;
    }
    default: return std::nullopt;
  }
}

std::optional<AnyValue> to_double(const AnyValue& value) {
  switch (value.kind) {
    case Kind::kDouble: return value;
    case Kind::kInt: return real_value(static_cast<double>(value.integer));
    case Kind::kBool: return real_value(value.boolean ? 1 : 0);
    case Kind::kString: {
      const auto real = parse_all<double>(trimmed(value.bytes));
      return real && std::isfinite(*real) ? std::optional(real_value(*real)) : std::nullopt;
    }
    default: return std::nullopt;
  }
}

bool equals_ignoring_case(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() && std::equal(text.begin(), text.end(), lower.begin(),
                                                   [](char a, char b) { return (a | 0x20) == (b | 0x20); });
}

std::optional<AnyValue> to_boolean(const AnyValue& value) {
  switch (value.kind) {
    case Kind::kBool: return value;
    case Kind::kInt: return bool_value(value.integer != 0);
    case Kind::kString: {
      const std::string_view text = trimmed(value.bytes);
      constexpr std::array kTrue = {"1", "true", "yes", "on"};
      constexpr std::array kFalse = {"0", "false", "no", "off"};
      const auto is = [&](const char* word) { return equals_ignoring_case(text, word); };
      if (std::ranges::any_of(kTrue, is)) {
        return bool_value(true);
      }
      return std::ranges::any_of(kFalse, is) ? std::optional(bool_value(false)) : std::nullopt;
    }
    default: return std::nullopt;
  }
}

std::optional<AnyValue> to_text(const AnyValue& value, Arena& arena) {
  char text[40];
  switch (value.kind) {
    case Kind::kString: return value;
    case Kind::kBool: return text_value(value.boolean ? "true" : "false");
    case Kind::kInt:
      return text_value(arena.copy(
          {text,
           static_cast<std::size_t>(std::to_chars(text, text + sizeof text, value.integer).ptr - text)}));
    case Kind::kDouble:
      return text_value(arena.copy(
          {text, static_cast<std::size_t>(std::to_chars(text, text + sizeof text, value.real).ptr - text)}));
    default: return std::nullopt;
  }
}

}  // namespace

std::optional<Conversion> conversion(std::string_view name) {
  constexpr std::pair<std::string_view, Conversion> kNames[] = {
      {"int", Conversion::kInteger},     {"integer", Conversion::kInteger}, {"long", Conversion::kInteger},
      {"float", Conversion::kDouble},    {"double", Conversion::kDouble},   {"bool", Conversion::kBoolean},
      {"boolean", Conversion::kBoolean}, {"text", Conversion::kText},       {"string", Conversion::kText}};
  for (const auto& [known, type] : kNames) {
    if (known == name) {
      return type;
    }
  }
  return std::nullopt;
}

std::optional<AnyValue> convert(const AnyValue& value, Conversion to, Arena& arena) {
  switch (to) {
    case Conversion::kText: return to_text(value, arena);
    case Conversion::kInteger: return to_integer(value);
    case Conversion::kDouble: return to_double(value);
    case Conversion::kBoolean: return to_boolean(value);
  }
  return std::nullopt;
}

}  // namespace naru::prepper
