// What becomes of the documents of a request that was answered, or not.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/telemetry/log.h"
#include "prepper/write/writer.h"
#include "prepper/write/writer_parts.h"

namespace naru::prepper {
namespace {

// After so many failures of the same request it is halved, in case that one document is the cause.
constexpr std::uint32_t kFailuresBeforeHalving = 4;

}  // namespace

void BulkWriter::settle(Work work, const BulkOutcome& outcome) {
  {
    const Lock lock(mutex_);
    totals_.bytes += work.batch.body.size();
  }
  if (outcome.request == RequestVerdict::kItems) {
    cluster_answers();
    settle_items(std::move(work.batch), outcome);
  } else {
    registry_
        .counter("naru_bulk_requests_failed_total", "Bulk requests that were refused or not answered.",
                 {{"pipeline", config_.pipeline}, {"status", std::to_string(outcome.status)}})
        .add();
    settle_request(std::move(work.batch), outcome);
  }
}

void BulkWriter::finish_documents(const BulkBatch& batch, std::span<const std::uint32_t> positions,
                                  std::span<const std::uint32_t> duplicates) {
  const std::size_t all = positions.empty() ? batch.entries.size() : positions.size();
  if (!duplicates.empty()) {
    each_source(batch, duplicates, [](const std::shared_ptr<SourceMessage>& source, std::uint32_t documents) {
      source->count(Stage::kWriter, Fate::kDuplicate, documents);
    });
  }
  {
    const Lock lock(mutex_);
    totals_.created += all - duplicates.size();
    totals_.duplicates += duplicates.size();
  }
  each_source(batch, positions, [](const std::shared_ptr<SourceMessage>& source, std::uint32_t documents) {
    source->count(Stage::kWriter, Fate::kDelivered, documents);
    finish(source, documents);
  });
}

void BulkWriter::settle_items(BulkBatch batch, const BulkOutcome& outcome) {
  if (outcome.all_created) {
    finish_documents(batch, {}, {});
    const Lock lock(mutex_);
    for (const auto& target : batch.targets) {
      index_succeeded(target->name);
      moved_[target->dataset] = monotonic_now();
    }
    return;
  }
  struct Held {
    HoldCause cause = HoldCause::kUnavailable;
    std::string reason;
    std::vector<std::uint32_t> positions;
  };
  std::vector<std::uint32_t> done, duplicates, overloaded, letters;
  std::map<std::uint32_t, Held> held;  // these by target
  std::map<std::uint32_t, std::vector<std::uint32_t>> missing, blocked;
  {
    const Lock lock(mutex_);
    const auto hold = [&](std::uint32_t at, HoldCause cause, std::string reason) {
      Held& group = held[batch.entries[at].target];
      group.cause = cause;
      group.reason = std::move(reason);
      group.positions.push_back(at);
    };
    for (std::uint32_t i = 0; i < outcome.items.size(); ++i) {
      const ItemOutcome& item = outcome.items[i];
      const std::uint32_t target = batch.entries[i].target;
      const std::string& index = batch.targets[target]->name;
      const auto reason = [&] { return fmt::format("{} {}: {}", item.status, item.type, item.reason); };
      switch (item.verdict) {
        case Verdict::kDuplicate: duplicates.push_back(i); [[fallthrough]];
        case Verdict::kCreated:
          done.push_back(i);
          index_succeeded(index);
          moved_[batch.targets[target]->dataset] = monotonic_now();
          break;
        case Verdict::kOverloaded: overloaded.push_back(i); break;
        case Verdict::kDocument:
          if (std::optional<std::string> index_fault = gate_.document_fault(index, item.type)) {
            hold(i, HoldCause::kMapping, std::move(*index_fault));
          } else {
            letters.push_back(i);
            index_answered(index);
          }
          break;
        case Verdict::kUnavailable: hold(i, HoldCause::kUnavailable, reason()); break;
        case Verdict::kFloodStage: hold(i, HoldCause::kDisk, reason()); break;
        case Verdict::kWriteBlocked:
          if (admin_.declared_read_only(*batch.targets[target])) {
            blocked[target].push_back(i);
            break;
          }
          [[fallthrough]];
        case Verdict::kHold: hold(i, HoldCause::kRefused, reason()); break;
        case Verdict::kMissingIndex: missing[target].push_back(i); break;
      }
    }
  }
  if (!done.empty()) {
    finish_documents(batch, done, duplicates);
  }
  for (const std::uint32_t at : letters) {
    const ItemOutcome& item = outcome.items[at];
    admin_.forget(batch.target(at).name);
    to_dead_letter(batch, at, item.status, item.type, item.reason);
  }
  if (!overloaded.empty()) {
    retry_later(extract(batch, overloaded));
  }
  for (const auto& [target, group] : held) {
    if (group.cause == HoldCause::kMapping) {
      admin_.forget(batch.targets[target]->name);
    }
    hold_documents(extract(batch, group.positions), group.cause, group.reason);
  }
  for (const auto& [target, positions] : missing) {
    create_missing(batch, positions);
  }
  for (const auto& [target, positions] : blocked) {
    find_or_divert(batch, positions, outcome.items[positions.front()].reason);
  }
}

void BulkWriter::create_missing(const BulkBatch& batch, std::span<const std::uint32_t> positions) {
  const IndexTarget& target = batch.target(positions.front());
  admin_.forget(target.name);
  const Result<IndexAdmin::Ensured> ensured = admin_.ensure(target);
  if (!ensured) {
    const bool away = ensured.error().code() != ErrorCode::kInternal;
    hold_documents(extract(batch, positions), away ? HoldCause::kUnavailable : HoldCause::kRefused,
                   ensured.error().message());
  } else if (*ensured == IndexAdmin::Ensured::kReady) {
    {
      const Lock lock(mutex_);
      index_answered(target.name);
    }
    // An index that is created and gone again would make us turn in circles.
    retry_later(extract(batch, positions), batch.attempts < kFailuresBeforeHalving);
  } else {
    divert(batch, positions, 404, "index " + target.name + " is outside retention and is not created again");
  }
}

void BulkWriter::find_or_divert(const BulkBatch& batch, std::span<const std::uint32_t> positions,
                                const std::string& reason) {
  const IndexTarget& target = batch.target(positions.front());
  std::vector<std::string_view> ids;
  for (const std::uint32_t at : positions) {
    ids.push_back(batch.id(at));
  }
  const Result<std::vector<bool>> found = admin_.find(target.name, ids);
  if (!found) {
    hold_documents(extract(batch, positions), HoldCause::kUnavailable, found.error().message());
    return;
  }
  std::vector<std::uint32_t> present, absent;
  for (std::size_t i = 0; i < positions.size(); ++i) {
    ((*found)[i] ? present : absent).push_back(positions[i]);
  }
  if (!present.empty()) {
    late_found_.add(present.size());
    finish_documents(batch, present, present);
  }
  if (!absent.empty()) {
    divert(batch, absent, 403,
           "index " + target.name + " is read-only by its data set's read_only_after: " + reason);
  } else {
    const Lock lock(mutex_);
    index_answered(target.name);
  }
}

void BulkWriter::divert(const BulkBatch& batch, std::span<const std::uint32_t> positions, int status,
                        const std::string& reason) {
  std::vector<std::uint32_t> moved;
  std::vector<std::shared_ptr<const IndexTarget>> targets;
  for (const std::uint32_t at : positions) {
    if (auto target = admin_.late_target(batch.target(at), batch.time(at))) {
      moved.push_back(at);
      targets.push_back(std::move(target));
    } else {
      late_letters_.add();
      to_dead_letter(batch, at, status, "late", reason);
    }
  }
  if (!moved.empty()) {
    late_diverted_.add(moved.size());
    retry_later(retarget(extract(batch, moved), targets), true);
  }
  const Lock lock(mutex_);
  index_answered(batch.target(positions.front()).name);
}

void BulkWriter::settle_request(BulkBatch batch, const BulkOutcome& outcome) {
  switch (outcome.request) {
    case RequestVerdict::kItems: return;
    case RequestVerdict::kOverloaded:
    case RequestVerdict::kTooHeavy: {
      cluster_answers();
      if (outcome.request == RequestVerdict::kTooHeavy && batch.entries.size() > 1) {
        halve(batch, false);
      } else {
        retry_later(std::move(batch));
      }
      return;
    }
    case RequestVerdict::kBisect:
    case RequestVerdict::kHalve: {
      cluster_answers();
      if (batch.entries.size() > 1) {
        halve(batch, true);
        return;
      }
      const std::string type =
          outcome.request == RequestVerdict::kHalve ? "request_too_large" : "bulk_request_refused";
      Lock lock(mutex_);
      const std::optional<std::string> index_fault = gate_.document_fault(batch.target(0).name, type);
      lock.unlock();
      if (!index_fault.has_value()) {
        to_dead_letter(batch, 0, outcome.status, type, outcome.reason);
      } else {
        hold_documents(std::move(batch), HoldCause::kRefused, *index_fault);
      }
      return;
    }
    case RequestVerdict::kResend: {
      if (is_node_fault(outcome) && another_works()) {
        retry_later(std::move(batch), true);  // to that one
        return;
      }
      cluster_fails(HoldCause::kUnavailable, outcome.reason);
      // An answer that breaks off, or 500 again and again: perhaps one document does it. The halves take
      // turns.
      const bool suspect = outcome.status == 200 || outcome.status == 500;
      if (suspect && batch.entries.size() > 1 &&
          batch.attempts % kFailuresBeforeHalving == kFailuresBeforeHalving - 1) {
        halve(batch, false);
      } else {
        retry_later(std::move(batch), !suspect);
      }
      return;
    }
    case RequestVerdict::kFloodStage:
    case RequestVerdict::kHold:
      cluster_fails(outcome.request == RequestVerdict::kHold ? HoldCause::kRefused : HoldCause::kDisk,
                    outcome.reason);
      // The gate decides when it goes out: the cluster's probe takes what is due.
      retry_later(std::move(batch), true);
      return;
  }
}

void BulkWriter::halve(const BulkBatch& batch, bool at_once) {
  const auto size = static_cast<std::uint32_t>(batch.entries.size());
  retry_later(extract(batch, range(0, size / 2)), at_once);
  retry_later(extract(batch, range(size / 2, size)), at_once);
}

void BulkWriter::to_dead_letter(const BulkBatch& batch, std::uint32_t position, int status, std::string type,
                                std::string reason) {
  const DocumentEntry& entry = batch.entries[position];
  const DeadLetterCause cause{.type = std::move(type),
                              .reason = std::move(reason),
                              .status = status,
                              .index = batch.target(position).name,
                              .attempts = batch.attempts + 1,
                              .first_failed_at = batch.first_failed_at};
  batch.sources[entry.source]->ledger->add_in_flight(Stage::kWriter, 1);
  dead_letters_.write(batch.sources[entry.source], entry.ordinal, batch.id(position), cause,
                      [this](SourceMessage& source) {
                        source.count(Stage::kWriter, Fate::kDeadlettered, 1);
                        source.ledger->add_in_flight(Stage::kWriter, -1);
                        const Lock lock(mutex_);
                        ++totals_.dead_letters;
                      });
}

void BulkWriter::retry_later(BulkBatch batch, bool at_once) {
  ++batch.attempts;
  if (batch.first_failed_at == 0) {
    batch.first_failed_at = wall_now();
  }
  const Lock lock(mutex_);
  const std::uint64_t due = monotonic_now() + (at_once ? 0 : to_nanos(retry_.wait(batch.attempts)));
  delayed_.emplace(due, std::move(batch));
  work_.notify_one();
}

void BulkWriter::hold_documents(BulkBatch batch, HoldCause cause, const std::string& reason) {
  ++batch.attempts;
  if (batch.first_failed_at == 0) {
    batch.first_failed_at = wall_now();
  }
  const std::string& index = batch.target(0).name;
  const Lock lock(mutex_);
  if (gate_.hold(index, cause, reason, monotonic_now())) {
    telemetry::log_warn("prepper", "index {} takes no documents, they wait and are tried again: {}", index,
                        reason);
  }
  // Behind the others: the next probe tries another document, so that one alone cannot keep the index held.
  held_[index].push_back(std::move(batch));
}

// Under the lock, these three.
void BulkWriter::index_succeeded(std::string_view index) {
  const bool was_held = !gate_.open(index);
  gate_.succeeded(index);
  if (was_held) {
    release(index);
  }
}

void BulkWriter::index_answered(std::string_view index) {
  const bool was_held = !gate_.open(index);
  gate_.answered(index);
  if (was_held) {
    release(index);
  }
}

void BulkWriter::release(std::string_view index) {
  telemetry::log_info("prepper", "index {} takes documents again", index);
  if (const auto waiting = held_.find(index); waiting != held_.end()) {
    const std::uint64_t now = monotonic_now();
    for (BulkBatch& batch : waiting->second) {
      delayed_.emplace(now, std::move(batch));
    }
    held_.erase(waiting);
  }
  work_.notify_all();
}

bool BulkWriter::another_works() {
  const Lock lock(mutex_);
  return pool_.any_works();
}

void BulkWriter::cluster_answers() {
  Lock lock(mutex_);
  const bool was_held = !gate_.open(kCluster);
  gate_.succeeded(kCluster);
  lock.unlock();
  if (was_held) {
    telemetry::log_info("prepper", "OpenSearch takes bulk requests again");
    work_.notify_all();
  }
  health_.set_dependency(std::string(kDependency), true);
}

void BulkWriter::cluster_fails(HoldCause cause, const std::string& reason) {
  Lock lock(mutex_);
  const bool was_open = gate_.hold(kCluster, cause, reason, monotonic_now());
  lock.unlock();
  health_.set_dependency(std::string(kDependency), false, reason);
  if (was_open) {
    telemetry::log_warn("prepper", "OpenSearch does not take bulk requests, documents wait: {}", reason);
  }
}

}  // namespace naru::prepper
