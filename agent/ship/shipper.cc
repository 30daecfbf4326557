#include "agent/ship/shipper.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "agent/ship/outcome.h"
#include "agent/ship/split.h"
#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/telemetry/log.h"

namespace naru::agent {
namespace {

constexpr std::uint64_t kComplainEvery = 30 * kNanosPerSecond;

std::uint64_t nanos(std::chrono::milliseconds time) {
  return static_cast<std::uint64_t>(time.count()) * kNanosPerMilli;
}

net::HttpRequest make_request(std::string body) {
  net::HttpRequest request;
  request.method = "POST";
  request.target = "/v1/logs";
  request.headers.set("Content-Type", "application/x-protobuf");
  request.body = std::move(body);
  return request;
}

}  // namespace

Shipper::Shipper(const ShipConfig& config, const net::HttpTransportFactory& transports, Metrics& metrics,
                 telemetry::Health& health, std::function<void()> on_change)
    : config_(config), metrics_(metrics), health_(health), on_change_(std::move(on_change)) {
  for (std::size_t i = 0; i < std::max<std::size_t>(1, config_.connections); ++i) {
    lanes_.push_back(std::make_unique<Lane>());
    lanes_.back()->index = i;
    lanes_.back()->transport = transports();
  }
}

Shipper::~Shipper() {
  stop(std::chrono::milliseconds(0));
}

void Shipper::start() {
  for (auto& lane : lanes_) {
    lane->thread = std::thread([this, &lane = *lane] { run(lane); });
  }
  age_check_ =
      health_.watch_age("agent_progress", std::chrono::duration<double>(config_.stalled_after).count(),
                        [this] { return oldest_age(); });
}

void Shipper::stop(std::chrono::milliseconds drain) {
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_) {
      stopping_ = true;
      stop_at_ = monotonic_now() + nanos(drain);
    }
    for (auto& lane : lanes_) {
      lane->changed.notify_all();
    }
  }
  for (auto& lane : lanes_) {
    if (lane->thread.joinable()) {
      lane->thread.join();
    }
  }
  age_check_.reset();
}

bool Shipper::idle(std::size_t lane) const {
  const std::lock_guard lock(mutex_);
  return lanes_[lane]->queue.empty() && lanes_[lane]->under_way == nullptr;
}

void Shipper::send(std::size_t lane, Shipment shipment) {
  in_flight_bytes_ += shipment.body.size();
  in_flight_records_ += shipment.records;
  metrics_.batches.add();
  metrics_.batch_bytes.add(shipment.body.size());
  metrics_.in_flight_bytes.set(static_cast<double>(in_flight_bytes()));
  metrics_.ledger.in_flight.set(static_cast<double>(in_flight_records()));
  auto parcel = std::make_shared<Parcel>();
  parcel->number = shipment.number;
  parcel->records_left = shipment.records;
  parcel->outcomes.lost = shipment.lost;
  parcel->since = monotonic_now();
  Piece piece{std::move(parcel), std::move(shipment.body), shipment.records};
  const std::lock_guard lock(mutex_);
  lanes_[lane]->queue.push_back(std::move(piece));
  lanes_[lane]->changed.notify_all();
}

void Shipper::await_rebuild(std::uint64_t records) {
  expected_ += records;
  metrics_.ledger.in_flight.set(static_cast<double>(in_flight_records()));
}

void Shipper::rebuilt(std::uint64_t records) {
  expected_ -= records;
  metrics_.ledger.in_flight.set(static_cast<double>(in_flight_records()));
}

std::vector<Delivered> Shipper::take_done() {
  const std::lock_guard lock(mutex_);
  return std::exchange(done_, {});
}

