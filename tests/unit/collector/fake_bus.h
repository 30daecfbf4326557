// A bus in memory whose answers the test gives.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

#include "core/bus/bus.h"

namespace naru::collector {

// Thread-safe. Outlives the producers that it made.
class FakeBus final : public bus::Bus {
 public:
  enum class Mode {
    kAcknowledge,  // every record at once
    kHold,         // until acknowledge_held() or fail_held()
    kRefuse,       // send() itself fails
  };
  void set_mode(Mode mode) {
    const std::scoped_lock lock(mutex_);
    mode_ = mode;
  }
  void set_refusal(ErrorCode code) {
    const std::scoped_lock lock(mutex_);
    refusal_ = code;
  }
  void set_partitions(std::int32_t count) {
    const std::scoped_lock lock(mutex_);
    partitions_ = count;
  }
  // Decides about each record before the mode does. `at_once`: an error comes from send(); else in its
  // answer.
  using Judge = std::function<Result<void>(const bus::OutRecord&)>;
  void set_judge(Judge judge, bool at_once) {
    const std::scoped_lock lock(mutex_);
    judge_ = std::move(judge);
    judge_at_once_ = at_once;
  }
  // Acknowledged records, in order.
  std::vector<bus::OutRecord> stored() {
    const std::scoped_lock lock(mutex_);
    return stored_;
  }
  std::size_t held() {
    const std::scoped_lock lock(mutex_);
    return held_.size();
  }
  // False: `limit` went by with fewer.
  bool wait_for_held(std::size_t count, std::chrono::milliseconds limit) {
    std::unique_lock lock(mutex_);
    return sent_.wait_for(lock, limit, [&] { return held_.size() >= count; });
  }
  void acknowledge_held() { answer_held({}); }
  void fail_held(ErrorCode code) { answer_held(fail(code, "the test says no")); }
  // Answers the oldest only.
  void answer_oldest(Result<void> outcome) {
    std::unique_lock lock(mutex_);
    answer_one(lock, outcome, outcome.has_value());
  }

  // Answers at most `count` held records of one partition, oldest first. `stored`: the bus keeps them,
  // whatever it says.
  void answer_partition(std::int32_t partition, std::size_t count, Result<void> outcome, bool stored) {
    std::unique_lock lock(mutex_);
    for (auto held = held_.begin(); held != held_.end() && count > 0;) {
      if (held->record.partition != partition) {
        ++held;
        continue;
      }
      std::rotate(held_.begin(), held, std::next(held));
      answer_one(lock, outcome, stored);
      held = held_.begin();
      --count;
    }
  }

  Result<std::unique_ptr<bus::Producer>> producer() override { return std::make_unique<FakeProducer>(*this); }
  Result<std::unique_ptr<bus::Consumer>> consumer(const bus::ConsumerConfig&,
                                                  bus::RebalanceListener&) override {
    return fail(ErrorCode::kUnsupported, "not needed");
  }
  Result<void> ensure_topics(std::span<const bus::TopicConfig>) override { return {}; }
  Result<std::vector<bus::TopicState>> describe(std::span<const std::string>) override {
    return std::vector<bus::TopicState>{};
  }
  Result<std::string> cluster_id() override { return "fake"; }

 private:
  struct Held {
    bus::OutRecord record;
    bus::DeliveryCallback done;
  };

  class FakeProducer final : public bus::Producer {
   public:
    explicit FakeProducer(FakeBus& owner) : bus_(owner) {}
    ~FakeProducer() override { bus_.fail_held(ErrorCode::kCancelled); }
    Result<void> send(bus::OutRecord& record, bus::DeliveryCallback done) override {
      std::unique_lock lock(bus_.mutex_);
      if (bus_.judge_) {
        if (const Result<void> verdict = bus_.judge_(record); !verdict) {
          if (bus_.judge_at_once_) {
            return verdict;
          }
          lock.unlock();
          if (record.returned != nullptr) {
            bus::OutRecord* const back = record.returned;
            *back = std::move(record);
          }
          done(fail(verdict.error()));
          return {};
        }
      }
      switch (bus_.mode_) {
        case Mode::kRefuse: return fail(bus_.refusal_, "refused");
        case Mode::kHold:
          bus_.held_.push_back({std::move(record), std::move(done)});
          bus_.sent_.notify_all();
          return {};
        case Mode::kAcknowledge: break;
      }
      bus_.stored_.push_back(std::move(record));
      const auto offset = static_cast<std::int64_t>(bus_.stored_.size());
      lock.unlock();
      done(bus::Position{0, offset});
      return {};
    }
    Result<void> flush(std::chrono::milliseconds) override { return {}; }
    Result<std::int32_t> partition_count(const std::string&) override {
      const std::scoped_lock lock(bus_.mutex_);
      if (bus_.partitions_ == 0) {
        return fail(ErrorCode::kUnavailable, "away");
      }
      return bus_.partitions_;
    }

   private:
    FakeBus& bus_;
  };

  void answer_one(std::unique_lock<std::mutex>& lock, const Result<void>& outcome, bool stored) {
    Held held = std::move(held_.front());
    held_.pop_front();
    if (stored) {
      stored_.push_back(std::move(held.record));
    }
    lock.unlock();
    if (outcome) {
      held.done(bus::Position{});
    } else {
      held.done(fail(outcome.error()));
    }
    lock.lock();
  }

  void answer_held(const Result<void>& outcome) {
    std::unique_lock lock(mutex_);
    while (!held_.empty()) {
      answer_one(lock, outcome, outcome.has_value());
    }
  }

  std::mutex mutex_;
  std::condition_variable sent_;
  Mode mode_ = Mode::kAcknowledge;
  Judge judge_;
  bool judge_at_once_ = false;
  ErrorCode refusal_ = ErrorCode::kUnavailable;
  std::int32_t partitions_ = 4;
  std::vector<bus::OutRecord> stored_;
  std::deque<Held> held_;
};

}  // namespace naru::collector
