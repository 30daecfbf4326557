#include "core/bus/local/local_bus.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <set>
#include <thread>

#include "core/spool/segment_format.h"
#include "tests/unit/core/spool/memory_file_system.h"
#include "tests/unit/temp_dir.h"

namespace naru::bus {
namespace {

using namespace std::chrono_literals;
using spool::MemoryFileSystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr UnixMillis kTime = 1'700'000'000'000;

LocalBusConfig quick() {
  LocalBusConfig config;
  config.directory = "bus";
  config.fsync_interval = 0us;
  config.segment_bytes = 4096;
  config.compacted_segment_bytes = 4096;
  config.housekeeping_interval = 0ms;
  config.partition_bytes_max = 0;
  return config;
}

std::unique_ptr<LocalBus> open_or_die(spool::FileSystem& files, const LocalBusConfig& config = quick()) {
  auto bus = open_local_bus(config, files);
  if (!bus) {
    ADD_FAILURE() << bus.error().message();
    std::abort();
  }
  return std::move(*bus);
}

void create(Bus& bus, const std::string& topic, std::int32_t partitions, bool compacted = false) {
  const TopicConfig config{.name = topic, .partitions = partitions, .compacted = compacted, .settings = {}};
  ASSERT_TRUE(bus.ensure_topics(std::span(&config, 1)));
}

OutRecord make_record(const std::string& topic, const std::string& key, const std::string& value) {
  OutRecord record;
  record.topic = topic;
  record.key = key;
  record.value = value;
  record.timestamp_ms = kTime;
  return record;
}

Result<Position> send(Producer& producer, OutRecord record) {
  std::promise<Result<Position>> answer;
  auto future = answer.get_future();
  auto taken =
      producer.send(record, [&](Result<Position> position) { answer.set_value(std::move(position)); });
  return taken ? future.get() : Result<Position>(fail(taken.error()));
}

// Records what it was told, and lets a test choose the start.
class Listener final : public RebalanceListener {
 public:
  void on_assigned(std::span<Assignment> partitions) override {
    for (auto& assignment : partitions) {
      if (start) {
        assignment.start = *start;
      }
      assigned.push_back(assignment);
      owned.insert(assignment.partition);
    }
  }
  void on_revoked(std::span<const TopicPartition> partitions, bool were_lost) override {
    if (on_revoke) {
      on_revoke();
    }
    for (const auto& partition : partitions) {
      owned.erase(partition);
    }
    lost = lost || were_lost;
  }

