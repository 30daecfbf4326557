// Settings of the collector, with their limits. Listeners of the program stand in program_config.h.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/config/config.h"
#include "core/otlp/otlp.h"

namespace naru::collector {

// What a peer may do. Agents keep their record identities and wait while the bus is away; clients get
// identities from the collector and are spilled.
enum class Role : std::uint8_t { kAgent, kClient };

struct TokenConfig {
  std::string token;
  Role role = Role::kClient;
};
struct BasicConfig {
  std::string user;
  std::string password;
  Role role = Role::kClient;
};
struct CertificateConfig {
  std::string identity;  // subject alternative name or common name; "*": every verified certificate
  Role role = Role::kAgent;
};

// Nothing listed: no authentication; then loopback peers are agents and all others clients.
struct AuthenticationConfig {
  std::vector<TokenConfig> tokens;
  std::vector<BasicConfig> basic;
  std::vector<CertificateConfig> certificates;
  bool configured() const { return !tokens.empty() || !basic.empty() || !certificates.empty(); }
};

struct TopicsConfig {
  std::string logs = "otlp_logs";
  std::string metrics = "otlp_metrics";
  std::string traces = "otlp_spans";
  std::string dead_letters = "naru.deadletter";  // what the bus refuses for its own fault
  const std::string& of(otlp::Signal signal) const;
};

struct SpillConfig {
  std::string directory;                        // empty: no spill, clients wait like agents
  std::uint64_t bytes_max = 4ULL << 30;         // over it clients are asked to wait
  std::chrono::milliseconds after{3'000};       // how long a client's request may wait for the bus before
  std::chrono::milliseconds retry_max{10'000};  // longest pause between attempts to drain
  // Bytes that are under way from the spill to the bus at a time; the rest of the producer is for new
  // records.
  std::size_t drain_bytes = 4u << 20;
  // Least time between two fsyncs under load; an idle spill syncs at once. A group of `fsync_bytes` does not
  // wait for it.
  std::chrono::milliseconds fsync_interval{5};
  std::size_t fsync_bytes = 4u << 20;
  // Routing keys with entries in the spill that are told apart; over it new records of every key queue behind
  // it.
  std::size_t keys_max = 65'536;
};

struct CollectorConfig {
  TopicsConfig topics;
  AuthenticationConfig authentication;
  SpillConfig spill;
  std::size_t bytes_in_flight_max = 128u << 20;  // of requests not yet answered; over it 503
  std::size_t value_bytes_max = 900'000;         // contracts.md 3
  std::chrono::milliseconds retry_after{1'000};  // told to senders that have to wait
  // A request that is not durable by then is answered with 503, so that its sender learns it from us and not
  // from its own timeout. The bus may still take it: the repeat has the same identities.
  std::chrono::milliseconds answer_within{10'000};
  std::chrono::milliseconds stall_limit{60'000};  // /readyz turns red when a request waits longer
};

void describe(config::Schema<TokenConfig>& schema);
void describe(config::Schema<BasicConfig>& schema);
void describe(config::Schema<CertificateConfig>& schema);
void describe(config::Schema<AuthenticationConfig>& schema);
void describe(config::Schema<TopicsConfig>& schema);
void describe(config::Schema<SpillConfig>& schema);

// The limits of the collector as fields of the struct that holds them (`own` turns a member of
// CollectorConfig into one of that struct).
template <class T, class Own>
void describe_limits(config::Schema<T>& schema, const Own& own) {
  schema
      .bytes("bytes_in_flight_max", own(&CollectorConfig::bytes_in_flight_max),
             "Bytes of requests that are not yet durable; over it senders are asked to wait.")
      .min(1 << 20);
  schema
      .bytes("value_bytes_max", own(&CollectorConfig::value_bytes_max),
             "Largest Kafka record value before compression; larger requests are cut into several.")
      .min(10'000)
      .max(900'000);
  schema
      .field("retry_after", own(&CollectorConfig::retry_after),
             "When senders that have to wait may come back.")
      .min(std::chrono::milliseconds(1));
  schema
      .field(
          "answer_within", own(&CollectorConfig::answer_within),
          "A request that is not durable by then is answered with 503; keep it below the senders' timeouts.")
      .min(std::chrono::milliseconds(1));
  schema
      .field("stall_limit", own(&CollectorConfig::stall_limit),
             "Readiness turns red when the oldest unfinished request is older than this.")
      .min(std::chrono::milliseconds(100));
}

}  // namespace naru::collector
