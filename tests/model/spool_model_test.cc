// A model test of the segment log: random operations on a disk that fails or loses its power at every call in
// turn.
//
// NARU_MODEL_SEED sets the first seed, NARU_MODEL_SEEDS how many are run (the default takes seconds). Every
// failure names its seed and call, and both reproduce it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <charconv>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <random>

#include "core/spool/group_commit_log.h"
#include "core/spool/segment_log.h"
#include "tests/unit/core/spool/memory_file_system.h"

namespace naru::spool {
namespace {

constexpr UnixNanos kNow = 1'700'000'000 * kNanosPerSecond;
constexpr int kOperations = 40;

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  std::uint64_t value = otherwise;
  if (text != nullptr) {
    const std::string_view view(text);
    std::from_chars(view.data(), view.data() + view.size(), value);
  }
  return value;
}

SegmentLogConfig log_config() {
  return {.directory = "log", .segment_bytes = 1200, .entry_bytes_max = 4000};
}

// What a client of the log knows: each payload it ever handed over (no two alike, their numbers rising) and
// which of them, at which offset, the log has called durable or shown to a reader.
class Knowledge {
 public:
  std::string next_payload(std::mt19937_64& random) {
    const std::uint64_t size = random() % 8 == 0 ? random() % 2000 : random() % 120;
    std::string payload = fmt::format("{}|", given_.size());
    for (std::uint64_t i = 0; i < size; ++i) {
      payload += static_cast<char>(random());
    }
    given_.push_back(payload);
    return payload;
  }
  void durable(std::uint64_t offset, const std::string& payload) {
    const auto [at, added] = durable_.emplace(offset, payload);
    EXPECT_TRUE(added || at->second == payload) << "offset " << offset << " was promised to two entries";
  }
  void may_be_trimmed(std::uint64_t offset) { trimmed_ = std::max(trimmed_, offset); }
  std::uint64_t durable_end() const { return durable_.empty() ? 0 : durable_.rbegin()->first + 1; }

  // Reads all of the log: what was promised is there, once, in order, and nothing else but whole entries.
  void check(SegmentLog& log) {
    LogReader reader(log, log.stats().first_offset);
    std::map<std::uint64_t, std::string> found;
    std::optional<std::uint64_t> last_number;
    for (;;) {
      const auto batch = reader.read(700);
      ASSERT_TRUE(batch) << batch.error().message();
      // A power cut may keep a later part of what was never synced and drop an earlier one. So offsets may be
      // missing, but none that was promised, and be it long deleted: that would be an alarm for nothing.
      for (const Damage& damage : batch->damage) {
        const auto promised = durable_.lower_bound(damage.first_offset);
        EXPECT_TRUE(damage.entries_lost == 0 || promised == durable_.end() ||
                    promised->first >= damage.first_offset + damage.entries_lost)
            << "offset " << promised->first << ": " << to_string(damage.kind) << " in segment "
            << damage.segment;
      }
      if (batch->entries.empty()) {
        break;
      }
      for (const EntryView& entry : batch->entries) {
        const std::uint64_t number = number_of(entry.payload);
        ASSERT_LT(number, given_.size()) << "offset " << entry.offset << " holds what nobody appended";
        EXPECT_EQ(entry.payload, given_[number]) << "offset " << entry.offset;
        EXPECT_TRUE(!last_number || number > *last_number)
            << "offset " << entry.offset << ": entry " << number << " after entry " << *last_number;
        last_number = number;
        found.emplace(entry.offset, entry.payload);
      }
    }
    for (const auto& [offset, payload] : durable_) {
      const auto at = found.find(offset);
      if (at != found.end()) {
        EXPECT_EQ(at->second, payload) << "offset " << offset;
      } else {
        EXPECT_LT(offset, trimmed_) << "a durable entry is gone";
      }
    }
    for (const auto& [offset, payload] : found) {
      durable(offset, payload);  // shown, so it has to stay
    }
  }

 private:
  static std::uint64_t number_of(std::string_view payload) {
    std::uint64_t number = ~0ULL;
    std::from_chars(payload.data(), payload.data() + payload.size(), number);
    return number;
  }