  std::optional<std::int64_t> start;
  std::function<void()> on_revoke;
  std::vector<Assignment> assigned;
  std::set<TopicPartition> owned;
  bool lost = false;
};

std::unique_ptr<Consumer> consume(Bus& bus, Listener& listener, const std::string& group,
                                  std::vector<std::string> topics = {"t"}) {
  auto consumer = bus.consumer({.group = group, .topics = std::move(topics)}, listener);
  EXPECT_TRUE(consumer);
  return std::move(*consumer);
}

// Everything that is there now.
std::vector<InRecord> drain(Consumer& consumer, std::size_t records_max = 100) {
  std::vector<InRecord> out;
  for (std::size_t before = 1; before != out.size();) {
    before = out.size();
    const auto polled = consumer.poll(out, records_max, 0ms);
    EXPECT_TRUE(polled) << polled.error().message();
  }
  return out;
}

std::vector<std::string> values(const std::vector<InRecord>& records) {
  std::vector<std::string> out;
  for (const auto& record : records) {
    out.emplace_back(record.value);
  }
  return out;
}

TEST(LocalBus, CarriesEveryPartOfARecord) {
  MemoryFileSystem files;
  auto bus = open_or_die(files);
  create(*bus, "t", 2);
  auto producer = *bus->producer();
  OutRecord record = make_record("t", "key", "value");
  record.headers = {{"naru.resent", "1"}, {"binary", std::string("\0\xff", 2)}};
  record.partition = 1;
  const auto position = send(*producer, record);
  ASSERT_TRUE(position);
  EXPECT_EQ(position->partition, 1);
  EXPECT_EQ(position->offset, 0);

  Listener listener;
  auto consumer = consume(*bus, listener, "");
  auto records = drain(*consumer);
  consumer.reset();
  producer.reset();
  bus.reset();  // the views outlive everything
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(records[0].topic, "t");
  EXPECT_EQ(records[0].partition, 1);
  EXPECT_EQ(records[0].offset, 0);
  EXPECT_EQ(records[0].timestamp_ms, kTime);
  EXPECT_EQ(records[0].key, "key");
  EXPECT_EQ(records[0].value, "value");
  EXPECT_FALSE(records[0].tombstone);
  ASSERT_NE(records[0].headers, nullptr);
  ASSERT_THAT(*records[0].headers, SizeIs(2));
  EXPECT_EQ((*records[0].headers)[1].value, std::string("\0\xff", 2));
}

TEST(LocalBus, KeepsTheOrderOfAKeyInThePartitionThatKafkaClientsChoose) {
  // 32-bit FNV-1a of "foobar" is 0xbf9cf968: negative as a signed number, so its absolute value counts.
  EXPECT_EQ(partition_of_key("foobar", 1 << 30),
            static_cast<std::int32_t>((0x100000000ull - 0xbf9cf968) % (1 << 30)));
  EXPECT_EQ(partition_of_key("a", 7), static_cast<std::int32_t>((0x100000000ull - 0xe40c292c) % 7));
  MemoryFileSystem files;
  auto bus = open_or_die(files);
  create(*bus, "t", 4);
  auto producer = *bus->producer();
  std::set<std::int32_t> used;
  for (int i = 0; i < 40; ++i) {
    const std::string key = fmt::format("key {}", i % 10);
    const auto position = send(*producer, make_record("t", key, std::to_string(i)));
    ASSERT_TRUE(position);
    EXPECT_EQ(position->partition, partition_of_key(key, 4));
    used.insert(position->partition);
  }
  EXPECT_THAT(used, SizeIs(4));
}

TEST(LocalBus, SpreadsRecordsWithoutAKey) {
  MemoryFileSystem files;
  auto bus = open_or_die(files);
  create(*bus, "t", 4);
  auto producer = *bus->producer();
  std::set<std::int32_t> used;
  for (int i = 0; i < 4; ++i) {
    used.insert(send(*producer, make_record("t", "", "v"))->partition);
  }
  EXPECT_THAT(used, SizeIs(4));
}

TEST(LocalBus, RefusesWhatItCannotTakeAndLeavesTheRecordAlone) {
  MemoryFileSystem files;
  LocalBusConfig config = quick();
  config.record_bytes_max = 100;
  auto bus = open_or_die(files, config);
  create(*bus, "t", 1);
  create(*bus, "c", 1, true);
  auto producer = *bus->producer();
  const auto refuse = [&](OutRecord record) {
    const std::string value = record.value;
    const auto result =
        producer->send(record, [](Result<Position>) { ADD_FAILURE() << "must not be called"; });
    EXPECT_FALSE(result);
    EXPECT_EQ(record.value, value);
    return result ? ErrorCode::kInternal : result.error().code();
  };
  EXPECT_EQ(refuse(make_record("unknown", "k", "v")), ErrorCode::kNotFound);
  EXPECT_EQ(refuse(make_record("t", "k", std::string(100, 'v'))), ErrorCode::kTooLarge);
  EXPECT_EQ(refuse(make_record("t", "k", std::string(90, 'v'))), ErrorCode::kTooLarge)
      << "with its 16 byte head";
  EXPECT_EQ(refuse(make_record("c", "", "v")), ErrorCode::kInvalidArgument);
  OutRecord record = make_record("t", "k", "v");
  record.partition = 1;
  EXPECT_EQ(refuse(record), ErrorCode::kInvalidArgument);
  record = make_record("c", "k", "v");
  record.tombstone = true;
  EXPECT_EQ(refuse(record), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(producer->flush(0ms)) << "nothing refused is waited for";
  bus.reset();
  EXPECT_EQ(refuse(make_record("t", "k", "v")), ErrorCode::kCancelled);
}

TEST(LocalBus, AnswersAFullDiskWithoutLosingWhatWasAcknowledged) {
  MemoryFileSystem files;
  auto bus = open_or_die(files);
  create(*bus, "t", 1);
  auto producer = *bus->producer();
  ASSERT_TRUE(send(*producer, make_record("t", "k", "before")));
  files.set_space(0);
  const auto refused = send(*producer, make_record("t", "k", std::string(500, 'x')));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kNoSpace);
  ASSERT_TRUE(bus->failure());
  files.set_space(1u << 20);
  Result<Position> after = fail(ErrorCode::kNoSpace, "");
  while (!after) {  // refused at once until the disk is probed again
    after = send(*producer, make_record("t", "k", "after"));
  }
  EXPECT_EQ(after->offset, 1);
  EXPECT_FALSE(bus->failure());
  Listener listener;
  EXPECT_THAT(values(drain(*consume(*bus, listener, ""))), ElementsAre("before", "after"));
}

TEST(LocalBus, DescribesTopicsAndNeverChangesOneThatExists) {
  MemoryFileSystem files;
  auto bus = open_or_die(files);
  create(*bus, "t", 3);
  create(*bus, "t", 5);
  const std::vector<std::string> names{"t", "unknown"};
  const auto states = bus->describe(names);
  ASSERT_TRUE(states);
  EXPECT_EQ((*states)[0].partitions, 3);
  EXPECT_TRUE((*states)[0].exists);
  EXPECT_FALSE((*states)[1].exists);
  auto producer = *bus->producer();
  EXPECT_EQ(producer->partition_count("t"), 3);
  EXPECT_EQ(producer->partition_count("unknown").error().code(), ErrorCode::kNotFound);
  for (const std::string bad : {"", "..", "a/b", "a b"}) {
    const TopicConfig config{.name = bad, .settings = {}};
    EXPECT_EQ(bus->ensure_topics(std::span(&config, 1)).error().code(), ErrorCode::kInvalidArgument);
  }
}

TEST(LocalBus, KeepsItsClusterIdAndTopicsAcrossARestart) {
  MemoryFileSystem files;
  auto bus = open_or_die(files);
  create(*bus, "t", 3);
  const auto id = bus->cluster_id();
  ASSERT_TRUE(id);
  EXPECT_THAT(*id, SizeIs(22));
  auto second = open_local_bus(quick(), files);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::kConflict);
  bus.reset();
  files.power_cut();
  bus = open_or_die(files);
  EXPECT_EQ(*bus->cluster_id(), *id);
  EXPECT_EQ((*bus->producer())->partition_count("t"), 3);
}

TEST(LocalBusConsumer, WithoutAGroupReadsEverythingFromTheOldest) {
  MemoryFileSystem files;
  auto bus = open_or_die(files);
  create(*bus, "t", 2);
  create(*bus, "u", 1);
  auto producer = *bus->producer();
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(send(*producer, make_record(i % 3 == 0 ? "u" : "t", std::to_string(i), std::to_string(i))));
  }
  Listener one;
  Listener two;
  auto first = consume(*bus, one, "", {"t", "u"});
  auto second = consume(*bus, two, "", {"t", "u"});
  EXPECT_THAT(drain(*first), SizeIs(10));
  EXPECT_THAT(drain(*second, 1), SizeIs(10));
  EXPECT_THAT(one.owned, SizeIs(3));
  const Commit commit{.partition = {"t", 0}, .offset = 1, .metadata = ""};
  EXPECT_EQ(first->commit(std::span(&commit, 1)).error().code(), ErrorCode::kInvalidArgument);
}

