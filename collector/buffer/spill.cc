#include "collector/buffer/spill.h"

#include <fmt/format.h>

#include <charconv>
#include <map>

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
constexpr std::string_view kComponent = "spill";

std::string_view log_id_view(const spool::LogId& id) {
  return {reinterpret_cast<const char*>(id.data()), id.size()};
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

Result<std::unique_ptr<Spill>> Spill::open(spool::FileSystem& files, const SpillConfig& config,
                                           std::function<void(otlp::Signal, std::uint64_t)> found) {
  std::unique_ptr<Spill> spill(new Spill(files, config));
  spool::GroupCommitConfig log;
  log.log.directory = config.directory;
  log.log.bytes_max = config.bytes_max;
  log.log.entry_bytes_max = spool::kPayloadBytesMax;
  log.log.segment_bytes = std::min<std::uint64_t>(log.log.segment_bytes, config.bytes_max / 4);
  log.log.entry_bytes_max = static_cast<std::uint32_t>(std::min<std::uint64_t>(
      log.log.entry_bytes_max, log.log.segment_bytes - spool::kSegmentHeaderSize - spool::kFrameHeaderSize));
  NARU_TRY(spill->log_, spool::GroupCommitLog::open(files, log));
  NARU_TRY_VOID(spill->load_position());
  NARU_TRY_VOID(spill->count_left_over(found));
  return spill;
}

Spill::~Spill() {
  stop();
}

Result<void> Spill::load_position() {
  const spool::LogStats stats = log_->log().stats();
  position_ = stats.first_offset;
  const auto text = spool::read_file(files_, spool::join_path(config_.directory, kPositionFile), 4096);
  if (!text) {
    return text.error().code() == ErrorCode::kNotFound ? Result<void>{} : fail(text.error());
  }
  // "naru-spill-position 1 <log id> <offset>\n"; a position of another log says nothing about this one.
  const std::string head = fmt::format("{} {} ", kPositionMagic, to_hex(log_id_view(log_->log().log_id())));
  if (!text->starts_with(head)) {
    telemetry::log_warn(kComponent,
                        "the drained position in {} belongs to another log; draining from the start",
                        config_.directory);
    return {};
  }
  std::uint64_t offset = 0;
  std::from_chars(text->data() + head.size(), text->data() + text->size(), offset);
  position_ = std::max(position_, std::min(offset, stats.next_offset));
  return {};
}

Result<void> Spill::count_left_over(const std::function<void(otlp::Signal, std::uint64_t)>& found) {
  std::map<otlp::Signal, std::uint64_t> records;
  spool::LogReader reader(log_->log(), position_);
  while (true) {
    NARU_TRY(const spool::ReadBatch batch, reader.read(kReadBytes));
    if (batch.entries.empty() && batch.damage.empty()) {
      break;
    }
    for (const spool::EntryView& entry : batch.entries) {
      if (const auto parsed = parse_spill_entry(entry.payload)) {
        records[parsed->signal] += parsed->records;
        if (oldest_ms_ == 0) {
          oldest_ms_ = parsed->received_ms;
        }
      }
      requests_.fetch_add(1, std::memory_order_relaxed);
    }
  }
  for (const auto& [signal, count] : records) {
    found(signal, count);
  }
  if (requests_ > 0) {
    telemetry::log_info(kComponent, "{} requests in {} wait for the bus", requests_.load(),
                        config_.directory);
  }
  return {};
}

void Spill::start(Deliver deliver, Left left) {
  deliver_ = std::move(deliver);
  left_ = std::move(left);
  thread_ = std::thread([this] { run(); });
}

void Spill::stop() {
  {
    const std::scoped_lock lock(wake_mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
}

Result<void> Spill::append(otlp::Signal signal, UnixMillis received_ms, std::uint64_t records,
                           std::string& request, Done done) {
  SpilledRequest head{signal, received_ms, static_cast<std::uint32_t>(records), {}};
  spool::OwnedEntry entry{encode_spill_head(head), std::move(request), 0};
  requests_.fetch_add(1, std::memory_order_acq_rel);
  auto taken =
      log_->append(entry, [this, received_ms, done = std::move(done)](Result<std::uint64_t> offset) mutable {
        if (!offset) {
          requests_.fetch_sub(1, std::memory_order_acq_rel);
          done(fail(offset.error()));
          return;
        }
        UnixMillis none = 0;
        oldest_ms_.compare_exchange_strong(none, received_ms);
        done({});
      });
  if (!taken) {
    requests_.fetch_sub(1, std::memory_order_acq_rel);
    request = std::move(entry.body);
    return fail(taken.error().with_context("spill in " + config_.directory));
  }
  return {};
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
    if (!log_->wait_for(position_, kIdleWait)) {
      continue;
    }
    const Result<bool> drained = drain_some(reader);
    if (drained) {
      failures = 0;
      continue;
    }
    if (failures++ == 0) {
      telemetry::log_warn(kComponent, "the spill in {} cannot be drained yet, it goes on trying: {}",
                          config_.directory, drained.error().message());
    }
    reader.seek(position_);
    std::unique_lock lock(wake_mutex_);
    wake_.wait_for(lock, pause.wait(failures), [this] { return stop_.load(); });
  }
}

Result<bool> Spill::drain_some(spool::LogReader& reader) {
  NARU_TRY(const spool::ReadBatch batch, reader.read(kReadBytes));
  std::vector<SpilledRequest> requests;
  for (const spool::EntryView& entry : batch.entries) {
    NARU_TRY(const SpilledRequest request, parse_spill_entry(entry.payload));
    requests.push_back(request);
  }
  if (!requests.empty()) {
    oldest_ms_ = requests.front().received_ms;
    NARU_TRY_VOID(deliver_(requests, stop_));
  }
  count_damage(batch.damage);
  NARU_TRY_VOID(store_position(batch.next_offset));
  position_ = batch.next_offset;
  for (const SpilledRequest& request : requests) {
    left_(request.signal, request.records, true);
  }
  if (requests_.fetch_sub(requests.size(), std::memory_order_acq_rel) == requests.size()) {
    oldest_ms_ = 0;
  }
  NARU_TRY_VOID(log_->log().trim_before(position_));
  return true;
}

// Damaged entries cannot be delivered; how many they were is known, what they held is not.
void Spill::count_damage(const std::vector<spool::Damage>& damage) {
  for (const spool::Damage& entry : damage) {
    telemetry::log_error(kComponent, "{} damaged bytes in segment {} of {} at {} ({}): {} requests are lost",
                         entry.bytes, entry.segment, config_.directory, entry.position,
                         spool::to_string(entry.kind), entry.entries_lost);
    if (entry.entries_lost > 0) {
      left_(otlp::Signal::kLogs, entry.entries_lost, false);
    }
  }
}

Result<void> Spill::store_position(std::uint64_t offset) {
  return spool::replace_file(
      files_, config_.directory, std::string(kPositionFile),
      fmt::format("{} {} {}\n", kPositionMagic, to_hex(log_id_view(log_->log().log_id())), offset));
}

}  // namespace naru::collector
