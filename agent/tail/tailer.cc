#include "agent/tail/tailer.h"

#include <algorithm>

#include "agent/ship/split.h"
#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/fault_point.h"
#include "core/telemetry/log.h"

namespace naru::agent {
namespace {

constexpr int kTurnsPerStep = 16;          // then completions and events get their turn
constexpr std::size_t kSealedPerSync = 4;  // batches that one sync serves while the connections are busy
constexpr std::uint64_t kCommitRetry = kNanosPerSecond;
constexpr std::uint64_t kComplainEvery = 30 * kNanosPerSecond;
constexpr std::uint64_t kPublishEvery = kNanosPerSecond / 5;

std::uint64_t nanos(std::chrono::milliseconds time) {
  return static_cast<std::uint64_t>(time.count()) * kNanosPerMilli;
}

}  // namespace

Tailer::Tailer(const AgentConfig& config, std::map<std::string, std::string> resource, CheckpointLog& log,
               Shipper& shipper, Metrics& metrics, spool::FileSystem& files, Watch watch)
    : config_(config),
      resource_(std::move(resource)),
      log_(log),
      shipper_(shipper),
      metrics_(metrics),
      watch_(std::move(watch)),
      reader_(config.tail.line_bytes_max),
      rests_(files, config.state_dir + "/spool", config.spool.bytes_max),
      lanes_(shipper.lanes()) {
  log_.read([this](const State& state) {
    first_start_ = !state.started;
    for (const auto& [key, file] : state.files) {
      put_to_sleep(file);
    }
  });
}

void Tailer::begin() {
  began_at_ = monotonic_now();
  log_.read([&](const State& state) {
    for (const auto& [number, batch] : state.in_flight) {
      if (batch.journal.empty()) {
        unbuilt_.push_back(batch);
      }
    }
  });
  open_spool();
  scan();
  first_start_ = false;
  resend(false);
}

void Tailer::end() {
  note_done();
  for (const auto& [key, file] : followed_) {
    while (!file->named && !file->file.is_copy() && protect(*file)) {
    }
  }
}

TailProgress Tailer::progress() const {
  return {shown_files_.load(), shown_bytes_.load(), shown_lag_.load()};
}

void Tailer::publish() {
  const std::uint64_t now = monotonic_now();
  if (now < publish_at_) {
    return;
  }
  publish_at_ = now + kPublishEvery;
  std::uint64_t lag = 0;
  for (const auto& [key, file] : followed_) {
    lag += file->lag();
  }
  shown_files_ = followed_.size();
  shown_lag_ = lag;
  shown_bytes_ = bytes_read_;
  metrics_.files_known.set(static_cast<double>(followed_.size()));
  metrics_.files_open.set(static_cast<double>(open_files_));
  metrics_.lag_bytes.set(static_cast<double>(lag));
}

void Tailer::enqueue(Followed& file) {
  if (!file.ready) {
    file.ready = true;
    ready_.push_back(file.key);
  }
}

std::uint64_t Tailer::held_bytes() const {
  std::uint64_t bytes = shipper_.in_flight_bytes();
  for (const Sealed& sealed : sealed_) {
    bytes += sealed.body.size();
  }
  return bytes;
}

std::chrono::milliseconds Tailer::step() {
  const Watch::Changes changes = watch_.take();
  if (changes.overflow) {
    metrics_.inotify_overflows.add();
  }
  for (const std::string& path : changes.modified) {
    if (Followed* file = find(path)) {
      enqueue(*file);
    } else if (suspects_.contains(path)) {
      scan_due_ = true;
    }
  }
  const std::uint64_t now = monotonic_now();
  if (scan_due_ || changes.names || changes.overflow || now >= scan_at_) {
    scan();
  }
  if (changes.overflow) {
    for (const auto& [key, file] : followed_) {
      enqueue(*file);
    }
  }
  if (now >= look_at_) {
    look();
  }
  note_done();
  keep_rests();

  bool blocked = !sealed_.empty() && !commit();
  for (int turn = 0; !blocked && turn < kTurnsPerStep && !ready_.empty(); ++turn) {
    if (held_bytes() >= config_.ship.in_flight_bytes_max) {
      break;
    }
    Followed& file = *followed_.at(ready_.front());
    ready_.pop_front();
    file.ready = false;
    if (read_turn(file) == Turn::kMore) {
      enqueue(file);
    }
    const bool lane_waits =
        std::ranges::any_of(sealed_, [this](const Sealed& sealed) { return shipper_.idle(sealed.lane); });
    if (lane_waits || sealed_.size() >= kSealedPerSync) {
      blocked = !commit();
    }
  }

  // What is not full goes when nothing more is there to fill it and its connection has nothing to do.
  auto sleep = std::chrono::milliseconds(
      std::min(scan_at_, look_at_) > now ? (std::min(scan_at_, look_at_) - now) / kNanosPerMilli + 1 : 0);
  const bool room = held_bytes() < config_.ship.in_flight_bytes_max;
  if ((!ready_.empty() && room && !blocked) || !copying_.empty()) {
    sleep = std::chrono::milliseconds(0);
  } else if (!blocked) {
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      if (lanes_[i].open.empty() || !shipper_.idle(i)) {
        continue;
      }
      const std::uint64_t due = lanes_[i].sealed_at + nanos(config_.ship.linger);
      const std::uint64_t at = monotonic_now();
      if (at >= due) {
        seal(i);
      } else {
        sleep = std::min(sleep, std::chrono::milliseconds((due - at) / kNanosPerMilli + 1));
      }
    }
    blocked = !commit();
  }
  if (blocked) {
    sleep = std::min(sleep, std::chrono::milliseconds(kCommitRetry / kNanosPerMilli));
  }
  publish();
  return sleep;
}