TEST(LocalBusConsumer, GoesOnWhereItsGroupCommitted) {
  MemoryFileSystem files;
  auto bus = open_or_die(files);
  create(*bus, "t", 1);
  auto producer = *bus->producer();
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(send(*producer, make_record("t", "k", std::to_string(i))));
  }
  {
    Listener listener;
    auto consumer = consume(*bus, listener, "g");
    EXPECT_THAT(drain(*consumer), SizeIs(10));
    EXPECT_EQ(listener.assigned.at(0).committed, std::nullopt);
    const Commit commit{.partition = {"t", 0}, .offset = 4, .metadata = "v1|some metadata"};
    ASSERT_TRUE(consumer->commit(std::span(&commit, 1)));
  }
  producer.reset();
  bus.reset();
  files.power_cut();
  bus = open_or_die(files);
  Listener listener;
  auto consumer = consume(*bus, listener, "g");
  EXPECT_THAT(values(drain(*consumer)), ElementsAre("4", "5", "6", "7", "8", "9"));
  ASSERT_THAT(listener.assigned, SizeIs(1));
  EXPECT_EQ(listener.assigned[0].committed, 4);
  EXPECT_EQ(listener.assigned[0].metadata, "v1|some metadata");
  EXPECT_EQ(listener.assigned[0].low, 0);
  EXPECT_EQ(listener.assigned[0].high, 10);
  Listener other;
  EXPECT_THAT(drain(*consume(*bus, other, "another")), SizeIs(10));
}

TEST(LocalBusConsumer, LetsItsListenerChooseTheStart) {
  MemoryFileSystem files;
  auto bus = open_or_die(files);
  create(*bus, "t", 1);
  auto producer = *bus->producer();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(send(*producer, make_record("t", "k", std::to_string(i))));
  }
  Listener listener;
  listener.start = 3;
  EXPECT_THAT(values(drain(*consume(*bus, listener, "g"))), ElementsAre("3", "4"));
  listener.start = 6;
  auto held = consume(*bus, listener, "g");
  std::vector<InRecord> out;
  const auto polled = held->poll(out, 10, 0ms);
  ASSERT_FALSE(polled);
  EXPECT_EQ(polled.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(held->poll(out, 10, 0ms));
  EXPECT_THAT(out, IsEmpty());
}

