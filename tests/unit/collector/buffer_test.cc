#include "collector/buffer/buffer.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "core/otlp/build.h"
#include "core/otlp/identity.h"
#include "tests/unit/collector/fake_bus.h"
#include "tests/unit/core/spool/memory_file_system.h"

namespace naru::collector {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kRecordsPerRequest = 3;

// A sender with one request under way at a time, which it sends again until that is accepted.
struct Sender {
  std::string name;
  Role role = Role::kClient;
  bool wide = false;  // its requests hold a second resource
  std::uint64_t next = 0;
  std::uint64_t accepted = 0;  // requests below are the collector's
  bool waiting = false;
};

std::array<unsigned char, 16> source_of(const std::string& name, std::uint64_t number) {
  return xxh3_128(name + std::to_string(number));
}

std::string request_of(const Sender& sender) {
  otlp::LogsBuilder builder;
  std::uint64_t position = 0;
  for (const char* part : {"", "-b"}) {
    std::string resource;
    otlp::append_string_attribute(resource, otlp::kResourceAttributes, "service.name", sender.name + part);
    builder.begin_resource(resource);
    builder.begin_scope(source_of(sender.name, sender.next), position);
    const std::uint64_t records = !sender.wide ? kRecordsPerRequest : position == 0 ? 1 : 2;
    for (std::uint64_t i = 0; i < records; ++i, ++position) {
      builder.add(1, 2, sender.name + "/" + std::to_string(sender.next) + "/" + std::to_string(position));
    }
    if (!sender.wide) {
      break;
    }
  }
  return builder.take();
}

bool is_poison(const bus::OutRecord& value) {
  return value.topic != "naru.deadletter" && value.value.find("/13/1") != std::string::npos;
}

// What a reader of the bus saw first of each record, in order of arrival.
struct Reader {
  std::map<std::string, std::vector<std::uint64_t>> order;  // by sender and position: numbers of requests
  std::set<std::string> seen;
  std::uint64_t copies = 0;

  void read(const bus::OutRecord& value) {
    for (otlp::Messages groups = otlp::resource_groups(value.value); groups.next();) {
      for (otlp::Messages scopes(groups.bytes(), 2); scopes.next();) {
        otlp::ScopeGroup scope;
        ASSERT_TRUE(otlp::parse(scopes.bytes(), scope));
        const otlp::ScopeIdentity identity = otlp::scope_identity(scope.scope);
        std::uint64_t position = identity.base;
        for (otlp::Messages records = otlp::records(scope); records.next(); ++position) {
          otlp::LogRecord record;
          otlp::AnyValue body;
          ASSERT_TRUE(otlp::parse(records.bytes(), record) && otlp::parse(record.body, body));
          take(std::string(body.bytes), identity, position, value);
        }
      }
    }
  }

 private:
  void take(const std::string& body, const otlp::ScopeIdentity& identity, std::uint64_t position,
            const bus::OutRecord& value) {
    const std::size_t slash = body.find('/');
    const std::string sender = body.substr(0, slash);
    const std::uint64_t number = std::stoull(body.substr(slash + 1));
    // Whatever way a record took, it is the same record.
    EXPECT_EQ(identity.source, source_of(sender, number));
    EXPECT_EQ(body.substr(body.rfind('/') + 1), std::to_string(position));
    EXPECT_EQ(value.timestamp_ms, static_cast<UnixMillis>(number + 1));
    const bool letter = value.topic == "naru.deadletter";
    EXPECT_EQ(letter, number == 13 && position == 1) << body;
    ++copies;
    if (seen.insert(body).second && !letter) {
      order[sender + "/" + std::to_string(position)].push_back(number);
    }
  }
};

class Trial {
 public:
  explicit Trial(std::uint64_t seed) : random_(seed) {
    config_.retry_after = milliseconds(1);
    config_.spill.directory = "/spill";
    config_.spill.after = milliseconds(1);
    config_.spill.retry_max = milliseconds(1);
    config_.spill.drain_bytes = 2'000;
    config_.spill.keys_max = 4;
    config_.spill.bytes_max = 32'000;  // also full now and then; groups cross into new segments
    config_.answer_within = milliseconds(20);
    for (const char* name : {"a", "b", "c", "d", "e"}) {
      senders_.push_back({.name = name});
    }
    senders_[1].wide = true;
    senders_.push_back({.name = "agent", .role = Role::kAgent});
    bus_.set_mode(FakeBus::Mode::kHold);
    bus_.set_judge(
        [](const bus::OutRecord& value) -> Result<void> {
          return is_poison(value) ? fail(ErrorCode::kTooLarge, "over the topic's limit") : Result<void>{};
        },
        false);
  }

  void run(int steps) {
    start();
    for (int i = 0; i < steps; ++i) {
      step();
    }
    heal();
    check();
  }

 private:
  std::uint64_t below(std::uint64_t n) {
    return std::uniform_int_distribution<std::uint64_t>(0, n - 1)(random_);
  }

  void start() {
    registry_ = std::make_unique<telemetry::Registry>();
    health_ = std::make_unique<telemetry::Health>(*registry_);
    buffer_ = std::make_unique<Buffer>(config_, bus_, *registry_, *health_, files_);
    const auto started = buffer_->start();
    ASSERT_TRUE(started.has_value()) << started.error().message();
  }

