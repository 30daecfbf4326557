#include "collector/buffer/spill.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/base/bytes.h"
#include "core/base/random.h"
#include "core/flow/retry_policy.h"
#include "core/telemetry/log.h"

namespace naru::collector {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::string_view kPositionFile = "drained";
constexpr std::string_view kPositionMagic = "naru-spill-position 1";
constexpr std::size_t kReadBytes = 4u << 20;
constexpr std::chrono::milliseconds kIdleWait{100};
constexpr std::uint64_t kStorePauseNs = kNanosPerSecond;  // of counts, while the position stands still
// Late answers for requests that were spilled: as many as one producer can owe, about.
constexpr std::size_t kFinishedElsewhereMax = 65'536;
constexpr std::string_view kComponent = "spill";

std::string_view log_id_view(const spool::LogId& id) {
  return {reinterpret_cast<const char*>(id.data()), id.size()};
}

telemetry::Counter refusals(telemetry::Registry& registry, const char* reason) {
  return registry.counter("naru_collector_spill_refusals_total",
                          "Requests that the spill did not take; their senders were asked to wait.",
                          {{"reason", reason}});
}

}  // namespace

std::string encode_spill_head(const SpilledRequest& request) {
  std::string out;
  out.push_back(static_cast<char>(kVersion));
  out.push_back(static_cast<char>(request.signal));
  append_le(out, std::uint16_t{0});
  append_le(out, request.records);
  append_le(out, static_cast<std::uint64_t>(request.received_ms));
  return out;
}

Result<SpilledRequest> parse_spill_entry(std::string_view payload) {
  if (payload.size() < kSpillHeadSize) {
    return fail(ErrorCode::kCorrupt, "a spilled request is shorter than its head");
  }
  if (static_cast<std::uint8_t>(payload[0]) != kVersion) {
    return fail(ErrorCode::kUnsupported, "a spilled request was written by a newer naru");
  }
  const auto signal = static_cast<std::uint8_t>(payload[1]);
  if (signal >= otlp::kSignals.size()) {
    return fail(ErrorCode::kCorrupt, "a spilled request has an unknown signal");
  }
  SpilledRequest out;
  out.signal = static_cast<otlp::Signal>(signal);
  out.records = load_le<std::uint32_t>(payload.data() + 4);
  out.received_ms = static_cast<UnixMillis>(load_le<std::uint64_t>(payload.data() + 8));
  out.request = payload.substr(kSpillHeadSize);
  return out;
}

std::string encode_spill_position(const spool::LogId& log, const SpillPosition& position) {
  std::string out = fmt::format("{} {} {}\n", kPositionMagic, to_hex(log_id_view(log)), position.offset);
  for (const otlp::Signal signal : otlp::kSignals) {
    const Finished& finished = position.finished[static_cast<std::size_t>(signal)];
    out += fmt::format("{} {} {} {} {}\n", otlp::to_string(signal), finished.accepted,
                       finished.outcome.delivered, finished.outcome.deadlettered, finished.outcome.lost);
  }
  return out;
}

std::optional<SpillPosition> parse_spill_position(const spool::LogId& log, std::string_view text) {
  const std::string head = fmt::format("{} {} ", kPositionMagic, to_hex(log_id_view(log)));
  if (!text.starts_with(head)) {
    return std::nullopt;
  }
  text.remove_prefix(head.size());
  SpillPosition out;
  const auto number = [&text](std::uint64_t& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    const bool ok = error == std::errc{} && !text.empty() && (text.front() == ' ' || text.front() == '\n');
    text.remove_prefix(ok ? 1 : 0);
    return ok;
  };
  if (!number(out.offset)) {
    return std::nullopt;
  }
  for (const otlp::Signal signal : otlp::kSignals) {
    if (text.empty()) {
      break;  // written before counts were stored
    }
    const std::string_view name = otlp::to_string(signal);
    Finished& finished = out.finished[static_cast<std::size_t>(signal)];
    if (!text.starts_with(name)) {
      return std::nullopt;
    }
    text.remove_prefix(std::min(text.size(), name.size() + 1));
    if (!number(finished.accepted) || !number(finished.outcome.delivered) ||
        !number(finished.outcome.deadlettered) || !number(finished.outcome.lost)) {
      return std::nullopt;
    }
  }
  return out;
}