TEST(LocalBusConsumer, RefusesImpossibleCommitsAndStoresTheOthers) {
  MemoryFileSystem files;
  auto bus = open_or_die(files);
  create(*bus, "t", 2);
  auto producer = *bus->producer();
  OutRecord record = make_record("t", "", "v");
  record.partition = 1;
  ASSERT_TRUE(send(*producer, record));
  {
    Listener listener;
    auto consumer = consume(*bus, listener, "g");
    EXPECT_THAT(drain(*consumer), SizeIs(1));
    const std::vector<Commit> commits{
        {{"t", 0}, 1, ""}, {{"t", 7}, 0, ""}, {{"t", 1}, 1, std::string(4097, 'm')}, {{"t", 1}, 1, "kept"}};
    EXPECT_EQ(consumer->commit(commits).error().code(), ErrorCode::kInvalidArgument);
  }
  Listener listener;
  auto consumer = consume(*bus, listener, "g");
  EXPECT_THAT(drain(*consumer), IsEmpty());
  EXPECT_EQ(listener.assigned.at(1).metadata, "kept");
  EXPECT_EQ(listener.assigned.at(0).committed, std::nullopt);
}

TEST(LocalBusConsumer, PausesAndResumesAPartitionWhileOthersGoOn) {
  MemoryFileSystem files;
  auto bus = open_or_die(files);
  create(*bus, "t", 2);
  auto producer = *bus->producer();
  const auto send_to = [&](std::int32_t partition, const std::string& value) {
    OutRecord record = make_record("t", "", value);
    record.partition = partition;
    ASSERT_TRUE(send(*producer, record));
  };
  send_to(0, "a");
  Listener listener;
  auto consumer = consume(*bus, listener, "g");
  EXPECT_THAT(values(drain(*consumer)), ElementsAre("a"));
  const TopicPartition zero{"t", 0};
  ASSERT_TRUE(consumer->pause(std::span(&zero, 1)));
  send_to(0, "b");
  send_to(1, "c");
  EXPECT_THAT(values(drain(*consumer)), ElementsAre("c"));
  const auto progress = consumer->progress();
  ASSERT_THAT(progress, SizeIs(2));
  EXPECT_EQ(progress[0].position, 1);
  EXPECT_EQ(progress[0].high, 2);
  EXPECT_EQ(progress[1].position, 1);
  ASSERT_TRUE(consumer->resume(std::span(&zero, 1)));
  EXPECT_THAT(values(drain(*consumer)), ElementsAre("b"));
  const TopicPartition unknown{"t", 9};
  EXPECT_EQ(consumer->pause(std::span(&unknown, 1)).error().code(), ErrorCode::kConflict);
}

TEST(LocalBusConsumer, ReportsThePositionOfTheNextRecordThatItReturns) {
  MemoryFileSystem files;
  auto bus = open_or_die(files);
  create(*bus, "t", 1);
  auto producer = *bus->producer();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(send(*producer, make_record("t", "k", "v")));
  }
  Listener listener;
  auto consumer = consume(*bus, listener, "g");
  std::vector<InRecord> out;
  ASSERT_TRUE(consumer->poll(out, 2, 0ms));
  EXPECT_THAT(out, SizeIs(2));
  EXPECT_EQ(consumer->progress().at(0).position, 2);
  EXPECT_EQ(consumer->progress().at(0).high, 5);
}

TEST(LocalBusConsumer, WakesUpForANewRecordAndForANewTopic) {
  MemoryFileSystem files;
  auto bus = open_or_die(files);
  Listener listener;
  auto consumer = consume(*bus, listener, "g");
  std::thread later([&] {
    create(*bus, "t", 1);
    auto producer = *bus->producer();
    ASSERT_TRUE(send(*producer, make_record("t", "k", "news")));
  });
  std::vector<InRecord> out;
  while (out.empty()) {
    ASSERT_TRUE(consumer->poll(out, 10, 30s));
  }
  later.join();
  EXPECT_THAT(values(out), ElementsAre("news"));
}

TEST(LocalBusConsumer, ReadsOtherPartitionsOnWhileOneCannotBeRead) {
  MemoryFileSystem files;
  auto bus = open_or_die(files);
  create(*bus, "t", 2);
  auto producer = *bus->producer();
  for (int i = 0; i < 40; ++i) {
    OutRecord record = make_record("t", "", std::string(500, 'v'));
    record.partition = i % 2;
    ASSERT_TRUE(send(*producer, record));
  }
  const std::string gone = "bus/topics/t/0/" + spool::segment_name(0);
  ASSERT_TRUE(files.rename(gone, "elsewhere"));
  Listener listener;
  auto consumer = consume(*bus, listener, "g");
  std::vector<InRecord> out;
  int errors = 0;
  for (int i = 0; i < 20; ++i) {
    const std::size_t before = out.size();
    if (!consumer->poll(out, 10, 0ms)) {
      ++errors;
      EXPECT_EQ(out.size(), before) << "no record beside an error";
    }
  }
  EXPECT_GT(errors, 0);
  EXPECT_THAT(out, SizeIs(20));
  ASSERT_TRUE(files.rename("elsewhere", gone));
  while (out.size() < 40) {
    std::ignore = consumer->poll(out, 10, 0ms);
  }
  EXPECT_EQ(consumer->progress().at(0).position, 20);
}