  std::vector<std::string> given_;
  std::map<std::uint64_t, std::string> durable_;
  std::uint64_t trimmed_ = 0;
};

// One client of one log, driven by a seed.
class Client {
 public:
  Client(MemoryFileSystem& files, Knowledge& knowledge, std::uint64_t seed)
      : files_(files), knowledge_(knowledge), random_(seed) {}

  void run(int operations) {
    for (int i = 0; i < operations && !::testing::Test::HasFailure(); ++i) {
      step();
    }
  }

  bool reopen() {
    log_.reset();
    waiting_.clear();
    auto log = SegmentLog::open(files_, log_config(), kNow);
    if (log) {
      log_ = std::move(*log);
    }
    return log.has_value();
  }

  void check() { knowledge_.check(*log_); }

  // After any trouble the log takes entries again.
  void prove_life() {
    append();
    const bool synced = sync();
    ASSERT_TRUE(synced);
    check();
  }

 private:
  void step() {
    if (!log_ && !reopen()) {
      return;
    }
    switch (random_() % 12) {
      case 0: settle(log_->roll(kNow)); break;
      case 1: trim(); break;
      case 2: reopen(); break;
      case 3: check(); break;
      case 4:
      case 5:
      case 6: sync(); break;
      default: append(); break;
    }
  }

  void append() {
    std::vector<std::string> payloads(1 + random_() % 4);
    for (std::string& payload : payloads) {
      payload = knowledge_.next_payload(random_);
    }
    std::vector<EntryParts> parts;
    for (const std::string& payload : payloads) {
      const auto whole = std::string_view(payload);
      const std::size_t cut = random_() % (whole.size() + 1);
      parts.push_back({.head = whole.substr(0, cut),
                       .body = whole.substr(cut),
                       .crc = payload_crc(whole.substr(0, cut), whole.substr(cut))});
    }
    const auto first = log_->append(parts, kNow);
    if (!first) {
      waiting_.clear();  // taken back, or shown all the same: both are allowed
      return;
    }
    if (!waiting_.empty() && waiting_.rbegin()->first >= *first) {
      waiting_.clear();
    }
    for (std::size_t i = 0; i < payloads.size(); ++i) {
      waiting_[*first + i] = payloads[i];
    }
    promise_what_is_durable();
  }

  // Success for an entry that a failed sync left behind would be a lie that the next power cut shows.
  bool sync() {
    const bool synced = settle(log_->sync());
    EXPECT_TRUE(!synced || waiting_.empty()) << "synced, but not durable";
    return synced;
  }

  bool settle(const Result<void>& synced) {
    promise_what_is_durable();
    if (!synced) {
      waiting_.clear();
    }
    return synced.has_value();
  }

  // Whatever lies below the durable end is promised.
  void promise_what_is_durable() {
    while (!waiting_.empty() && waiting_.begin()->first < log_->next_offset()) {
      knowledge_.durable(waiting_.begin()->first, waiting_.begin()->second);
      waiting_.erase(waiting_.begin());
    }
  }

  void trim() {
    const std::uint64_t end = log_->next_offset();
    const std::uint64_t offset = end - std::min<std::uint64_t>(end, random_() % 40);
    knowledge_.may_be_trimmed(offset);
    std::ignore = log_->trim_before(offset);
  }