// What one read of the log gave.
struct Spill::Batch {
  spool::ReadBatch read;
  std::vector<Draining> entries;       // all that have to leave, in order
  std::vector<std::uint64_t> offsets;  // theirs
  std::uint64_t unreadable = 0;        // entries whose head makes no sense
  std::uint64_t next = 0;
};

Spill::Spill(spool::FileSystem& files, const SpillConfig& config, Ledger& ledger,
             telemetry::Registry& registry)
    : files_(files),
      config_(config),
      ledger_(ledger),
      repeats_spared_(registry.counter("naru_collector_spill_repeats_spared_total",
                                       "Spilled requests that the bus had taken late and that were not sent "
                                       "again.")),
      position_failures_(registry.counter("naru_collector_spill_position_failures_total",
                                          "Times that the spill's position could not be stored.")),
      damaged_bytes_(registry.counter("naru_collector_spill_damaged_bytes_total",
                                      "Bytes of the spill's files that failed their checksums.")),
      refused_full_(refusals(registry, "disk_full")),
      refused_failing_(refusals(registry, "disk_failing")),
      refused_bound_(refusals(registry, "bound")),
      disk_failing_(registry.gauge("naru_collector_spill_disk_failing",
                                   "1 since the spill's disk was full or failed, until it works again.")) {}

Result<std::unique_ptr<Spill>> Spill::open(spool::FileSystem& files, const SpillConfig& config,
                                           Ledger& ledger, telemetry::Registry& registry) {
  std::unique_ptr<Spill> spill(new Spill(files, config, ledger, registry));
  spool::GroupCommitConfig log;
  log.interval = config.fsync_interval;
  log.group_bytes = config.fsync_bytes;
  log.log.directory = config.directory;
  log.log.bytes_max = config.bytes_max;
  log.log.entry_bytes_max = spool::kPayloadBytesMax;
  log.log.segment_bytes = std::min<std::uint64_t>(log.log.segment_bytes, config.bytes_max / 4);
  log.log.entry_bytes_max = static_cast<std::uint32_t>(std::min<std::uint64_t>(
      log.log.entry_bytes_max, log.log.segment_bytes - spool::kSegmentHeaderSize - spool::kFrameHeaderSize));
  NARU_TRY(spill->log_, spool::GroupCommitLog::open(files, log));
  NARU_TRY_VOID(spill->load_position());
  NARU_TRY_VOID(spill->count_left_over());
  return spill;
}

Spill::~Spill() {
  close();
}

void Spill::close() {
  stop();
  if (log_ != nullptr && keys_) {
    log_->close();
    store_position();
  }
}

Result<void> Spill::load_position() {
  const spool::LogStats stats = log_->log().stats();
  position_ = stats.first_offset;
  settled_end_ = stats.next_offset;
  const auto text = spool::read_file(files_, spool::join_path(config_.directory, kPositionFile), 4096);
  if (!text) {
    return text.error().code() == ErrorCode::kNotFound ? Result<void>{} : fail(text.error());
  }
  const auto stored = parse_spill_position(log_->log().log_id(), *text);
  if (!stored) {
    telemetry::log_warn(kComponent,
                        "the drained position in {} belongs to another log; draining from the start",
                        config_.directory);
    return {};
  }
  stored_ = *stored;
  position_ = std::max(position_, std::min(stored_.offset, stats.next_offset));
  ledger_.restore(stored_.finished);
  return {};
}

// Records by signal of the readable entries in [from, to).
Result<std::array<std::uint64_t, otlp::kSignals.size()>> Spill::count_records(std::uint64_t from,
                                                                              std::uint64_t to) {
  std::array<std::uint64_t, otlp::kSignals.size()> out{};
  spool::LogReader reader(log_->log(), from);
  while (reader.offset() < to) {
    NARU_TRY(const spool::ReadBatch batch, reader.read(kReadBytes));
    if (batch.entries.empty() && batch.damage.empty()) {
      break;
    }
    for (const spool::EntryView& entry : batch.entries) {
      if (const auto parsed = parse_spill_entry(entry.payload); parsed && entry.offset < to) {
        out[static_cast<std::size_t>(parsed->signal)] += parsed->records;
      }
    }
  }
  return out;
}