// Each record is sent only after the one before has arrived. Without the wake-up every round would last until
// the waiting consumer looks again by itself, after a second.
TEST(LocalBusConsumer, DoesNotSleepOverARecord) {
  constexpr int kRounds = 20;
  MemoryFileSystem files;
  auto bus = open_or_die(files);
  create(*bus, "t", 1);
  std::atomic<int> received = 0;
  std::thread sender([&] {
    auto producer = *bus->producer();
    for (int i = 0; i < kRounds; ++i) {
      while (received < i) {
        received.wait(i - 1);
      }
      ASSERT_TRUE(send(*producer, make_record("t", "k", std::to_string(i))));
    }
  });
  Listener listener;
  auto consumer = consume(*bus, listener, "g");
  const auto start = std::chrono::steady_clock::now();
  std::vector<InRecord> out;
  while (out.size() < kRounds) {
    const std::size_t before = out.size();
    ASSERT_TRUE(consumer->poll(out, 10, 30s));
    EXPECT_GT(out.size(), before);
    received = static_cast<int>(out.size());
    received.notify_all();
  }
  sender.join();
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
}

TEST(LocalBusGroup, TakesPartitionsFromAConsumerThatStoppedPolling) {
  MemoryFileSystem files;
  LocalBusConfig config = quick();
  config.poll_interval_max = 1ms;
  auto bus = open_or_die(files, config);
  create(*bus, "t", 2);
  Listener stuck_listener;
  auto stuck = consume(*bus, stuck_listener, "g");
  drain(*stuck);
  ASSERT_THAT(stuck_listener.owned, SizeIs(2));
  Listener other_listener;
  auto other = consume(*bus, other_listener, "g");
  std::vector<InRecord> out;
  while (other_listener.owned.size() < 2) {
    ASSERT_TRUE(other->poll(out, 1, 1ms));
  }
  const Commit late{{"t", 0}, 0, "late"};
  EXPECT_EQ(stuck->commit(std::span(&late, 1)).error().code(), ErrorCode::kConflict);
  ASSERT_TRUE(stuck->poll(out, 1, 0ms));
  EXPECT_TRUE(stuck_listener.lost);
}

TEST(LocalBusGroup, SharesPartitionsAndHandsThemOverInsidePoll) {
  MemoryFileSystem files;
  auto bus = open_or_die(files);
  create(*bus, "t", 4);
  auto producer = *bus->producer();
  Listener one;
  Listener two;
  auto first = consume(*bus, one, "g");
  drain(*first);
  EXPECT_THAT(one.owned, SizeIs(4));
  auto second = consume(*bus, two, "g");
  drain(*second);
  EXPECT_THAT(two.owned, IsEmpty()) << "the first has not let go yet";
  std::int64_t committed_in_revoke = -1;
  ASSERT_TRUE(send(*producer, make_record("t", "k", "v")));
  one.on_revoke = [&] {
    // The last moment to commit, as in Kafka.
    std::vector<Commit> commits;
    for (const auto& at : first->progress()) {
      commits.push_back({at.partition, 0, "handed over"});
    }
    committed_in_revoke = first->commit(commits) ? 0 : -2;
  };
  drain(*first);
  EXPECT_EQ(committed_in_revoke, 0);
  drain(*second);
  EXPECT_THAT(one.owned, SizeIs(2));
  EXPECT_THAT(two.owned, SizeIs(2));
  EXPECT_EQ(two.assigned.at(0).metadata, "handed over");
  const Commit foreign{*two.owned.begin(), 0, ""};
  EXPECT_EQ(first->commit(std::span(&foreign, 1)).error().code(), ErrorCode::kConflict);
  one.on_revoke = nullptr;
  first->close();
  EXPECT_THAT(one.owned, IsEmpty());
  drain(*second);
  EXPECT_THAT(two.owned, SizeIs(4));
  EXPECT_EQ(first->poll(*std::make_unique<std::vector<InRecord>>(), 1, 0ms).error().code(),
            ErrorCode::kCancelled);
}

