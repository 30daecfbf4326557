#include "agent/tail/rotation.h"

#include <algorithm>

namespace naru::agent {
namespace {

constexpr std::string_view kSeparators = ".-_~";

std::string_view without_compression(std::string_view name) {
  return name.ends_with(".gz") ? name.substr(0, name.size() - 3) : name;
}

// "-20261126", ".1", ".2026-11-26T03"
bool is_number(std::string_view text) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return !text.empty() && kSeparators.contains(text.front()) && std::ranges::any_of(text, digit) &&
         std::ranges::all_of(
             text, [&](char c) { return digit(c) || c == 'T' || c == ':' || kSeparators.contains(c); });
}

// The number between the stem and the extension of `base`: "a.log" and "a.1.log".
bool is_numbered_before_extension(std::string_view base, std::string_view name) {
  const std::size_t dot = base.rfind('.');
  if (dot == std::string_view::npos || dot == 0) {
    return false;
  }
  const std::string_view stem = base.substr(0, dot);
  const std::string_view extension = base.substr(dot);
  return name.size() > base.size() && name.starts_with(stem) && name.ends_with(extension) &&
         is_number(name.substr(stem.size(), name.size() - base.size()));
}

}  // namespace

bool is_numbered_rotation(std::string_view base, std::string_view name) {
  name = without_compression(name);
  return (name.starts_with(base) && is_number(name.substr(base.size()))) ||
         is_numbered_before_extension(base, name);
}

bool is_rotated_name(std::string_view base, std::string_view name) {
  return (name.size() > base.size() && name.starts_with(base) && kSeparators.contains(name[base.size()])) ||
         is_numbered_before_extension(base, without_compression(name));
}

}  // namespace naru::agent