std::optional<double> Shipper::oldest_age() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t oldest = 0;
  const auto look = [&oldest](const Parcel& parcel) {
    oldest = oldest == 0 ? parcel.since : std::min(oldest, parcel.since);
  };
  for (const auto& lane : lanes_) {
    if (lane->under_way != nullptr) {
      look(*lane->under_way);
    }
    if (!lane->queue.empty()) {
      look(*lane->queue.front().parcel);
    }
    for (const Held& held : lane->held) {
      look(*held.piece.parcel);
    }
  }
  if (oldest == 0) {
    return std::nullopt;
  }
  return static_cast<double>(monotonic_now() - oldest) / static_cast<double>(kNanosPerSecond);
}

std::vector<Shipper::Piece> Shipper::next_pieces(Lane& lane) {
  std::unique_lock lock(mutex_);
  while (true) {
    const std::uint64_t now = monotonic_now();
    if (stopping_ && (lane.queue.empty() || now >= stop_at_)) {
      return {};
    }
    std::vector<Piece> pieces;
    if (!stopping_ && !lane.held.empty() && lane.held.front().due <= now) {
      pieces.push_back(std::move(lane.held.front().piece));
      lane.held.pop_front();
      held_records_ -= pieces.front().records;
      metrics_.held_records.set(static_cast<double>(held_records_));
    } else {
      std::size_t bytes = 0;
      while (!lane.queue.empty() &&
             (pieces.empty() ||
              (lane.alone == 0 && bytes + lane.queue.front().body.size() <= config_.request_bytes_max))) {
        bytes += lane.queue.front().body.size();
        pieces.push_back(std::move(lane.queue.front()));
        lane.queue.pop_front();
      }
      if (!pieces.empty() && lane.alone > 0) {
        --lane.alone;
      }
    }
    if (!pieces.empty()) {
      lane.under_way = pieces.front().parcel;
      return pieces;
    }
    if (lane.held.empty()) {
      lane.changed.wait(lock);
    } else {
      lane.changed.wait_for(lock, std::chrono::nanoseconds(lane.held.front().due - now));
    }
  }
}

void Shipper::run(Lane& lane) {
  while (true) {
    std::vector<Piece> pieces = next_pieces(lane);
    if (pieces.empty()) {
      return;
    }
    const Step step = deliver(lane, std::move(pieces));
    {
      const std::lock_guard lock(mutex_);
      lane.under_way.reset();
    }
    if (step == Step::kStopped) {
      return;
    }
    on_change_();
  }
}

bool Shipper::pause(Lane& lane, std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  const auto until = std::chrono::steady_clock::now() + wait;
  lane.changed.wait_until(lock, until, [this] { return stopping_; });
  return !stopping_;
}

Shipper::Step Shipper::deliver(Lane& lane, std::vector<Piece> pieces) {
  std::uint64_t seed = 0;
  fill_random(&seed, sizeof seed);
  flow::RetryPolicy backoff({.first = config_.retry_initial, .max = config_.retry_max}, seed);
  std::uint64_t records = 0;
  for (const Piece& piece : pieces) {
    records += piece.records;
  }
  sent_records_ += records;
  for (std::uint32_t attempt = 1;; ++attempt) {
    std::string
        body;  // requests of OTLP behind one another are one request (Protocol Buffers, "Last One Wins")
    for (const Piece& piece : pieces) {
      body += piece.body;
    }
    const auto answer = lane.transport->exchange(make_request(std::move(body)), config_.request_timeout);
    const Outcome outcome = classify(answer, wall_now());
    switch (outcome.verdict) {
      case Verdict::kDelivered: {
        note_answer(true, {});
        if (outcome.rejected > 0 || !outcome.reason.empty()) {
          telemetry::log_error("agent", "the collector left out {} of {} records of an accepted request: {}",
                               outcome.rejected, records, outcome.reason);
        }
        std::uint64_t rejected = outcome.rejected;  // which ones is not told
        for (const Piece& piece : pieces) {
          const std::uint64_t share = std::min(rejected, piece.records);
          finish(piece, share);
          rejected -= share;
        }
        return Step::kGoOn;
      }
      case Verdict::kSmaller:
        note_answer(true, {});
        refuse(lane, std::move(pieces), outcome.reason);
        return Step::kGoOn;
      case Verdict::kBlocked:
      case Verdict::kAgain: note_answer(false, outcome.reason); break;
    }
    metrics_.retries.add();
    const bool blocked = outcome.verdict == Verdict::kBlocked;
    const auto wait = outcome.retry_after.value_or(blocked ? config_.retry_max : backoff.wait(attempt));
    if (!pause(lane, wait)) {
      return Step::kStopped;
    }
  }
}

