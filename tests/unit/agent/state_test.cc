#include "agent/checkpoint/state.h"

#include <gtest/gtest.h>

#include "core/base/bytes.h"
#include "core/base/hash.h"

namespace naru::agent {
namespace {

FileCheckpoint a_file(SourceKey key) {
  FileCheckpoint file;
  file.key = key;
  file.source.fill(static_cast<unsigned char>(key));
  file.known = {{5, 6}, 8, 100, fingerprint("prefix"), fingerprint("window")};
  file.position = 7;
  file.last_seen = 99;
  file.names_known_at = 98;
  file.path = "/var/log/a.log";
  return file;
}

Range a_range(SourceKey key, std::uint64_t begin, std::uint64_t end, std::uint64_t position,
              std::uint32_t count) {
  return {key, begin, end, position, count, 1234, 1000, fingerprint("head"), fingerprint("tail")};
}

State some_state() {
  State state;
  EXPECT_TRUE(apply_entry(state, encode(a_file(3))));
  JournalCheckpoint journal;
  journal.key = 4;
  journal.position = 10;
  journal.cursor = "s=1;i=2";
  journal.directory = "/j";
  EXPECT_TRUE(apply_entry(state, encode(journal)));
  Batch batch;
  batch.number = 8;
  batch.files = {a_range(3, 100, 150, 7, 5), a_range(3, 150, 160, 12, 1)};
  EXPECT_TRUE(apply_entry(state, encode(batch)));
  Batch of_journal;
  of_journal.number = 9;
  of_journal.journal = {{4, 10, 3, 77, "s=1;i=3", "s=1;i=5"}};
  EXPECT_TRUE(apply_entry(state, encode(of_journal)));
  return state;
}

TEST(State, ABatchMovesItsFileForwardAndIsInFlight) {
  const State state = some_state();
  const FileCheckpoint& file = state.files.at(3);
  EXPECT_EQ(file.known.offset, 160U);
  EXPECT_EQ(file.position, 13U);
  EXPECT_EQ(file.known.window, fingerprint("tail"));
  EXPECT_EQ(file.known.prefix, fingerprint("head"));
  EXPECT_EQ(state.in_flight.at(8).records(), 6U);
  EXPECT_EQ(state.totals.accepted, 9U);
  EXPECT_EQ(state.journals.at(4).cursor, "s=1;i=5");
  EXPECT_EQ(state.journals.at(4).position, 13U);
  EXPECT_EQ(state.next_batch, 10U);
  EXPECT_EQ(state.next_key, 5U);
}

TEST(State, DoneCountsWhatBecameOfTheRecords) {
  State state = some_state();
  ASSERT_TRUE(apply_entry(state, encode_done(8, {.delivered = 2, .rejected = 1, .lost = 2})));
  EXPECT_FALSE(state.in_flight.contains(8));
  EXPECT_EQ(state.totals.delivered, 2U);  // one is not accounted for: the ledger must show it
  EXPECT_EQ(state.totals.rejected, 1U);
  EXPECT_EQ(state.totals.lost, 2U);
}

TEST(State, ASnapshotLeadsToTheSameState) {
  State state = some_state();
  ASSERT_TRUE(apply_entry(state, encode_done(9, {.delivered = 3})));
  state.started = true;
  State again;
  const std::string bytes = snapshot(state);
  EXPECT_EQ(read_log(bytes, again).value(), bytes.size());
  EXPECT_EQ(snapshot(again), bytes);
  EXPECT_EQ(again.files.at(3).path, "/var/log/a.log");
  EXPECT_EQ(again.files.at(3).source, state.files.at(3).source);
  EXPECT_EQ(again.in_flight.at(8).files[1].begin, 150U);
  EXPECT_EQ(again.totals.accepted, 9U);
  EXPECT_TRUE(again.started);
}

TEST(State, ForgetsAFile) {
  State state = some_state();
  ASSERT_TRUE(apply_entry(state, encode_forget(3)));
  EXPECT_TRUE(state.files.empty());
}

// Whatever byte the log ends at: a state of an earlier moment, never an error or a half entry.
TEST(State, EveryTornTailLeavesTheEntriesBeforeIt) {
  const std::string bytes = snapshot(some_state());
  std::size_t last = 0;
  for (std::size_t size = kHeaderSize; size <= bytes.size(); ++size) {
    State state;
    const auto good = read_log(std::string_view(bytes).substr(0, size), state);
    ASSERT_TRUE(good);
    EXPECT_LE(*good, size);
    EXPECT_GE(*good, last);
    last = *good;
    State same;
    EXPECT_EQ(read_log(std::string_view(bytes).substr(0, *good), same).value(), *good);
    EXPECT_EQ(snapshot(same), snapshot(state));
  }
  EXPECT_EQ(last, bytes.size());
}

TEST(State, EveryFlippedByteIsNoticed) {
  const std::string bytes = snapshot(some_state());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string bad = bytes;
    bad[at] = static_cast<char>(bad[at] ^ 0x20);
    State state;
    const auto good = read_log(bad, state);
    if (at < kHeaderSize) {
      EXPECT_FALSE(good) << at;
    } else {
      ASSERT_TRUE(good);
      EXPECT_LE(*good, at) << at;
    }
  }
}

TEST(State, EntriesOfAnotherFormAreRefusedWhole) {
  State state = some_state();
  const std::string before = snapshot(state);
  Batch unknown_file;
  unknown_file.number = 20;
  unknown_file.files = {a_range(3, 160, 170, 13, 1), a_range(77, 0, 1, 0, 1)};
  const std::string good = encode(a_file(9));
  for (const std::string& bad :
       {std::string(), std::string("\x63"), good + "x", good.substr(0, good.size() - 1), encode(unknown_file),
        encode_done(99, {}), encode_done(8, {.delivered = 4, .rejected = 3})}) {
    EXPECT_FALSE(apply_entry(state, bad));
    EXPECT_EQ(snapshot(state), before);
  }
}

TEST(State, AnotherVersionIsNamed) {
  std::string bytes = "NARUAGT";
  bytes.push_back('\0');
  append_le(bytes, std::uint32_t{3});
  append_le(bytes, crc32c(bytes));
  State state;
  const auto read = read_log(bytes, state);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), ErrorCode::kUnsupported);
  EXPECT_NE(read.error().message().find("version 3"), std::string::npos);
}

}  // namespace
}  // namespace naru::agent