bool Tailer::ensure_open(Followed& file) {
  if (file.file.is_open()) {
    return true;
  }
  Result<File> opened = File::open(file.path);
  if (!opened) {
    complain(file.path, opened.error());
    return false;
  }
  const Result<File::Facts> facts = opened->facts();
  if (!facts || facts->inode != file.known.inode) {
    scan_due_ = true;  // the path names another file by now
    return false;
  }
  file.file = std::move(*opened);
  ++open_files_;
  return true;
}

Tailer::Turn Tailer::read_turn(Followed& file) {
  if (!ensure_open(file)) {
    return Turn::kDone;
  }
  const Result<File::Facts> facts = file.file.facts();
  if (!facts) {
    complain(file.path, facts.error());
    return Turn::kDone;
  }
  const std::uint64_t now = monotonic_now();
  const std::uint64_t unread = file.lag();
  if (facts->size < file.known.offset) {
    rewritten(file, unread);
    return Turn::kDone;
  }
  if (facts->size != file.size) {
    file.size = facts->size;
    file.changed_at = now;
  }
  const auto quiet = config_.tail.partial_line_after;
  const bool flush = file.finish || (quiet.count() > 0 && now - file.changed_at >= nanos(quiet));
  const std::uint64_t before = file.known.offset;
  const SourceKey key = file.key;
  if (!read_records(file, flush ? Rest::kSend : Rest::kWait, unread)) {
    return Turn::kDone;
  }
  const bool advanced = file.key == key && file.known.offset > before;
  const bool scanning = file.scanned > file.known.offset && file.scanned < file.size;
  return (advanced && file.lag() > 0) || scanning ? Turn::kMore : Turn::kDone;
}