void Shipper::finish(const Piece& piece, std::uint64_t rejected) {
  in_flight_bytes_ -= piece.body.size();
  in_flight_records_ -= piece.records;
  delivered_records_ += piece.records - rejected;
  metrics_.in_flight_bytes.set(static_cast<double>(in_flight_bytes()));
  metrics_.ledger.in_flight.set(static_cast<double>(in_flight_records()));
  metrics_.ledger.delivered.add(piece.records - rejected);
  if (rejected > 0) {
    metrics_.partial_success_rejected.add(rejected);
    metrics_.ledger.dropped("rejected_by_collector").add(rejected);
  }
  const std::lock_guard lock(mutex_);
  Parcel& parcel = *piece.parcel;
  parcel.records_left -= piece.records;
  parcel.outcomes.delivered += piece.records - rejected;
  parcel.outcomes.rejected += rejected;
  if (parcel.records_left == 0) {
    done_.push_back({parcel.number, parcel.outcomes});
  }
}

void Shipper::refuse(Lane& lane, std::vector<Piece> pieces, const std::string& reason) {
  if (pieces.size() == 1) {
    split_or_hold(lane, std::move(pieces.front()), reason);
    return;
  }
  const std::lock_guard lock(mutex_);
  lane.alone = pieces.size();
  lane.queue.insert(lane.queue.begin(), std::make_move_iterator(pieces.begin()),
                    std::make_move_iterator(pieces.end()));
}

void Shipper::split_or_hold(Lane& lane, Piece piece, const std::string& reason) {
  metrics_.refused.add();
  if (piece.records > 1) {
    auto halves = split_request(piece.body, piece.records / 2);
    NARU_CHECK(halves.has_value(), "the agent cannot read its own request");
    const std::uint64_t first = piece.records / 2;
    in_flight_bytes_ += halves->first.size() + halves->second.size() - piece.body.size();
    const std::lock_guard lock(mutex_);
    lane.alone += 2;
    lane.queue.push_front({piece.parcel, std::move(halves->second), piece.records - first});
    lane.queue.push_front({piece.parcel, std::move(halves->first), first});
    return;
  }
  const std::lock_guard lock(mutex_);
  const std::uint64_t now = monotonic_now();
  held_records_ += piece.records;
  metrics_.held_records.set(static_cast<double>(held_records_));
  lane.held.push_back({std::move(piece), now + nanos(config_.held_retry)});
  if (refusal_told_at_ == 0 || now - refusal_told_at_ >= kComplainEvery) {
    refusal_told_at_ = now;
    telemetry::log_error(
        "agent",
        "the collector refuses {} record(s) one by one ({}); they are held and offered again "
        "every {} s: look for the cause in the collector's log",
        held_records_, reason, std::chrono::duration<double>(config_.held_retry).count());
  }
}

void Shipper::note_answer(bool up, const std::string& reason) {
  bool tell = false;
  {
    const std::lock_guard lock(mutex_);
    const std::uint64_t now = monotonic_now();
    tell = up_ != up || (!up && now - told_at_ >= kComplainEvery);
    if (tell) {
      up_ = up;
      told_at_ = now;
    }
  }
  if (!tell) {  // the health has a lock of its own, and asks this object under it
    return;
  }
  if (up) {
    telemetry::log_info("agent", "the collector takes records");
  } else {
    telemetry::log_warn("agent", "the collector does not take records ({}); files wait, it is tried again",
                        reason);
  }
  health_.set_dependency("collector", up, reason);
}

}  // namespace naru::agent
