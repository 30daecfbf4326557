// Looks indices up and creates them, and keeps the contract compiled from each one's live mapping.
//
// Creates an index only for a period inside retention (contracts.md 2); the template then applies. Blocking;
// thread-safe (one call at a time towards the cluster).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/net/http.h"
#include "prepper/contract/contract.h"
#include "prepper/process/encoder.h"

namespace naru::prepper {

struct IndexAdminConfig {
  UnixNanos retention = 30 * kNanosPerDay;      // older periods get no index
  std::map<std::string, UnixNanos> retentions;  // by data set
  UnixNanos ahead_max = kNanosPerDay;           // nor do periods further ahead than this
  std::chrono::seconds mapping_ttl{60};         // a live mapping is read again after this
  std::chrono::milliseconds request_timeout{30'000};
};

class IndexAdmin : public ContractSource {
 public:
  enum class Ensured : std::uint8_t { kReady, kOutsideRetention };

  // `declared`: contracts of the templates by signal, for indices that must not be created.
  IndexAdmin(IndexAdminConfig config, std::unique_ptr<net::HttpTransport> transport,
             std::vector<Promoted> registry, std::map<otlp::Signal, std::shared_ptr<const Contract>> declared,
             std::function<UnixNanos()> now);

  // The index exists when this answers kReady. Errors: the cluster did not answer, or refuses to create it.
  Result<Ensured> ensure(const IndexTarget& target);

  // Waits while the cluster does not answer; ends only with an answer or after stop() (then with the declared
  // contract).
  std::shared_ptr<const Contract> contract(const IndexTarget& target) override;
  // The index refused a document by its mapping: read it again at the next use.
  void forget(const std::string& index);
  void stop() {
    stopping_ = true;
    transport_->cancel();
  }

 private:
  struct Known {
    std::shared_ptr<const Contract> contract;
    UnixNanos read_at = 0;
  };
  Result<std::shared_ptr<const Contract>> fetch(const IndexTarget& target);
  Result<Ensured> create(const IndexTarget& target);

  IndexAdminConfig config_;
  std::vector<Promoted> registry_;
  std::map<otlp::Signal, std::shared_ptr<const Contract>> declared_;
  std::function<UnixNanos()> now_;
  std::atomic<bool> stopping_{false};
  std::mutex transport_mutex_;
  std::unique_ptr<net::HttpTransport> transport_;
  std::mutex known_mutex_;
  std::map<std::string, Known, std::less<>> known_;
};

}  // namespace naru::prepper
