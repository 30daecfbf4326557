#include "core/bus/kafka/start_position.h"

#include <algorithm>

namespace naru::bus::kafka {

StartPosition decide_start(std::int64_t wanted, std::int64_t low, std::int64_t high, OutOfRange policy) {
  StartPosition out;
  out.offset = wanted;
  out.out_of_range = wanted < low || wanted > high;
  if (out.out_of_range) {
    out.lost = std::max<std::int64_t>(low - wanted, 0);
    if (policy == OutOfRange::kContinueAtOldest) {
      out.offset = low;
    }
  }
  return out;
}

}  // namespace naru::bus::kafka
