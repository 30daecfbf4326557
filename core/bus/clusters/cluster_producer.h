// A producer on an ordered list of clusters: records go to one of them, and to another when that one fails.
//
// At a switch away from a cluster that is silent, what it has not acknowledged is sent to the next one at
// once, in its order and before anything newer, under the header naru.resent: whether the first took it
// nobody knows, and the identities of the records make one document of both. The first answer of any cluster
// is the record's. A return is drained: new records wait until everything on the other cluster is
// acknowledged. Order is per cluster.
//
// Keeps a copy of what is unacknowledged. Thread-safe. Does not create topics.
#pragma once

#include <atomic>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/bus/bus.h"
#include "core/bus/clusters/cluster_choice.h"
#include "core/bus/clusters/cluster_watch.h"
#include "core/telemetry/metrics.h"

namespace naru::bus {

struct ClusterProducerConfig {
  std::vector<std::string> names;  // of the clusters, in their order
  ClusterChoiceConfig choice;
  std::chrono::milliseconds ask_every{500};
  std::chrono::milliseconds drain_max{5'000};  // a return that is not drained by then does not take place
  std::size_t waiting_bytes_max = 64u << 20;   // while a return is drained; kOverloaded beyond
};

// A placement by the names of clusters.
struct ClusterOrder {
  std::string active;
  std::string shift_to;  // empty: nothing is shifted
  unsigned percent = 0;
};

class ClusterProducer final : public Producer {
 public:
  ClusterProducer(ClusterProducerConfig config, std::vector<std::unique_ptr<Producer>> clusters,
                  ClusterWatch::Ask ask, telemetry::Registry& registry);
  ~ClusterProducer() override;

  Result<void> send(OutRecord& record, DeliveryCallback done) override;
  Result<void> flush(std::chrono::milliseconds deadline) override;
  Result<std::int32_t> partition_count(const std::string& topic) override;

  // What somebody who knows better decided; nullopt: nobody any more. Names that are not configured here are
  // told in the log and not followed.
  void told(const std::optional<ClusterOrder>& order);
  std::size_t active() const;

 private:
  struct Held {
    OutRecord record;
    DeliveryCallback done;
    std::size_t cluster = 0;  // that it was sent to last
    std::uint64_t sent_at = 0;
    std::size_t unanswered = 0;                        // sends without an answer
    bool answered = false;                             // `done` was called
    std::list<std::shared_ptr<Held>>::iterator place;  // in State::outstanding, until it is answered
  };
  using HeldPtr = std::shared_ptr<Held>;
  // What lives as long as any answer may come.
  struct State;

  Result<void> pass(const HeldPtr& held, bool resent);
  std::optional<std::size_t> number_of(const std::string& name) const;
  // As a person reads it: "main", or "main, 25 % to sub".
  std::string named(const ClusterPlacement& placement) const;
  static void answer(const std::shared_ptr<State>& state, const HeldPtr& held, std::size_t cluster,
                     Result<Position> result);
  void run();
  void move(const ClusterChoice::Move& move);
  void resend_from(std::size_t cluster);
  void release_waiting();

  const ClusterProducerConfig config_;
  std::shared_ptr<State> state_;
  std::vector<std::unique_ptr<Producer>> clusters_;
  telemetry::Counter switches_, resent_;
  telemetry::Gauge active_gauge_, shift_gauge_, draining_gauge_;
  std::thread thread_;
  std::unique_ptr<ClusterWatch> watch_;
};

}  // namespace naru::bus
