// The prepper: consumes OTLP from the bus and writes documents to OpenSearch, each exactly once in its index.
//
// Counts by the rules too, when it is given some (count/count_service.h); that waits for nothing here.
//
// Owns its threads (one that polls, `consume.concurrency` that encode, `bulk.writers` that send). Everything
// that it waits for outside (bus, OpenSearch) may be away: it logs, turns /readyz red and goes on when it is
// back.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/bus/bus.h"
#include "core/net/http.h"
#include "core/telemetry/health.h"
#include "core/telemetry/metrics.h"
#include "prepper/config.h"
#include "prepper/write/cluster_access.h"

namespace naru::prepper {

struct Progress {
  std::uint64_t records = 0;     // decoded since the start
  std::uint64_t created = 0;     // documents written
  std::uint64_t duplicates = 0;  // documents that were there already
  std::uint64_t dead_letters = 0;
  std::uint64_t bulk_bytes = 0;  // sent
  std::uint64_t in_flight = 0;   // records decoded and not durable
  std::int64_t lag = 0;          // bus messages not consumed yet
  std::optional<double> oldest_unfinished_seconds;
};

// A further cluster that records are read from.
struct OtherBus {
  std::string name;
  bus::Bus* bus = nullptr;
};

class Prepper {
 public:
  // The references must outlive this. Records are read from `bus` and from `others`, each with the group's
  // positions of its own; dead letters and what is parked go to `bus`. A record that is on two of them
  // becomes one document, by its identity.
  Prepper(PrepperConfig config, bus::Bus& bus, ClusterAccess opensearch, telemetry::Registry& registry,
          telemetry::Health& health, std::vector<OtherBus> others = {});
  ~Prepper();

  // kInvalidArgument: the mappings directory; kUnavailable, kIo: the bus cannot make a producer at all.
  Result<void> start();
  // Stops reading, lets what is in flight become durable for at most `drain`, stores the positions. Returns
  // how many messages were left: they are consumed again at the next start and meet their own ids. Requests
  // that OpenSearch does not answer are given up.
  std::size_t stop(std::chrono::milliseconds drain);
  Progress progress() const;
  // The prepper's own endpoints on an admin listener (pipeline/tap.h). False: another target. Thread-safe.
  bool answer(net::HttpRequest& request, net::Responder& respond);

 private:
  Result<void> start_index();

  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace naru::prepper
