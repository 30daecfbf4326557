// Looks indices and documents up, creates missing indices, and keeps the contract compiled from each one's
// live mapping.
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
#include <span>
#include <string>
#include <vector>

#include "core/net/http.h"
#include "prepper/contract/contract.h"
#include "prepper/declaration/datasets.h"
#include "prepper/process/encoder.h"

namespace naru::prepper {

struct IndexAdminConfig {
  Datasets datasets;
  UnixNanos ahead_max = kNanosPerDay;    // nor do periods further ahead than this
  std::chrono::seconds mapping_ttl{60};  // a live mapping is read again after this
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

  // Whether the declaration made this index read-only by now.
  bool declared_read_only(const IndexTarget& target) const;
  // Where a document of this time goes when `target` takes no more: the data set `<dataset>_late`. Null when
  // it has no place there either, or comes from there.
  std::shared_ptr<const IndexTarget> late_target(const IndexTarget& target, UnixNanos time) const;
  // Which of these ids are documents of `index`. Errors: the cluster did not answer for each of them.
  Result<std::vector<bool>> find(const std::string& index, std::span<const std::string_view> ids);

  // Waits while the cluster does not answer; ends only with an answer or after stop(). The declared contract
  // then, and for an index that is refused.
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
  // kUnsupported, with the sentence, until the server has been seen to be one that Naru works with.
  Result<void> check_server();
  Result<Ensured> create(const IndexTarget& target);
  bool in_retention(const IndexTarget& target) const;

  IndexAdminConfig config_;
  std::vector<Promoted> registry_;
  std::map<otlp::Signal, std::shared_ptr<const Contract>> declared_;
  std::function<UnixNanos()> now_;
  std::atomic<bool> stopping_{false}, server_known_{false};
  std::mutex transport_mutex_;
  std::unique_ptr<net::HttpTransport> transport_;
  std::mutex known_mutex_;
  std::map<std::string, Known, std::less<>> known_;
};

}  // namespace naru::prepper
