#include "collector/collector.h"

#include <fmt/format.h>

#include "collector/receive/otlp_grpc.h"
#include "collector/receive/otlp_http.h"
#include "core/base/random.h"
#include "core/otlp/rewrite.h"

namespace naru::collector {

Collector::Collector(CollectorConfig config, bus::Bus& bus, telemetry::Registry& registry,
                     telemetry::Health& health, spool::FileSystem& files)
    : config_(std::move(config)),
      authenticator_(config_.authentication),
      unauthenticated_(registry.counter("naru_collector_unauthenticated_requests_total",
                                        "Requests without credentials that this collector knows.")),
      stamped_(registry.counter("naru_collector_stamped_records_total",
                                "Log records that came without identity and got one here.")),
      stripped_(registry.counter("naru_collector_stripped_attributes_total",
                                 "naru.* attributes removed because their sender is no agent.")),
      buffer_(config_, bus, registry, health, files) {
  for (const otlp::Signal signal : otlp::kSignals) {
    const std::string name(otlp::to_string(signal));
    const auto refused = [&](const char* reason) {
      return registry.counter("naru_collector_refused_requests_total",
                              "Requests refused before they were produced.",
                              {{"signal", name}, {"reason", reason}});
    };
    counters_.push_back(
        {registry.counter("naru_collector_requests_total", "Requests received.", {{"signal", name}}),
         registry.counter("naru_collector_request_bytes_total", "Bytes of requests received, decompressed.",
                          {{"signal", name}}),
         refused("malformed"), refused("overloaded")});
  }
  bytes_gauge_ =
      registry.sampled_gauge("naru_collector_bytes_in_flight", "Bytes of requests not yet answered.", {},
                             [this] { return static_cast<double>(bytes_in_flight_.load()); });
}

Collector::~Collector() {
  stop(std::chrono::milliseconds(0));
}

Result<void> Collector::start() {
  return buffer_.start();
}

void Collector::stop(std::chrono::milliseconds drain) {
  buffer_.stop(drain);
}

net::HttpHandler Collector::http_handler() {
  return otlp_http_handler(*this);
}

net::GrpcHandler Collector::grpc_handler() {
  return otlp_grpc_handler(*this);
}

// Its senders cannot wait, wherever they are; the listener has drawn identities already.
SyslogHandler Collector::syslog_handler() {
  return [this](std::string request, std::uint64_t, SyslogDone done) {
    take_as(otlp::Signal::kLogs, Role::kClient, true, std::move(request), std::move(done));
  };
}

Result<Role> Collector::admit(const net::Peer& peer, std::string_view authorization) const {
  auto role = authenticator_.role_of(peer, authorization);
  if (!role) {
    unauthenticated_.add();
  }
  return role;
}

void Collector::take(otlp::Signal signal, Role role, std::string request, Completion done) {
  take_as(signal, role, role == Role::kAgent, std::move(request), std::move(done));
}

void Collector::take_as(otlp::Signal signal, Role role, bool trusted, std::string request, Completion done) {
  const Counters& counters = counters_[static_cast<std::size_t>(signal)];
  const std::size_t bytes = request.size();
  counters.requests.add();
  counters.bytes.add(bytes);
  const std::size_t before = bytes_in_flight_.fetch_add(bytes, std::memory_order_relaxed);
  // A request that is larger than the whole budget passes alone.
  if (before != 0 && before + bytes > config_.bytes_in_flight_max) {
    bytes_in_flight_.fetch_sub(bytes, std::memory_order_relaxed);
    counters.overloaded.add();
    done(fail(ErrorCode::kOverloaded,
              fmt::format("{} bytes wait here to become durable, the bound is {}; send again later", before,
                          config_.bytes_in_flight_max)));
    return;
  }
  auto finish = [this, bytes, done = std::move(done)](Result<void> outcome) mutable {
    bytes_in_flight_.fetch_sub(bytes, std::memory_order_relaxed);
    done(std::move(outcome));
  };
  auto identified = otlp::identify({signal, trusted, random_16()}, std::move(request));
  if (!identified) {
    counters.malformed.add();
    finish(fail(identified.error()));
    return;
  }
  if (identified->stamped > 0) {
    stamped_.add(identified->stamped);
  }
  if (identified->stripped > 0) {
    stripped_.add(identified->stripped);
  }
  const auto now_ms = static_cast<UnixMillis>(wall_now() / kNanosPerMilli);
  buffer_.submit({signal, role, now_ms, identified->records, std::move(identified->request)},
                 std::move(finish));
}

}  // namespace naru::collector