// False: nothing more can be read of it now. `unread`: bytes that were known to be there before this look.
bool Tailer::read_records(Followed& file, Rest rest, std::uint64_t unread) {
  const auto give_up = [&](const Error& error) {
    complain(file.path, error);
    return false;
  };
  if (auto loaded = reader_.load(file.file, file.known.offset, file.known.window.size, file.size); !loaded) {
    return give_up(loaded.error());
  }
  // The head is read behind the chunk: a rewrite in between is seen, and what the chunk then held is in the
  // copy, if anywhere.
  char head_buffer[kFingerprintBytesMax];
  const Result<std::size_t> head_size = file.file.read(0, sizeof head_buffer, head_buffer);
  if (!head_size) {
    return give_up(head_size.error());
  }
  const std::string_view head(head_buffer, *head_size);
  if (fingerprint(reader_.window()) != file.known.window || !begins_with(head, file.known.prefix)) {
    rewritten(file, unread);
    return false;
  }
  if (file.known.prefix.size < head.size()) {
    if (file.known.prefix.size == 0 && file.named) {
      // While it was empty nothing told whether it was filled, copied and truncated meanwhile.
      note_gap(file.first_path, file.input);
    }
    file.known.prefix = fingerprint(head);
    index_head(file, head);
  }

  Lane& lane = lanes_[shipper_.lane_of(file.key)];
  const RecordSource from{file.key, file.source, file.resource};
  Range range;
  range.key = file.key;
  range.begin = file.known.offset;
  range.position = file.position;
  range.observed = std::max(wall_now(), file.observed_next);
  range.line_bytes_max = static_cast<std::uint32_t>(config_.tail.line_bytes_max);
  range.prefix = file.known.prefix;
  const std::uint64_t loaded_at = file.known.offset;
  std::uint64_t next = loaded_at;  // behind the last record taken
  LineCounts counts;
  // A window that cannot be read again is left empty: the prefix alone then tells a rewrite.
  const auto note = [&](std::uint64_t end) {
    if (end == range.begin) {
      return;
    }
    range.end = end;
    range.window = reader_.window_at(file.file, end - loaded_at).value_or(Fingerprint{});
    file.known.window = range.window;
    file.known.offset = end;
    file.position = range.position + range.count;
    lane.open.note(range);
    range.begin = end;
    range.position = file.position;
    range.observed += range.count;
    range.count = 0;
    file.observed_next = range.observed;
  };
  const Result<std::uint64_t> consumed = reader_.take_records(
      file.file, config_.tail.line_bytes_max, rest, file.scanned, [&](const Line& line, bool text) {
        if (!lane.open.empty() &&
            lane.open.size() + BatchBuilder::cost(from, line) > config_.ship.batch_bytes) {
          note(next);
          seal(shipper_.lane_of(file.key));
        }
        lane.open.add(from, range.position + range.count, range.observed + range.count, line, text, counts);
        ++range.count;
        next = loaded_at + line.end;
        return true;
      });
  if (!consumed) {
    return give_up(consumed.error());
  }
  const std::uint64_t end = loaded_at + *consumed;
  if (range.count > 0) {
    note(end);
  } else if (end > file.known.offset) {  // only the line feed of a record that was cut
    file.known.offset = end;
    file.known.window = reader_.window_at(file.file, *consumed).value_or(Fingerprint{});
  }
  bytes_read_ += *consumed;
  metrics_.bytes_read.add(*consumed);
  if (counts.truncated > 0) {
    metrics_.truncated_lines.add(counts.truncated);
    metrics_.truncated_bytes.add(counts.truncated_bytes);
  }
  if (counts.invalid_utf8 > 0) {
    metrics_.invalid_utf8_lines.add(counts.invalid_utf8);
  }
  return true;
}

void Tailer::seal(std::size_t lane) {
  BatchBuilder::Built built = lanes_[lane].open.take();
  lanes_[lane].sealed_at = monotonic_now();
  if (built.records == 0) {
    return;
  }
  Sealed sealed;
  sealed.lane = lane;
  sealed.batch.number = log_.draw_batch();
  sealed.batch.files = std::move(built.ranges);
  sealed.body = std::move(built.body);
  pending_.push_back(encode(sealed.batch));
  sealed_.push_back(std::move(sealed));
}

// False: the state could not be written; nothing left, and it is tried again later.
bool Tailer::commit() {
  if (pending_.empty()) {
    return true;
  }
  const std::uint64_t now = monotonic_now();
  if (now < retry_commit_at_) {
    return false;
  }
  if (auto written = log_.append(pending_, Sync::kYes); !written) {
    metrics_.checkpoint_failures.add();
    if (state_told_at_ == 0 || now - state_told_at_ >= kComplainEvery) {
      state_told_at_ = now;
      telemetry::log_error("agent", "nothing is sent while the state cannot be written: {}",
                           written.error().message());
    }
    retry_commit_at_ = now + kCommitRetry;
    return false;
  }
  pending_.clear();
  for (Sealed& sealed : sealed_) {
    std::uint64_t records = sealed.batch.records();
    metrics_.ledger.accepted.add(records);
    if (fault_point("agent.drop_record")) [[unlikely]] {
      drop_one(sealed, records);
    }
    if (records > 0) {
      shipper_.send(sealed.lane, {sealed.batch.number, records, 0, std::move(sealed.body)});
    }
  }
  sealed_.clear();
  return true;
}

// Loses a record without a word: the ledger's test must see it.
void Tailer::drop_one(Sealed& sealed, std::uint64_t& records) {
  if (--records == 0) {
    done_.push_back({sealed.batch.number, {}});
    return;
  }
  auto halves = split_request(sealed.body, 1);
  NARU_CHECK(halves.has_value(), "the agent cannot read its own request");
  sealed.body = std::move(halves->second);
}

void Tailer::note_done() {
  for (const Delivered& delivered : shipper_.take_done()) {
    done_.push_back(delivered);
  }
  std::vector<std::string> payloads;
  for (const Delivered& delivered : done_) {
    payloads.push_back(encode_done(delivered.number, delivered.outcomes));
  }
  if (!log_.append(payloads, Sync::kNo)) {
    metrics_.checkpoint_failures.add();
    return;
  }
  done_.clear();
}

}  // namespace naru::agent
