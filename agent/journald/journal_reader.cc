#include "agent/journald/journal_reader.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "agent/ship/batch_builder.h"
#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/telemetry/log.h"

namespace naru::agent {
namespace {

constexpr std::chrono::milliseconds kSleepMax{1'000};
constexpr std::chrono::milliseconds kRetryOpen{10'000};
constexpr std::chrono::milliseconds kRetryCommit{1'000};
constexpr UnixNanos kNanosPerMicro = 1'000;

std::string value_or(const std::map<std::string, std::string>& map, const std::string& key) {
  const auto at = map.find(key);
  return at == map.end() ? std::string() : at->second;
}

}  // namespace

// The calls of libsystemd that are needed, with Results.
class JournalReader::Journal {
 public:
  ~Journal() { close(); }

  Result<void> open(const std::string& directory, std::size_t field_bytes_max) {
    close();
    const int opened = directory.empty() ? ::sd_journal_open(&journal_, SD_JOURNAL_LOCAL_ONLY)
                                         : ::sd_journal_open_directory(&journal_, directory.c_str(), 0);
    NARU_TRY_VOID(check(opened, "open the journal"));
    // One byte more than is kept, so that a longer message is seen to be cut. 0 would mean no limit.
    return check(::sd_journal_set_data_threshold(journal_, field_bytes_max + std::strlen("MESSAGE=") + 1),
                 "set up the journal");
  }
  void close() {
    if (journal_ != nullptr) {
      ::sd_journal_close(journal_);
      journal_ = nullptr;
    }
  }
  Result<bool> next() { return moved(::sd_journal_next(journal_)); }
  // How many entries it went back.
  Result<std::uint64_t> back(std::uint64_t entries) {
    const int n = ::sd_journal_previous_skip(journal_, entries);
    NARU_TRY_VOID(check(n, "read the journal"));
    return static_cast<std::uint64_t>(n);
  }
  Result<void> seek_head() { return check(::sd_journal_seek_head(journal_), "seek in the journal"); }
  Result<void> seek_tail() { return check(::sd_journal_seek_tail(journal_), "seek in the journal"); }
  Result<void> seek(const std::string& cursor) {
    return check(::sd_journal_seek_cursor(journal_, cursor.c_str()), "seek in the journal");
  }
  Result<bool> is_at(const std::string& cursor) {
    return moved(::sd_journal_test_cursor(journal_, cursor.c_str()));
  }
  Result<std::string> cursor() {
    char* text = nullptr;
    NARU_TRY_VOID(check(::sd_journal_get_cursor(journal_, &text), "read the journal"));
    std::string out(text);
    ::free(text);
    return out;
  }
  Result<void> read(JournalRecord& record) {
    std::uint64_t micros = 0;
    NARU_TRY_VOID(check(::sd_journal_get_realtime_usec(journal_, &micros), "read the journal"));
    record.begin(micros * kNanosPerMicro);
    const void* data = nullptr;
    std::size_t size = 0;
    ::sd_journal_restart_data(journal_);
    // A field that is damaged on disk ends the entry; what came before it is sent.
    while (::sd_journal_enumerate_available_data(journal_, &data, &size) > 0) {
      record.field({static_cast<const char*>(data), size});
    }
    return {};
  }
  int fd() { return ::sd_journal_get_fd(journal_); }
  short events() { return static_cast<short>(::sd_journal_get_events(journal_)); }
  void process() { ::sd_journal_process(journal_); }

 private:
  static Result<void> check(int code, const char* action) {
    if (code < 0) {
      return fail(ErrorCode::kIo, fmt::format("cannot {}: {}", action, std::strerror(-code)));
    }
    return {};
  }
  static Result<bool> moved(int code) {
    NARU_TRY_VOID(check(code, "read the journal"));
    return code > 0;
  }
  sd_journal* journal_ = nullptr;
};

struct JournalReader::Open {
  otlp::LogsBuilder builder;
  JournalRange range;
  std::uint64_t sealed_at = 0;  // monotonic, of the batch before
};

JournalReader::JournalReader(const JournaldConfig& config, const ShipConfig& ship,
                             std::map<std::string, std::string> resource, CheckpointLog& log,
                             Shipper& shipper, Metrics& metrics)
    : config_(config),
      ship_(ship),
      resource_([&] {
        std::map<std::string, std::string> attributes = resource;
        for (const auto& [key, value] : config.attributes) {
          attributes[key] = value;
        }
        attributes["log.source"] = "journald";
        return encode_resource(attributes);
      }()),
      log_(log),
      shipper_(shipper),
      metrics_(metrics),
      record_(config.field_bytes_max, value_or(resource, "host.name")),
      wake_fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

JournalReader::~JournalReader() {
  stop();
  if (wake_fd_ >= 0) {
    ::close(wake_fd_);
  }
}

void JournalReader::start() {
  thread_ = std::thread([this] { run(); });
}

void JournalReader::stop() {
  stopping_ = true;
  wake();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void JournalReader::wake() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(wake_fd_, &one, sizeof one);
}

bool JournalReader::sleep(Journal* journal, std::chrono::milliseconds limit) {
  pollfd waits[2] = {{wake_fd_, POLLIN, 0}, {journal != nullptr ? journal->fd() : -1, POLLIN, 0}};
  if (journal != nullptr) {
    waits[1].events = journal->events();
  }
  ::poll(waits, 2, static_cast<int>(limit.count()));
  std::uint64_t ignored = 0;
  [[maybe_unused]] const ssize_t n = ::read(wake_fd_, &ignored, sizeof ignored);
  if (journal != nullptr) {
    journal->process();
  }
  return !stopping_;
}

bool JournalReader::open_journal(Journal& journal) {
  bool told = false;
  while (true) {
    const Result<void> opened = journal.open(config_.directory, config_.field_bytes_max);
    if (opened) {
      return true;
    }
    if (!told) {
      told = true;
      telemetry::log_warn("agent", "{} {}; it is tried again every {} s", opened.error().message(),
                          config_.directory, kRetryOpen.count() / 1000);
    }
    if (!sleep(nullptr, kRetryOpen)) {
      return false;
    }
  }
}

// The source of this directory's journal, drawn and made durable if there is none. False: stopping.
bool JournalReader::load_checkpoint() {
  bool known = false;
  log_.read([&](const State& state) {
    for (const auto& [key, journal] : state.journals) {
      if (journal.directory == config_.directory) {
        checkpoint_ = journal;
        known = true;
      }
    }
  });
  if (known) {
    return true;
  }
  first_start_ = true;
  checkpoint_.key = log_.draw_key();
  checkpoint_.source = random_16();
  checkpoint_.directory = config_.directory;
  while (true) {
    const Result<void> written = log_.append({encode(checkpoint_)}, Sync::kYes);
    if (written) {
      return true;
    }
    metrics_.checkpoint_failures.add();
    if (!sleep(nullptr, kRetryCommit)) {
      return false;
    }
  }
}

void JournalReader::run() {
  Journal journal;
  if (!load_checkpoint() || !open_journal(journal)) {
    return;
  }
  resend(journal);
  Open open;
  bool entry_is_current = false;
  bool positioned = false;
  while (!stopping_) {
    Result<bool> more = false;
    if (!positioned) {
      if (const Result<void> sought = seek(journal, entry_is_current); !sought) {
        more = fail(sought.error());
      } else {
        positioned = true;
      }
    }
    if (more) {
      more = fill(journal, open, entry_is_current);
      entry_is_current = false;
    }
    if (!more) {
      telemetry::log_warn("agent", "{}; the journal is opened again", more.error().message());
      commit(open);
      positioned = false;
      if (!sleep(nullptr, kSleepMax) || !open_journal(journal)) {
        return;
      }
      continue;
    }
    const std::uint64_t now = monotonic_now();
    const std::uint64_t due =
        open.sealed_at + static_cast<std::uint64_t>(ship_.linger.count()) * kNanosPerMilli;
    const bool full = *more;
    auto wait = kSleepMax;
    if (open.builder.records() > 0 && shipper_.has_room()) {
      if (full || (now >= due && shipper_.idle(shipper_.lane_of(checkpoint_.key)))) {
        commit(open);
      } else if (now < due) {
        wait = std::min(wait, std::chrono::milliseconds((due - now) / kNanosPerMilli + 1));
      }
    }
    if (!(full && shipper_.has_room())) {
      sleep(&journal, wait);
    }
  }
}

// Goes to where the last start ended. `entry_is_current`: an entry that was not taken yet is the current one.
Result<void> JournalReader::seek(Journal& journal, bool& entry_is_current) const {
  entry_is_current = false;
  if (!checkpoint_.cursor.empty()) {
    NARU_TRY_VOID(journal.seek(checkpoint_.cursor));
    NARU_TRY(const bool found, journal.next());
    if (found) {
      NARU_TRY(const bool taken, journal.is_at(checkpoint_.cursor));
      entry_is_current = !taken;  // the entry was vacuumed, this is the one behind it
    }
    return {};
  }
  if (config_.from_start || !first_start_) {
    return journal.seek_head();
  }
  NARU_TRY_VOID(journal.seek_tail());
  NARU_TRY(const std::uint64_t back, journal.back(config_.first_start_entries));
  entry_is_current = back > 0;
  return {};
}

// Takes entries until there are no more (false) or the batch is full (true).
Result<bool> JournalReader::fill(Journal& journal, Open& open, bool entry_is_current) {
  while (open.builder.size() + 2 * JournalRecord::kAttributeBytesMax + config_.field_bytes_max <
             ship_.batch_bytes ||
         open.builder.records() == 0) {
    if (!entry_is_current) {
      NARU_TRY(const bool found, journal.next());
      if (!found) {
        return false;
      }
    }
    entry_is_current = false;
    NARU_TRY(std::string cursor, journal.cursor());
    NARU_TRY_VOID(journal.read(record_));
    if (open.builder.records() == 0) {
      open.range = {checkpoint_.key, checkpoint_.position, 0, wall_now(), cursor, {}};
      open.builder.begin_resource(resource_);
      open.builder.begin_scope(checkpoint_.source, checkpoint_.position);
    }
    record_.add_to(open.builder, open.range.observed);
    if (record_.cut_bytes() > 0) {
      metrics_.truncated_lines.add();
      metrics_.truncated_bytes.add(record_.cut_bytes());
    }
    ++open.range.count;
    ++checkpoint_.position;
    checkpoint_.cursor = cursor;
    open.range.last_cursor = std::move(cursor);
  }
  return true;
}

// Returns once the batch is noted and handed on, or the reader stops.
void JournalReader::commit(Open& open) {
  if (open.builder.records() == 0) {
    return;
  }
  Batch batch;
  batch.number = log_.draw_batch();
  batch.journal.push_back(open.range);
  while (true) {
    const Result<void> written = log_.append({encode(batch)}, Sync::kYes);
    if (written) {
      break;
    }
    metrics_.checkpoint_failures.add();
    if (!sleep(nullptr, kRetryCommit)) {
      return;
    }
  }
  metrics_.ledger.accepted.add(open.range.count);
  metrics_.journal_entries.add(open.range.count);
  shipper_.send(shipper_.lane_of(checkpoint_.key), {batch.number, open.range.count, 0, open.builder.take()});
  open.sealed_at = monotonic_now();
}

// Batches that were in flight when the agent last ended: read again from their last entry backwards, because
// what the journal dropped meanwhile is missing at the front.
void JournalReader::resend(Journal& journal) {
  std::vector<Batch> batches;
  log_.read([&](const State& state) {
    for (const auto& [number, batch] : state.in_flight) {
      if (!batch.journal.empty() && batch.journal.front().key == checkpoint_.key) {
        batches.push_back(batch);
      }
    }
  });
  for (const Batch& batch : batches) {
    const JournalRange& range = batch.journal.front();
    otlp::LogsBuilder builder;
    const auto read = [&]() -> Result<void> {
      NARU_TRY_VOID(journal.seek(range.last_cursor));
      NARU_TRY(const bool found, journal.next());
      NARU_TRY(const bool there, found ? journal.is_at(range.last_cursor) : Result<bool>(false));
      if (!there) {
        return {};
      }
      NARU_TRY(const std::uint64_t back,
               range.count > 1 ? journal.back(range.count - 1) : Result<std::uint64_t>(0));
      builder.begin_resource(resource_);
      builder.begin_scope(checkpoint_.source, range.position + range.count - 1 - back);
      for (std::uint64_t i = 0; i <= back; ++i) {
        NARU_TRY_VOID(journal.read(record_));
        record_.add_to(builder, range.observed);
        if (i < back) {
          NARU_TRY_VOID(journal.next());
        }
      }
      return {};
    };
    if (const Result<void> done = read(); !done) {
      telemetry::log_warn("agent", "{} to send a batch again", done.error().message());
    }
    const std::uint64_t lost = range.count - builder.records();
    if (lost > 0) {
      metrics_.ledger.lost.add(lost);
      telemetry::log_error(
          "agent", "{} journal entries that were not acknowledged are gone: the journal was vacuumed", lost);
    }
    if (builder.records() == 0) {
      shipper_.rebuilt(range.count);
      if (!log_.append({encode_done(batch.number, {.lost = lost})}, Sync::kYes)) {
        metrics_.checkpoint_failures.add();
      }
      continue;
    }
    const std::uint64_t records = builder.records();
    shipper_.send(shipper_.lane_of(checkpoint_.key), {batch.number, records, lost, builder.take()});
    shipper_.rebuilt(range.count);
  }
}

}  // namespace naru::agent