// Producers, and consumers that come and go and commit, all at once: each record is finished exactly once or
// again after a hand-over, never skipped.
TEST(LocalBusGroup, SkipsNoRecordWhileConsumersComeAndGo) {
  constexpr int kProducers = 2;
  constexpr int kRecords = 400;
  MemoryFileSystem files;
  auto bus = open_or_die(files);
  create(*bus, "t", 4);
  std::mutex mutex;
  std::set<std::string> seen;
  std::atomic<bool> done = false;
  std::vector<std::thread> threads;
  for (int p = 0; p < kProducers; ++p) {
    threads.emplace_back([&, p] {
      auto producer = *bus->producer();
      for (int i = 0; i < kRecords; ++i) {
        OutRecord record =
            make_record("t", std::to_string(i), fmt::format("{}:{}:{}", p, i, std::string(50, 'v')));
        ASSERT_TRUE(producer->send(record, [](Result<Position> position) { EXPECT_TRUE(position); }));
      }
      EXPECT_TRUE(producer->flush(30s));
    });
  }
  for (int c = 0; c < 3; ++c) {
    threads.emplace_back([&, c] {
      while (!done) {
        Listener listener;
        auto consumer = consume(*bus, listener, "g");
        for (int poll = 0; poll < 5 + 10 * c && !done; ++poll) {
          std::vector<InRecord> out;
          ASSERT_TRUE(consumer->poll(out, 20, 1ms));
          const std::lock_guard lock(mutex);
          for (const auto& record : out) {
            seen.emplace(record.value);
            const Commit commit{{std::string(record.topic), record.partition}, record.offset + 1, ""};
            ASSERT_TRUE(consumer->commit(std::span(&commit, 1)));
          }
          done = seen.size() == kProducers * kRecords;
        }
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  EXPECT_THAT(seen, SizeIs(kProducers * kRecords));
}

TEST(LocalBusRetention, KeepsWhatAKnownGroupHasNotFinished) {
  MemoryFileSystem files;
  LocalBusConfig config = quick();
  config.retention_bytes = 1;
  auto bus = open_or_die(files, config);
  create(*bus, "t", 1);
  auto producer = *bus->producer();
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(send(*producer, make_record("t", "k", std::string(500, 'v'))));
  }
  Listener listener;
  auto consumer = consume(*bus, listener, "g");
  bus->housekeep(1);
  EXPECT_THAT(drain(*consumer), SizeIs(50)) << "subscribed, nothing committed";
  const Commit commit{{"t", 0}, 30, ""};
  ASSERT_TRUE(consumer->commit(std::span(&commit, 1)));
  consumer->close();
  bus->housekeep(1);
  Listener again;
  auto rest = consume(*bus, again, "g");
  EXPECT_THAT(drain(*rest), SizeIs(20));
  EXPECT_GT(again.assigned.at(0).low, 10);
  EXPECT_LE(again.assigned.at(0).low, 30);
}

TEST(LocalBusRetention, CountsWhatADeclaredLimitDeletesUnread) {
  MemoryFileSystem files;
  telemetry::Registry metrics;
  LocalBusConfig config = quick();
  config.partition_bytes_max = 10'000;
  config.drop_unfinished_at_limit = true;
  config.metrics = &metrics;
  auto bus = open_or_die(files, config);
  create(*bus, "t", 1);
  Listener listener;
  auto consumer = consume(*bus, listener, "g");
  EXPECT_THAT(drain(*consumer), IsEmpty());
  auto producer = *bus->producer();
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(send(*producer, make_record("t", "k", std::string(500, 'v'))));
  }
  bus->housekeep(1);
  const auto rest = drain(*consumer);
  EXPECT_LT(rest.size(), 25u);
  EXPECT_GT(rest.size(), 5u);
  const std::uint64_t lost = metrics.counter("naru_bus_lost_records_total", "", {{"topic", "t"}}).value();
  EXPECT_EQ(lost + rest.size(), 50u);
}

TEST(LocalBusRetention, RefusesRecordsAtTheLimitOtherwise) {
  MemoryFileSystem files;
  LocalBusConfig config = quick();
  config.partition_bytes_max = 10'000;
  auto bus = open_or_die(files, config);
  create(*bus, "t", 1);
  auto producer = *bus->producer();
  Result<Position> last = Position{};
  int sent = -1;
  for (; last; ++sent) {
    last = send(*producer, make_record("t", "k", std::string(500, 'v')));
  }
  EXPECT_EQ(last.error().code(), ErrorCode::kOverloaded);
  Listener listener;
  EXPECT_THAT(drain(*consume(*bus, listener, "")), SizeIs(sent));
}

TEST(LocalBusRetention, LosesNoCommitWhenTheLogOfCommitsIsShortened) {
  MemoryFileSystem files;
  auto bus = open_or_die(files);
  create(*bus, "t", 2);
  auto producer = *bus->producer();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(send(*producer, make_record("t", "", "v")));
  }
  {
    Listener listener;
    auto consumer = consume(*bus, listener, "g");
    EXPECT_THAT(drain(*consumer), SizeIs(2));
    const Commit once{{"t", 1}, 1, "once"};
    ASSERT_TRUE(consumer->commit(std::span(&once, 1)));
    for (int i = 0; i < 600; ++i) {
      const Commit commit{{"t", 0}, 1, std::string(2000, 'm') + std::to_string(i)};
      ASSERT_TRUE(consumer->commit(std::span(&commit, 1)));
    }
  }
  const auto bytes = [&] {
    std::size_t total = 0;
    for (const auto& path : files.paths()) {
      total += path.starts_with("bus/groups/") ? files.contents(path).size() : 0;
    }
    return total;
  };
  EXPECT_GT(bytes(), 1'000'000u);
  bus->housekeep(1);
  EXPECT_LT(bytes(), 10'000u);
  producer.reset();
  bus.reset();
  files.power_cut();
  bus = open_or_die(files);
  Listener listener;
  drain(*consume(*bus, listener, "g"));
  EXPECT_EQ(listener.assigned.at(0).metadata, std::string(2000, 'm') + "599");
  EXPECT_EQ(listener.assigned.at(1).metadata, "once");
}

TEST(LocalBusCompaction, KeepsTheLastValueOfEachKey) {
  MemoryFileSystem files;
  LocalBusConfig config = quick();
  config.tombstone_age = 1s;
  auto bus = open_or_die(files, config);
  create(*bus, "c", 1, true);
  auto producer = *bus->producer();
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(send(*producer, make_record("c", fmt::format("key {}", i % 7), std::to_string(i))));
  }
  OutRecord tombstone = make_record("c", "key 3", "");
  tombstone.tombstone = true;
  ASSERT_TRUE(send(*producer, tombstone));
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(send(*producer, make_record("c", "other", std::string(100, 'o') + std::to_string(i))));
  }
  const auto state = [&] {
    Listener listener;
    std::map<std::string, std::string> latest;
    const auto records = drain(*consume(*bus, listener, "", {"c"}));
    for (const auto& record : records) {
      latest[std::string(record.key)] = record.tombstone ? "deleted" : std::string(record.value);
    }
    return std::pair(latest, records.size());
  };
  const auto before = state();
  EXPECT_EQ(before.first.at("key 3"), "deleted");
  bus->housekeep(1);
  auto after = state();
  EXPECT_EQ(after.first, before.first) << "a young tombstone stays";
  EXPECT_LT(after.second, 80u);
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(send(*producer, make_record("c", "other", std::string(100, 'o') + std::to_string(i))));
  }
  bus->housekeep(wall_now() + 10 * kNanosPerSecond);
  after = state();
  EXPECT_FALSE(after.first.contains("key 3")) << "an old tombstone is forgotten with its key";
  EXPECT_EQ(after.first.at("key 2"), before.first.at("key 2"));
  producer.reset();
  bus.reset();
  files.power_cut();
  bus = open_or_die(files, config);
  EXPECT_EQ(state(), after);
}

