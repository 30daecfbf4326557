// The part of Tailer that sends again what was in flight when the agent last ended.
#include "agent/tail/tailer.h"
#include "core/telemetry/log.h"

namespace naru::agent {
namespace {

constexpr int kRebuildAttempts = 8;  // of a batch whose files change while it is read again

}  // namespace

// Sends again what was in flight when the agent last ended. What is not found yet waits: a copy may still be
// being made, and the spool may be opened later.
void Tailer::resend(bool for_the_last_time) {
  std::vector<std::string> payloads;
  std::uint64_t lost_in_all = 0;
  for (const Batch& batch : std::exchange(unbuilt_, {})) {
    BatchBuilder builder;
    const std::uint64_t lost = rebuild(batch, builder);
    if (lost > 0 && !for_the_last_time) {
      unbuilt_.push_back(batch);
      continue;
    }
    lost_in_all += lost;
    if (builder.empty()) {
      payloads.push_back(encode_done(batch.number, {.lost = lost}));
    } else {
      BatchBuilder::Built built = builder.take();
      shipper_.send(shipper_.lane_of(batch.files.front().key),
                    {batch.number, built.records, lost, std::move(built.body)});
    }
    shipper_.rebuilt(batch.records());
  }
  if (lost_in_all > 0) {
    metrics_.lost_by_truncation_records.add(lost_in_all);
    metrics_.ledger.lost.add(lost_in_all);
    telemetry::log_error(
        "agent",
        "{} records that were not acknowledged when the agent ended are gone: their files were "
        "truncated or deleted meanwhile and no copy was found",
        lost_in_all);
  }
  if (!log_.append(payloads, Sync::kYes)) {
    metrics_.checkpoint_failures.add();  // the next start finds them again
  }
}

// Adds the records of the batch and returns how many of them are lost.
std::uint64_t Tailer::rebuild(const Batch& batch, BatchBuilder& into) {
  for (int attempt = 1;; ++attempt) {
    bool again = false;
    for (const Range& range : batch.files) {
      again = !rebuild(range, into) || again;
    }
    if (!again || attempt == kRebuildAttempts) {
      return batch.records() - std::min(batch.records(), into.records());
    }
    into.take();
  }
}

// Adds the records of one range as far as they are found. False: the file was truncated meanwhile. It is then
// looked for afresh, and the batch must be begun again.
bool Tailer::rebuild(const Range& range, BatchBuilder& into) {
  const auto followed = followed_.find(range.key);
  if (followed != followed_.end()) {
    Followed& file = *followed->second;
    if (!ensure_open(file) || rebuild(range, file.file, {file.key, file.source, file.resource}, into) ||
        file.file.is_copy()) {
      return true;
    }
    rewritten(file, file.lag());
    return false;
  }
  if (const auto sleeping = sleeping_.find(range.key); sleeping != sleeping_.end()) {
    const FileCheckpoint& checkpoint = sleeping->second;
    if (std::shared_ptr<RestCopy> copy = rests_.find(checkpoint.source)) {
      const std::string resource = resource_of(input_of(checkpoint.path), checkpoint.path);
      rebuild(range, File::of(std::move(copy), checkpoint.known.inode),
              {range.key, checkpoint.source, resource}, into);
    }
  }
  return true;
}

// The same from these bytes. False: they are others by now; some records may have been added.
bool Tailer::rebuild(const Range& range, const File& file, const RecordSource& from, BatchBuilder& into) {
  // Behind the reading too: what was read before a truncation is not mixed with what came after it.
  const auto intact = [&] {
    const Result<std::string> head = file.read(0, range.prefix.size);
    const Result<Fingerprint> window = window_of(file, range.end);
    return head && begins_with(*head, range.prefix) && window && *window == range.window;
  };
  if (!intact()) {
    return false;
  }
  std::uint64_t at = range.begin;
  std::uint64_t position = range.position;
  std::uint64_t scanned = 0;
  LineCounts counts;
  while (at < range.end && counts.lines < range.count) {
    const std::uint64_t scanned_before = scanned;
    const auto before = static_cast<std::uint32_t>(std::min<std::uint64_t>(kFingerprintBytesMax, at));
    if (!reader_.load(file, at, before, range.end)) {
      break;
    }
    const Result<std::uint64_t> consumed = reader_.take_records(
        file, range.line_bytes_max, Rest::kSend, scanned, [&](const Line& line, bool text) {
          into.add(from, position, range.observed + (position - range.position), line, text, counts);
          ++position;
          return true;
        });
    if (!consumed || (*consumed == 0 && scanned == scanned_before)) {
      break;
    }
    at += *consumed;
  }
  return intact();
}

}  // namespace naru::agent