Result<void> Spill::count_left_over() {
  NARU_TRY(const auto records, count_records(position_, settled_end_));
  for (const otlp::Signal signal : otlp::kSignals) {
    if (const std::uint64_t count = records[static_cast<std::size_t>(signal)]; count > 0) {
      ledger_.entered_spill(signal, count);
    }
  }
  keys_.emplace(config_.keys_max, position_, settled_end_);
  if (requests() > 0) {
    telemetry::log_info(kComponent, "{} requests in {} wait for the bus", requests(), config_.directory);
  }
  return {};
}

void Spill::start(Deliver deliver) {
  deliver_ = std::move(deliver);
  thread_ = std::thread([this] { run(); });
}

void Spill::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
}

// Raises the alarm and says what a person can do about a disk that does not take what it is given.
Error Spill::disk_failed(const Error& error) {
  std::string advice;
  switch (error.code()) {
    case ErrorCode::kNoSpace:
      advice = fmt::format("the disk of the spill in {} is full: free space there, or bring the bus back",
                           config_.directory);
      break;
    case ErrorCode::kIo:
      advice =
          fmt::format("the disk of the spill in {} fails: look at the system's log, or move spill.directory",
                      config_.directory);
      break;
    default: return error.with_context("spill in " + config_.directory);
  }
  Error out = error.with_context(advice);
  disk_failing_.set(1);
  if (disk_ok_.exchange(false)) {
    telemetry::log_error(kComponent, "{}; it is tried again all the time", out.message());
  }
  return out;
}

void Spill::disk_works() {
  if (!disk_ok_ && !disk_ok_.exchange(true)) {
    disk_failing_.set(0);
    telemetry::log_info(kComponent, "the disk of the spill in {} works again", config_.directory);
  }
}

// Counts a request that the spill does not take.
Error Spill::refused(const Error& error) {
  if (error.code() == ErrorCode::kNoSpace) {
    refused_full_.add();
  } else if (error.code() == ErrorCode::kIo) {
    refused_failing_.add();
  } else if (error.code() == ErrorCode::kOverloaded) {
    refused_bound_.add();
  }
  return disk_failed(error);
}

Result<void> Spill::append(otlp::Signal signal, UnixMillis received_ms, std::uint64_t records,
                           std::string& request, std::span<const RoutingKey> keys, Flag under_way,
                           Done done) {
  SpilledRequest head{signal, received_ms, static_cast<std::uint32_t>(records), {}};
  spool::OwnedEntry entry{encode_spill_head(head), std::move(request), 0};
  // Under one lock, so that keys are counted in the order of the entries.
  const std::scoped_lock lock(mutex_);
  const SpilledKeys::Generation generation = keys_->add(keys);
  ++pending_;
  auto taken = log_->append(
      entry, [this, signal, received_ms, records, generation,
              keys = std::vector<RoutingKey>(keys.begin(), keys.end()), under_way = std::move(under_way),
              done = std::move(done)](Result<std::uint64_t> offset) mutable {
        if (!offset) {
          {
            const std::scoped_lock callback_lock(mutex_);
            keys_->failed(generation, keys);
            note_failed();
          }
          done(fail(refused(offset.error())));
          return;
        }
        disk_works();
        {
          const std::scoped_lock callback_lock(mutex_);
          ledger_.entered_spill(signal, records);
          keys_->stored(generation, *offset);
          note_appended(*offset);
          if (under_way != nullptr) {
            under_way_.emplace(*offset, std::move(under_way));
          }
        }
        UnixMillis none = 0;
        oldest_ms_.compare_exchange_strong(none, received_ms);
        done(*offset);
        wake_.notify_all();
      });
  if (!taken) {
    keys_->failed(generation, keys);
    --pending_;
    request = std::move(entry.body);
    return fail(refused(taken.error()));
  }
  return {};
}

bool Spill::may_drain() const {
  if (settled_end_ == position_) {
    return false;
  }
  const auto first = under_way_.find(position_);
  return first == under_way_.end() || !*first->second;
}

void Spill::note_appended(std::uint64_t offset) {
  if (offset > settled_end_) {
    refused_.emplace_back(settled_end_, offset);
  }
  settled_end_ = offset + 1;
  --pending_;
}

