#include "naru/deadletter/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <thread>

#include "core/base/clock.h"
#include "core/otlp/wire.h"

namespace naru::deadletter {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPatience{30'000};  // with a bus or a collector that takes nothing
constexpr milliseconds kBetweenTries{200};

class BusTarget final : public ReplayTarget {
 public:
  BusTarget(std::unique_ptr<bus::Producer> producer, std::string topic)
      : producer_(std::move(producer)), topic_(std::move(topic)) {}
  ~BusTarget() override { producer_.reset(); }  // its last callbacks use the other members

  Result<void> send(const Letter& letter) override {
    NARU_TRY(bus::OutRecord record, replay_record(letter, topic_));
    NARU_TRY(const std::int32_t partitions, partitions_of(record.topic));
    if (record.partition >= partitions) {
      record.partition %= partitions;  // the topic was made anew with fewer
    }
    const std::string where = position_text(letter.position);
    const std::uint64_t deadline =
        monotonic_now() + static_cast<std::uint64_t>(std::chrono::nanoseconds(kPatience).count());
    while (true) {
      NARU_TRY_VOID(failure());
      const Result<void> sent = producer_->send(record, [this, where](Result<bus::Position> answer) {
        if (!answer) {
          const std::lock_guard lock(mutex_);
          if (!failure_) {
            failure_ = Error(answer.error().code(), fmt::format("{}: {}", where, answer.error().message()));
          }
        }
      });
      if (sent || sent.error().code() != ErrorCode::kOverloaded || monotonic_now() >= deadline) {
        return sent;
      }
      std::this_thread::sleep_for(kBetweenTries);
    }
  }

  Result<void> finish() override {
    NARU_TRY_VOID(producer_->flush(2 * kPatience));
    return failure();
  }

 private:
  Result<void> failure() {
    const std::lock_guard lock(mutex_);
    return failure_ ? Result<void>(fail(*failure_)) : Result<void>();
  }
  Result<std::int32_t> partitions_of(const std::string& topic) {
    const auto known = partitions_.find(topic);
    if (known != partitions_.end()) {
      return known->second;
    }
    NARU_TRY(const std::int32_t count, producer_->partition_count(topic));
    partitions_[topic] = count;
    return count;
  }

  std::mutex mutex_;
  std::optional<Error> failure_;  // the first
  std::map<std::string, std::int32_t> partitions_;
  std::unique_ptr<bus::Producer> producer_;
  const std::string topic_;
};

class OtlpTarget final : public ReplayTarget {
 public:
  explicit OtlpTarget(std::unique_ptr<net::HttpTransport> collector) : collector_(std::move(collector)) {}

  Result<void> send(const Letter& letter) override {
    NARU_TRY(bus::OutRecord record, replay_record(letter, ""));
    const std::uint64_t deadline =
        monotonic_now() + static_cast<std::uint64_t>(std::chrono::nanoseconds(kPatience).count());
    while (true) {
      net::HttpRequest request;
      request.method = "POST";
      request.target = fmt::format("/v1/{}", letter.head.kind);
      request.headers.set("Content-Type", "application/x-protobuf");
      request.body = record.value;
      const Result<net::HttpResponse> answer = collector_->exchange(std::move(request), kPatience);
      // A body is a partial success: the record was left out.
      if (answer && answer->status == 200) {
        return answer->body.empty()
                   ? Result<void>()
                   : fail(ErrorCode::kInvalidArgument, "the collector left it out; its log says why");
      }
      if (answer && answer->status != 429 && answer->status < 500) {
        return fail(ErrorCode::kInvalidArgument, fmt::format("the collector answers {}", answer->status));
      }
      if (monotonic_now() >= deadline) {
        return fail(ErrorCode::kUnavailable,
                    answer ? fmt::format("the collector answers {} {}", answer->status, answer->body)
                           : answer.error().message());
      }
      std::this_thread::sleep_for(kBetweenTries);
    }
  }
  Result<void> finish() override { return {}; }

 private:
  std::unique_ptr<net::HttpTransport> collector_;
};

}  // namespace

std::uint64_t Pace::take(std::uint64_t now_ns) {
  const auto now = static_cast<double>(now_ns);
  next_ns_ = std::max(next_ns_, now - interval_ns_);  // what was not used in time is gone
  const double wait = next_ns_ - now;
  next_ns_ += interval_ns_;
  return wait > 0 ? static_cast<std::uint64_t>(wait) : 0;
}

Result<bus::OutRecord> replay_record(const Letter& letter, const std::string& topic) {
  const Result<bus::RecordPosition> source = bus::parse_record_position(letter.head.source);
  bus::OutRecord out;
  out.topic = topic;
  if (topic.empty()) {
    if (!decodable(letter)) {
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("it cannot be decoded as {}, so its topic would only refuse it again: look at it with "
                      "`show --raw`, and name a topic with --to",
                      letter.head.kind.empty() ? "any signal" : letter.head.kind));
    }
    if (!source) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("it does not say where it came from ({}): name a topic with --to",
                              source.error().message()));
    }
    out.topic = source->topic;
  }
  out.partition = source ? source->partition : 0;
  out.key = letter.id;
  out.value = letter.value;
  out.timestamp_ms = letter.timestamp_ms;
  if (letter.origin) {
    out.headers.push_back({std::string(bus::kOriginHeader), bus::format_origin(*letter.origin)});
  }
  return out;
}

Result<std::unique_ptr<ReplayTarget>> to_bus(bus::Bus& bus, std::string topic) {
  NARU_TRY(auto producer, bus.producer());
  return std::make_unique<BusTarget>(std::move(producer), std::move(topic));
}

std::unique_ptr<ReplayTarget> to_otlp(std::unique_ptr<net::HttpTransport> collector) {
  return std::make_unique<OtlpTarget>(std::move(collector));
}

}  // namespace naru::deadletter
