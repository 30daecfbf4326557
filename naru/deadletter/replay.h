// Sends dead letters back on their way: to the topic that they came from, or another one. Ids are kept, so a
// letter that is replayed twice is one document.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/base/result.h"
#include "core/bus/bus.h"
#include "core/net/http.h"
#include "naru/deadletter/letter.h"

namespace naru::deadletter {

// When the next record may go, at `rate` records a second. Pure.
class Pace {
 public:
  Pace(double rate, std::uint64_t now_ns) : interval_ns_(1e9 / rate), next_ns_(static_cast<double>(now_ns)) {}
  // Nanoseconds to wait before a record; then counts it.
  std::uint64_t take(std::uint64_t now_ns);

 private:
  double interval_ns_;
  double next_ns_;
};

// The record that a letter is replayed as: the value as it is, naru.origin where it is known, in the
// partition that it came from. `topic` empty: the one that it came from. kInvalidArgument: it cannot go
// there, and why.
Result<bus::OutRecord> replay_record(const Letter& letter, const std::string& topic);

class ReplayTarget {
 public:
  virtual ~ReplayTarget() = default;
  // kInvalidArgument: this letter cannot be replayed there; others can. Every other error: nobody takes
  // anything. Success: it will be durable when finish() says so.
  virtual Result<void> send(const Letter& letter) = 0;
  // Waits until everything sent is durable. The first error of those that are not.
  virtual Result<void> finish() = 0;
};

// Writes to the bus, Kafka or embedded, with acknowledgement. `bus` must outlive it.
Result<std::unique_ptr<ReplayTarget>> to_bus(bus::Bus& bus, std::string topic);
// Posts to the OTLP listener of a running `naru up`, whose bus nobody else can write. To the topics of the
// signals only.
std::unique_ptr<ReplayTarget> to_otlp(std::unique_ptr<net::HttpTransport> collector);

}  // namespace naru::deadletter