// Part of a group that crossed into a new segment may have become durable; nothing is written meanwhile.
void Spill::note_failed() {
  if (const std::uint64_t end = log_->log().next_offset(); end > settled_end_) {
    refused_.emplace_back(settled_end_, end);
    settled_end_ = end;
  }
  --pending_;
}

void Spill::finished_elsewhere(std::uint64_t offset, const Outcome& outcome,
                               std::span<const RoutingKey> keys) {
  const std::scoped_lock lock(mutex_);
  // Beyond the bound they are simply sent again.
  if (offset >= position_ && finished_elsewhere_.size() < kFinishedElsewhereMax) {
    finished_elsewhere_[offset] = {outcome, {keys.begin(), keys.end()}};
  }
}

bool Spill::holds(std::span<const RoutingKey> keys) const {
  const std::scoped_lock lock(mutex_);
  return keys_->any_spilled(keys);
}

std::uint64_t Spill::requests() const {
  const std::scoped_lock lock(mutex_);
  return settled_end_ - position_ + pending_;
}

std::uint64_t Spill::bytes() const {
  return log_->log().stats().bytes;
}

void Spill::run() {
  spool::LogReader reader(log_->log(), position_);
  flow::RetryPolicy pause({std::chrono::milliseconds(200), config_.retry_max, std::chrono::milliseconds(50)},
                          load_le<std::uint64_t>(reinterpret_cast<const char*>(random_16().data())));
  std::uint32_t failures = 0;
  while (!stop_) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kIdleWait, [this] { return stop_ || may_drain(); });
      if (!may_drain()) {
        lock.unlock();
        if (monotonic_now() >= next_store_ns_) {
          store_position();
        }
        continue;
      }
    }
    const Result<void> drained = drain_some(reader);
    if (drained) {
      failures = 0;
      continue;
    }
    if (failures++ == 0) {
      telemetry::log_warn(kComponent, "the spill in {} cannot be drained yet, it goes on trying: {}",
                          config_.directory, drained.error().message());
    }
    reader.seek(position_);
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, pause.wait(failures), [this] { return stop_.load(); });
  }
}

Result<void> Spill::drain_some(spool::LogReader& reader) {
  NARU_TRY(Batch batch, next_batch(reader));
  std::vector<Draining*> unsent;
  for (Draining& entry : batch.entries) {
    if (!entry.outcome) {
      unsent.push_back(&entry);
    }
  }
  Result<void> delivered;
  if (!unsent.empty()) {
    oldest_ms_ = unsent.front()->request.received_ms;
    delivered = deliver_(unsent, stop_);
  }
  // The position moves only over what is finished; what is finished behind it is remembered.
  std::size_t done = 0;
  while (done < batch.entries.size() && batch.entries[done].outcome) {
    pass(batch.entries[done], batch.offsets[done]);
    ++done;
  }
  for (std::size_t i = done; i < batch.entries.size(); ++i) {
    if (batch.entries[i].outcome) {
      finished_elsewhere(batch.offsets[i], *batch.entries[i].outcome, batch.entries[i].keys);
    }
  }
  if (done < batch.entries.size()) {
    move_to(batch.offsets[done]);
  } else {
    NARU_TRY_VOID(pass_rest(batch));
    move_to(batch.next);
    if (batch.next < batch.read.next_offset) {
      reader.seek(batch.next);
    }
  }
  store_position();
  // Also when the position could not be stored: a full disk gets its space back this way, and what is deleted
  // needs no position.
  NARU_TRY_VOID(log_->log().trim_before(position_));
  if (done < batch.entries.size() && delivered) {
    return fail(ErrorCode::kInternal, "a request came back from the bus without an outcome");
  }
  return delivered;
}