TEST(LocalBusRestart, NeverGivesAnOffsetAgainThatAGroupHasFinished) {
  MemoryFileSystem files;
  auto bus = open_or_die(files);
  create(*bus, "t", 1);
  auto producer = *bus->producer();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(send(*producer, make_record("t", "k", std::to_string(i))));
  }
  {
    Listener listener;
    auto consumer = consume(*bus, listener, "g");
    EXPECT_THAT(drain(*consumer), SizeIs(5));
    const Commit commit{{"t", 0}, 5, ""};
    ASSERT_TRUE(consumer->commit(std::span(&commit, 1)));
  }
  producer.reset();
  bus.reset();
  // The disk loses what it had promised to keep.
  const std::string path = "bus/topics/t/0/" + spool::segment_name(0);
  files.overwrite(path, files.contents(path).substr(0, 200));
  bus = open_or_die(files);
  producer = *bus->producer();
  EXPECT_EQ(send(*producer, make_record("t", "k", "new"))->offset, 5);
  Listener listener;
  EXPECT_THAT(values(drain(*consume(*bus, listener, "g"))), ElementsAre("new"));
}

TEST(LocalBusRestart, ReadsOnBehindADamagedRecordAndCountsIt) {
  MemoryFileSystem files;
  auto bus = open_or_die(files);
  create(*bus, "t", 1);
  auto producer = *bus->producer();
  for (const std::string value : {"first", "second", "third"}) {
    ASSERT_TRUE(send(*producer, make_record("t", "k", value)));
  }
  producer.reset();
  bus.reset();
  const std::string path = "bus/topics/t/0/" + spool::segment_name(0);
  std::string bytes = files.contents(path);
  bytes[bytes.find("second")] = 'S';
  files.overwrite(path, bytes);
  telemetry::Registry metrics;
  LocalBusConfig config = quick();
  config.metrics = &metrics;
  bus = open_or_die(files, config);
  Listener listener;
  EXPECT_THAT(values(drain(*consume(*bus, listener, "g"))), ElementsAre("first", "third"));
  EXPECT_EQ(metrics.counter("naru_bus_lost_records_total", "", {{"topic", "t"}}).value(), 1u);
  bus.reset();
}

