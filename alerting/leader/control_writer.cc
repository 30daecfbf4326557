#include "alerting/leader/control_writer.h"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace naru::alerting {

using Clock = std::chrono::steady_clock;

// The transactional producer of one cluster and the thread that waits for it.
class ControlWriter::Writer {
 public:
  explicit Writer(std::unique_ptr<bus::TransactionalProducer> producer)
      : producer_(std::move(producer)), thread_([this] { run(); }) {}
  ~Writer() {
    leave();
    thread_.join();
  }

  void begin(std::vector<bus::OutRecord> records) {
    const std::lock_guard lock(mutex_);
    records_ = std::move(records);
    outcome_.reset();
    busy_ = true;
    changed_.notify_all();
  }
  // nullopt: not known at `deadline`.
  std::optional<Result<void>> wait(std::optional<Clock::time_point> deadline) {
    std::unique_lock lock(mutex_);
    const auto done = [this] { return outcome_.has_value(); };
    if (!deadline) {
      changed_.wait(lock, done);
    } else if (!changed_.wait_until(lock, *deadline, done)) {
      return std::nullopt;
    }
    return *outcome_;
  }
  void leave() {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  bool busy() const {
    const std::lock_guard lock(mutex_);
    return busy_;
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return stop_ || records_; });
      if (!records_) {
        return;
      }
      std::vector<bus::OutRecord> records = std::move(*records_);
      records_.reset();
      lock.unlock();
      Result<void> outcome = producer_->commit(std::move(records), nullptr, {});
      lock.lock();
      outcome_ = std::move(outcome);
      busy_ = false;
      changed_.notify_all();
    }
  }

  const std::unique_ptr<bus::TransactionalProducer> producer_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<std::vector<bus::OutRecord>> records_;
  std::optional<Result<void>> outcome_;
  bool busy_ = false, stop_ = false;
  std::thread thread_;
};

ControlWriter::ControlWriter() = default;
ControlWriter::~ControlWriter() = default;

void ControlWriter::add(std::size_t cluster, std::unique_ptr<bus::TransactionalProducer> producer) {
  std::erase_if(leaving_, [](const auto& writer) { return !writer->busy(); });
  writers_[cluster] = std::make_unique<Writer>(std::move(producer));
}

Result<void> ControlWriter::commit(const std::vector<bus::OutRecord>& records,
                                   std::chrono::milliseconds patience, std::vector<std::size_t>& lost) {
  const Clock::time_point deadline = Clock::now() + patience;
  for (const auto& [cluster, writer] : writers_) {
    writer->begin(records);
  }
  std::map<std::size_t, Result<void>> outcomes;
  const auto collect = [&](std::optional<Clock::time_point> until) {
    for (const auto& [cluster, writer] : writers_) {
      if (!outcomes.contains(cluster)) {
        if (std::optional<Result<void>> outcome = writer->wait(until)) {
          outcomes.emplace(cluster, std::move(*outcome));
        }
      }
    }
  };
  const auto taken = [&] {
    for (const auto& [cluster, outcome] : outcomes) {
      if (outcome) {
        return true;
      }
    }
    return false;
  };
  collect(deadline);
  // Nobody took it in time: whoever is slow is all there is.
  for (auto at = writers_.begin(); at != writers_.end() && !taken(); ++at) {
    if (!outcomes.contains(at->first)) {
      outcomes.emplace(at->first, *at->second->wait(std::nullopt));
      collect(Clock::now());
    }
  }
  std::optional<Error> error;
  for (const auto& [cluster, outcome] : outcomes) {
    if (!outcome && (!error || outcome.error().code() == ErrorCode::kConflict)) {
      error = outcome.error();
    }
  }
  if (error && error->code() == ErrorCode::kConflict) {
    return fail(*error);
  }
  if (!taken()) {
    return error ? fail(*error) : fail(ErrorCode::kUnavailable, "there is no cluster to write to");
  }
  for (const auto& [cluster, writer] : writers_) {
    const auto outcome = outcomes.find(cluster);
    if (outcome == outcomes.end() || !outcome->second) {
      lost.push_back(cluster);
    }
  }
  for (const std::size_t cluster : lost) {
    give_up(cluster);
  }
  return {};
}

Result<void> ControlWriter::commit_to(std::size_t cluster, std::vector<bus::OutRecord> records) {
  Writer& writer = *writers_.at(cluster);
  writer.begin(std::move(records));
  Result<void> outcome = *writer.wait(std::nullopt);
  if (!outcome) {
    give_up(cluster);
  }
  return outcome;
}

void ControlWriter::give_up(std::size_t cluster) {
  const auto at = writers_.find(cluster);
  if (at == writers_.end()) {
    return;
  }
  if (at->second->busy()) {
    at->second->leave();
    leaving_.push_back(std::move(at->second));
  }
  writers_.erase(at);
}

void ControlWriter::give_up_all() {
  while (!writers_.empty()) {
    give_up(writers_.begin()->first);
  }
}

}  // namespace naru::alerting