Result<Spill::Batch> Spill::next_batch(spool::LogReader& reader) {
  Batch batch;
  auto read = reader.read(config_.drain_bytes);
  if (!read) {
    return fail(disk_failed(read.error()));
  }
  batch.read = std::move(*read);
  const std::scoped_lock lock(mutex_);
  batch.next = std::min(batch.read.next_offset, settled_end_);
  while (!refused_.empty() && refused_.front().second <= position_) {
    refused_.pop_front();
  }
  const auto refused = [this](std::uint64_t offset) {
    return std::ranges::any_of(refused_,
                               [&](const Range& r) { return offset >= r.first && offset < r.second; });
  };
  for (const spool::EntryView& entry : batch.read.entries) {
    if (entry.offset >= batch.next) {
      break;
    }
    if (const auto flag = under_way_.find(entry.offset); flag != under_way_.end() && *flag->second) {
      batch.next = entry.offset;
      break;
    }
    if (refused(entry.offset)) {
      continue;
    }
    const auto parsed = parse_spill_entry(entry.payload);
    if (!parsed && parsed.error().code() == ErrorCode::kUnsupported) {
      return fail(parsed.error());
    }
    if (!parsed) {
      ++batch.unreadable;
      telemetry::log_error(kComponent, "entry {} of {} is lost: {}", entry.offset, config_.directory,
                           parsed.error().message());
      continue;
    }
    Draining draining;
    draining.request = *parsed;
    if (const auto found = finished_elsewhere_.find(entry.offset); found != finished_elsewhere_.end()) {
      draining.outcome = found->second.first;
      draining.keys = found->second.second;
      repeats_spared_.add();
    }
    batch.entries.push_back(std::move(draining));
    batch.offsets.push_back(entry.offset);
  }
  return batch;
}

void Spill::pass(const Draining& entry, std::uint64_t offset) {
  ledger_.left_spill(entry.request.signal, entry.request.records, *entry.outcome);
  const std::scoped_lock lock(mutex_);
  keys_->left(offset, entry.keys);
}

// What lay between the readable entries. How many entries that were is known; what they held is found by
// counting what is still there.
Result<void> Spill::pass_rest(const Batch& batch) {
  std::uint64_t entries_lost = batch.unreadable;
  for (const spool::Damage& damage : batch.read.damage) {
    if (damage.entries_lost > 0 && damage.first_offset >= batch.next) {
      continue;  // is met again
    }
    telemetry::log_error(kComponent, "{} damaged bytes in segment {} of {} at {} ({}): {} requests are lost",
                         damage.bytes, damage.segment, config_.directory, damage.position,
                         spool::to_string(damage.kind), damage.entries_lost);
    damaged_bytes_.add(damage.bytes);
    entries_lost += damage.entries_lost;
  }
  if (entries_lost == 0) {
    return {};
  }
  std::uint64_t end = 0;
  std::array<std::uint64_t, otlp::kSignals.size()> counted{};
  {
    const std::scoped_lock lock(mutex_);
    end = settled_end_;
    counted = ledger_.in_spill();
  }
  NARU_TRY(const auto readable, count_records(batch.next, end));
  std::uint64_t records_lost = 0;
  for (const otlp::Signal signal : otlp::kSignals) {
    const auto i = static_cast<std::size_t>(signal);
    if (counted[i] > readable[i]) {
      const std::uint64_t lost = counted[i] - readable[i];
      ledger_.left_spill(signal, lost, {.delivered = 0, .deadlettered = 0, .lost = lost});
      records_lost += lost;
    }
  }
  // Damaged before this process counted them: each held a record at least.
  if (records_lost < entries_lost) {
    const std::uint64_t lost = entries_lost - records_lost;
    ledger_.settled(otlp::Signal::kLogs, lost, {.delivered = 0, .deadlettered = 0, .lost = lost});
  }
  return {};
}

void Spill::move_to(std::uint64_t position) {
  const std::scoped_lock lock(mutex_);
  position_ = position;
  finished_elsewhere_.erase(finished_elsewhere_.begin(), finished_elsewhere_.lower_bound(position));
  under_way_.erase(under_way_.begin(), under_way_.lower_bound(position));
  keys_->move_to(position);
  if (position_ == settled_end_) {
    oldest_ms_ = 0;
    if (pending_ == 0) {
      keys_->clear();
    }
  }
}

// A position that cannot be stored is stored later; until then a crash sends again what it does not cover.
void Spill::store_position() {
  next_store_ns_ = monotonic_now() + kStorePauseNs;
  const SpillPosition now{position_, ledger_.finished()};
  if (now.offset == stored_.offset && now.finished == stored_.finished) {
    return;
  }
  const auto stored = spool::replace_file(files_, config_.directory, std::string(kPositionFile),
                                          encode_spill_position(log_->log().log_id(), now));
  if (stored) {
    stored_ = now;
    disk_works();
    return;
  }
  position_failures_.add();
  (void)disk_failed(stored.error());  // said there
}

}  // namespace naru::collector