  void step() {
    switch (below(16)) {
      case 0: away(); break;
      case 1:
      case 2: bus_.set_mode(FakeBus::Mode::kHold); break;
      case 3: files_.fail_call(files_.calls() + 1 + below(4), ErrorCode::kIo); break;
      case 4:
        if (below(6) == 0) {
          kill();
        }
        break;
      case 5: pause(); break;
      case 6:
      case 7:
      case 8:
      case 9: bus_.answer_partition(static_cast<std::int32_t>(below(4)), 1 + below(3), {}, true); break;
      default: send(senders_[below(senders_.size())]); break;
    }
  }

  // Broker gone: nothing in flight is acknowledged, though it may have been stored.
  void away() {
    bus_.set_mode(FakeBus::Mode::kRefuse);
    for (std::int32_t partition = 0; partition < 4; ++partition) {
      const Result<void> lost = fail(ErrorCode::kTimeout, "lost the broker");
      bus_.answer_partition(partition, below(3), lost, true);
      bus_.answer_partition(partition, 1'000, lost, false);
    }
  }

  // Until limits have gone by, or something was answered.
  void pause() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, milliseconds(1 + below(3)));
  }

  void kill() {
    files_.die_at(files_.calls() + 1 + below(6));
    for (int i = 0; i < 3; ++i) {
      send(senders_[below(senders_.size())]);
    }
    files_.die_at(files_.calls() + 1);
    away();
    buffer_.reset();
    for (const Sender& sender : senders_) {
      EXPECT_FALSE(sender.waiting) << "a request was never answered";
    }
    files_.power_cut(below(1'000));
    ++power_cuts_;
    bus_.set_mode(FakeBus::Mode::kHold);
    start();
    expect_balanced();
  }

  void send(Sender& sender) {
    {
      const std::scoped_lock lock(mutex_);
      if (sender.waiting) {
        return;
      }
      sender.waiting = true;
    }
    auto answered = std::make_shared<std::atomic<int>>(0);
    buffer_->submit({otlp::Signal::kLogs, sender.role, static_cast<UnixMillis>(sender.next + 1),
                     kRecordsPerRequest, request_of(sender)},
                    [this, &sender, answered](Result<void> outcome) {
                      EXPECT_EQ(answered->fetch_add(1), 0) << "answered twice";
                      const std::scoped_lock lock(mutex_);
                      if (outcome) {
                        sender.accepted = ++sender.next;
                      }
                      sender.waiting = false;
                      changed_.notify_all();
                    });
  }

  template <class Done>
  void wait(Done done) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60), done));
  }

  void heal() {
    bus_.set_mode(FakeBus::Mode::kAcknowledge);
    for (std::int32_t partition = 0; partition < 4; ++partition) {
      bus_.answer_partition(partition, 1'000, {}, true);
    }
    wait([&] { return std::ranges::none_of(senders_, &Sender::waiting); });
    while (buffer_->progress().spilled_requests > 0) {
      std::this_thread::yield();
    }
  }

  void check() {
    Reader reader;
    for (const bus::OutRecord& value : bus_.stored()) {
      reader.read(value);
    }
    for (const Sender& sender : senders_) {
      for (std::uint64_t number = 0; number < sender.accepted; ++number) {
        for (std::uint64_t i = 0; i < kRecordsPerRequest; ++i) {
          EXPECT_TRUE(
              reader.seen.contains(sender.name + "/" + std::to_string(number) + "/" + std::to_string(i)))
              << sender.name << " " << number;
        }
      }
    }
    for (const auto& [key, numbers] : reader.order) {
      EXPECT_TRUE(std::ranges::is_sorted(numbers)) << key << ": " << testing::PrintToString(numbers);
    }
    expect_balanced();
    const telemetry::StageLedger ledger(*registry_, "collector", "logs", "default");
    EXPECT_EQ(ledger.in_flight.value(), 0);
    // A power cut may leave the second of two entries that nobody was answered for.
    EXPECT_TRUE(ledger.lost.value() == 0 || power_cuts_ > 0) << ledger.lost.value();
    EXPECT_LE(ledger.delivered.value() + ledger.deadlettered.value(), reader.copies);
    buffer_.reset();
  }

  void expect_balanced() {
    const telemetry::StageLedger ledger(*registry_, "collector", "logs", "default");
    // Requests that are finished just now change several counts one after the other.
    for (int i = 0; i < 1'000; ++i) {
      if (ledger.accepted.value() == ledger.delivered.value() + ledger.deadlettered.value() +
                                         ledger.lost.value() +
                                         static_cast<std::uint64_t>(ledger.in_flight.value())) {
        return;
      }
      std::this_thread::yield();
    }
    ADD_FAILURE() << "accepted " << ledger.accepted.value() << ", delivered " << ledger.delivered.value()
                  << ", dead letters " << ledger.deadlettered.value() << ", lost " << ledger.lost.value()
                  << ", in flight " << ledger.in_flight.value();
  }

  std::mt19937_64 random_;
  CollectorConfig config_;
  spool::MemoryFileSystem files_;
  FakeBus bus_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Sender> senders_;
  int power_cuts_ = 0;
  std::unique_ptr<telemetry::Registry> registry_;
  std::unique_ptr<telemetry::Health> health_;
  std::unique_ptr<Buffer> buffer_;
};

// A bus that answers late, out of order, not at all, or with a failure although it has the record; a disk
// that fails; and a process that is killed: what was answered with success is on the bus in the end, in order
// by key, with its identity and receive time, and the ledger balances.
TEST(Buffer, KeepsEveryAcceptedRequestWhateverHappens) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Trial(seed).run(200);
    if (testing::Test::HasFailure()) {
      return;
    }
  }
}

}  // namespace
}  // namespace naru::collector