  MemoryFileSystem& files_;
  Knowledge& knowledge_;
  std::mt19937_64 random_;
  std::unique_ptr<SegmentLog> log_;
  std::map<std::uint64_t, std::string> waiting_;  // appended, not yet synced
};

std::uint64_t calls_of(std::uint64_t seed) {
  MemoryFileSystem files;
  Knowledge knowledge;
  Client client(files, knowledge, seed);
  client.run(kOperations);
  return files.calls();
}

void for_each_seed(std::uint64_t seeds, const std::function<void(std::uint64_t)>& run) {
  const std::uint64_t first = setting("NARU_MODEL_SEED", 1);
  seeds = setting("NARU_MODEL_SEEDS", seeds);
  fmt::print("seeds {} to {}\n", first, first + seeds - 1);
  for (std::uint64_t seed = first; seed < first + seeds && !::testing::Test::HasFailure(); ++seed) {
    run(seed);
  }
}

TEST(SpoolModel, KeepsItsPromisesWhenThePowerFailsAtEveryCall) {
  for_each_seed(25, [](std::uint64_t seed) {
    const std::uint64_t calls = calls_of(seed);
    for (std::uint64_t call = 1; call <= calls && !::testing::Test::HasFailure(); ++call) {
      SCOPED_TRACE(fmt::format("seed {} call {}", seed, call));
      MemoryFileSystem files;
      Knowledge knowledge;
      Client client(files, knowledge, seed);
      files.die_at(call);
      client.run(kOperations);
      // Every kind of loss: nothing unsynced survives, or a random choice of sectors and names.
      files.power_cut(call % 4 == 0 ? std::nullopt : std::optional(seed * 1'000'003 + call));
      ASSERT_TRUE(client.reopen());
      client.check();
      client.run(6);
      files.power_cut(seed + call);
      ASSERT_TRUE(client.reopen());
      client.check();
      client.prove_life();
    }
  });
}

TEST(SpoolModel, KeepsItsPromisesWhenAnyCallFails) {
  for_each_seed(15, [](std::uint64_t seed) {
    const std::uint64_t calls = calls_of(seed);
    for (std::uint64_t call = 1; call <= calls && !::testing::Test::HasFailure(); ++call) {
      for (const auto code : {ErrorCode::kIo, ErrorCode::kNoSpace}) {
        SCOPED_TRACE(fmt::format("seed {} call {} {}", seed, call, to_string(code)));
        MemoryFileSystem files;
        Knowledge knowledge;
        Client client(files, knowledge, seed);
        files.fail_call(call, code);
        client.run(kOperations);
        files.power_cut(seed * 1'000'003 + call);
        ASSERT_TRUE(client.reopen());
        client.check();
        client.prove_life();
      }
    }
  });
}

TEST(SpoolModel, KeepsItsPromisesOnADiskThatFillsUpAndIsFreedAgain) {
  for_each_seed(40, [](std::uint64_t seed) {
    for (const std::uint64_t space : {100u, 700u, 2500u, 6000u}) {
      SCOPED_TRACE(fmt::format("seed {} space {}", seed, space));
      MemoryFileSystem files;
      Knowledge knowledge;
      Client client(files, knowledge, seed);
      files.set_space(space);
      client.run(kOperations);
      files.set_space(std::numeric_limits<std::uint64_t>::max());
      client.run(5);
      files.power_cut(seed);
      ASSERT_TRUE(client.reopen());
      client.check();
      client.prove_life();
    }
  });
}

// The same for the log that many threads share: what a callback called durable survives.
TEST(SpoolModel, AnswersNoEntryOfAGroupBeforeItIsDurable) {
  for_each_seed(4, [](std::uint64_t seed) {
    for (std::uint64_t call = 1; call <= 60 && !::testing::Test::HasFailure(); ++call) {
      for (const bool dies : {true, false}) {
        SCOPED_TRACE(fmt::format("seed {} call {} {}", seed, call, dies ? "power" : "error"));
        MemoryFileSystem files;
        Knowledge knowledge;
        std::mutex mutex;
        std::mt19937_64 random(seed * 1'000 + call);
        if (dies) {
          files.die_at(call);
        } else {
          files.fail_call(call, ErrorCode::kIo);
        }
        std::size_t taken = 0;
        std::size_t answered = 0;
        if (auto log = GroupCommitLog::open(files, {.log = log_config(),
                                                    .interval = std::chrono::microseconds(0),
                                                    .pending_bytes_max = 1u << 20,
                                                    .probe_interval = std::chrono::milliseconds(0)})) {
          for (int i = 0; i < 60; ++i) {
            std::string payload = knowledge.next_payload(random);
            OwnedEntry entry{.head = payload.substr(0, 2), .body = payload.substr(2)};
            const auto accepted = (*log)->append(entry, [&, payload](const Result<std::uint64_t>& offset) {
              const std::lock_guard lock(mutex);
              ++answered;
              if (offset) {
                knowledge.durable(*offset, payload);
              }
            });
            taken += accepted ? 1 : 0;
            if (random() % 3 == 0) {
              (*log)->wait_for((*log)->log().next_offset(), std::chrono::microseconds(200));
            }
          }
          (*log)->close();
        }
        EXPECT_EQ(answered, taken);
        files.power_cut(seed + call);
        Client client(files, knowledge, seed);
        ASSERT_TRUE(client.reopen());
        client.check();
        client.prove_life();
      }
    }
  });
}

}  // namespace
}  // namespace naru::spool
