#include "core/base/fault_point.h"

#include <atomic>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <string>

namespace naru {
namespace {

struct Armed {
  std::string name;
  std::atomic<std::int64_t> left{1};
};

// A deque: the counters cannot move.
std::deque<Armed>& armed_points() {
  static std::deque<Armed> points = [] {
    std::deque<Armed> out;
    const char* variable = std::getenv("NARU_FAULT");
    std::string_view rest = variable != nullptr ? variable : "";
    while (!rest.empty()) {
      const std::string_view item = rest.substr(0, rest.find(','));
      rest.remove_prefix(item.size() == rest.size() ? item.size() : item.size() + 1);
      const std::size_t colon = item.find(':');
      Armed& point = out.emplace_back();
      point.name = item.substr(0, colon);
      std::int64_t count = 1;
      if (colon != std::string_view::npos) {
        std::from_chars(item.data() + colon + 1, item.data() + item.size(), count);
      }
      point.left = count;
    }
    return out;
  }();
  return points;
}

}  // namespace

bool fault_point(std::string_view name) {
  static std::deque<Armed>& points = armed_points();
  for (Armed& point : points) {
    if (point.name == name && point.left.load(std::memory_order_relaxed) > 0) {
      return point.left.fetch_sub(1, std::memory_order_relaxed) > 0;
    }
  }
  return false;
}

}  // namespace naru
