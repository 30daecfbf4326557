#include "naru/up/progress.h"

#include <fmt/format.h>

#include <array>

namespace naru {

std::string with_thousands(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return digits;
}

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) {
    return fmt::format("{} B", bytes);
  }
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string format_progress(const ProgressSample& before, const ProgressSample& now) {
  const double seconds = static_cast<double>(now.at - before.at) / static_cast<double>(kNanosPerSecond);
  const double rate = seconds > 0 ? static_cast<double>(now.stored - before.stored) / seconds : 0;
  std::string line = fmt::format(
      "read {}  stored {}  rate {}/s  lag {} records", with_thousands(now.read), with_thousands(now.stored),
      with_thousands(static_cast<std::uint64_t>(rate + 0.5)), with_thousands(now.lag));
  if (now.waiting > 0) {
    line += fmt::format(", {} requests on the bus", with_thousands(now.waiting));
  }
  if (now.lag_bytes > 0) {
    line += fmt::format(", {} unread", human_bytes(now.lag_bytes));
  }
  return line;
}

}  // namespace naru