// The power fails at each call in turn; what was acknowledged or committed before is there afterwards.
TEST(LocalBusRestart, KeepsAcknowledgedRecordsAndCommitsWhenThePowerFails) {
  for (std::uint64_t call = 1; call < 100; call += 3) {
    MemoryFileSystem files;
    std::map<std::int32_t, std::map<std::int64_t, std::string>> acknowledged;
    std::map<std::int32_t, std::int64_t> committed;
    files.die_at(call);
    if (auto bus = open_local_bus(quick(), files)) {
      const TopicConfig topic{.name = "t", .partitions = 2, .settings = {}};
      if ((*bus)->ensure_topics(std::span(&topic, 1))) {
        auto producer = *(*bus)->producer();
        Listener listener;
        auto consumer = consume(**bus, listener, "g");
        for (int i = 0; i < 15; ++i) {
          const std::string value = fmt::format("{}:{}", i, std::string(400, 'v'));
          const auto position = send(*producer, make_record("t", std::to_string(i), value));
          if (!position) {
            break;
          }
          acknowledged[position->partition][position->offset] = value;
          const Commit commit{{"t", position->partition}, position->offset + 1, ""};
          drain(*consumer);
          if (consumer->commit(std::span(&commit, 1))) {
            committed[position->partition] = position->offset + 1;
          }
        }
      }
    }
    files.power_cut(call);
    auto bus = open_or_die(files);
    create(*bus, "t", 2);
    Listener everything;
    auto records = drain(*consume(*bus, everything, ""));
    std::map<std::int32_t, std::map<std::int64_t, std::string>> found;
    for (const auto& record : records) {
      found[record.partition][record.offset] = record.value;
    }
    for (const auto& [partition, entries] : acknowledged) {
      for (const auto& [offset, value] : entries) {
        EXPECT_EQ(found[partition][offset], value) << "call " << call;
      }
    }
    Listener group;
    drain(*consume(*bus, group, "g"));
    for (const auto& assignment : group.assigned) {
      EXPECT_GE(assignment.committed.value_or(0), committed[assignment.partition.partition])
          << "call " << call;
    }
  }
}

TEST(LocalBusRestart, WorksOnARealDisk) {
  const test::TempDir directory;
  LocalBusConfig config = quick();
  config.directory = directory.path();
  config.segment_bytes = 1u << 20;
  config.housekeeping_interval = 10ms;
  for (int round = 0; round < 2; ++round) {
    auto bus = open_or_die(spool::posix_file_system(), config);
    create(*bus, "t", 2);
    auto producer = *bus->producer();
    for (int i = 0; i < 20; ++i) {
      OutRecord record =
          make_record("t", std::to_string(i), std::string(200'000, static_cast<char>('a' + i)));
      ASSERT_TRUE(producer->send(record, [](Result<Position> position) { EXPECT_TRUE(position); }));
    }
    ASSERT_TRUE(producer->flush(30s));
    Listener listener;
    auto consumer = consume(*bus, listener, "g");
    const auto records = drain(*consumer);
    ASSERT_THAT(records, SizeIs(20));
    std::vector<Commit> commits;
    for (const auto& record : records) {
      EXPECT_EQ(record.value,
                std::string(200'000, static_cast<char>('a' + std::stoi(std::string(record.key)))));
      commits.push_back({{"t", record.partition}, record.offset + 1, ""});
    }
    ASSERT_TRUE(consumer->commit(commits));
  }
}

TEST(LocalBus, RefusesWhatItsConfigurationCannotHold) {
  LocalBusConfig config = quick();
  EXPECT_TRUE(validate(config));
  config.directory.clear();
  EXPECT_FALSE(validate(config));
  config = quick();
  config.partition_bytes_max = config.segment_bytes;
  EXPECT_FALSE(validate(config));
  config = quick();
  config.poll_interval_max = 0ms;
  EXPECT_FALSE(validate(config));
}

}  // namespace
}  // namespace naru::bus
