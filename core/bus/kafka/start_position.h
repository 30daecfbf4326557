// Where reading of a partition begins, decided from what the group had stored and what the log holds.
#pragma once

#include <cstdint>

#include "core/bus/bus.h"
#include "core/bus/kafka/kafka_bus.h"

namespace naru::bus::kafka {

struct StartPosition {
  std::int64_t offset = 0;
  std::int64_t lost = 0;      // records between the wanted position and `offset` that are gone
  bool out_of_range = false;  // the wanted position is not in the log
};

// `wanted` as set by the listener. Under kHold an impossible position is kept, so that it is reported.
StartPosition decide_start(std::int64_t wanted, std::int64_t low, std::int64_t high, OutOfRange policy);

}  // namespace naru::bus::kafka
