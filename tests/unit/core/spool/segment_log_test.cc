#include "core/spool/segment_log.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "core/base/bytes.h"
#include "core/base/hash.h"
#include "tests/unit/core/spool/memory_file_system.h"
#include "tests/unit/temp_dir.h"

namespace naru::spool {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr UnixNanos kNow = 1'700'000'000 * kNanosPerSecond;
const std::string kFirstSegment = "log/" + segment_name(0);

struct Appended {
  std::uint64_t offset;
  std::string payload;
  bool operator==(const Appended&) const = default;
};
void PrintTo(const Appended& entry, std::ostream* out) {
  *out << entry.offset << ":" << entry.payload.substr(0, 20);
}

std::unique_ptr<SegmentLog> open_or_die(FileSystem& files, SegmentLogConfig config = {}) {
  if (config.directory.empty()) {
    config.directory = "log";
  }
  auto log = SegmentLog::open(files, config, kNow);
  if (!log) {
    ADD_FAILURE() << log.error().message();
    std::abort();
  }
  return std::move(*log);
}

Result<std::uint64_t> append(SegmentLog& log, std::string_view payload, UnixNanos now = kNow) {
  const EntryParts entry{.head = payload.substr(0, payload.size() / 3),
                         .body = payload.substr(payload.size() / 3),
                         .crc = crc32c(payload)};
  return log.append(std::span(&entry, 1), now);
}

Result<std::uint64_t> append_synced(SegmentLog& log, std::string_view payload) {
  auto offset = append(log, payload);
  if (offset) {
    if (auto synced = log.sync(); !synced) {
      return fail(synced.error());
    }
  }
  return offset;
}

struct ReadAll {
  std::vector<Appended> entries;
  std::vector<Damage> damage;
  std::uint64_t bytes_lost = 0;
  std::uint64_t entries_lost = 0;
  std::uint64_t skipped = 0;
};

ReadAll read_all(SegmentLog& log, std::uint64_t from = 0, std::size_t bytes_max = 1000) {
  ReadAll all;
  LogReader reader(log, from);
  for (;;) {
    auto batch = reader.read(bytes_max);
    EXPECT_TRUE(batch) << batch.error().message();
    if (!batch) {
      return all;
    }
    all.skipped += batch->skipped_frames;
    for (const auto& entry : batch->entries) {
      all.entries.push_back({entry.offset, std::string(entry.payload)});
    }
    for (const auto& damage : batch->damage) {
      all.damage.push_back(damage);
      all.bytes_lost += damage.bytes;
      all.entries_lost += damage.entries_lost;
    }
    if (batch->entries.empty()) {
      return all;
    }
  }
}

TEST(SegmentLog, WritesTheBytesOfTheDocumentedExample) {
  SegmentHeader header;
  for (std::size_t i = 0; i < header.log_id.size(); ++i) {
    header.log_id[i] = static_cast<unsigned char>(i * 0x11);
  }
  header.created = kNow;
  const auto segment = encode_segment_header(header);
  MemoryFileSystem files;
  files.overwrite(kFirstSegment, std::string(segment.data(), segment.size()));
  auto log = open_or_die(files);
  ASSERT_EQ(append(*log, "hello", kNow + kNanosPerSecond), 0u);
  ASSERT_EQ(append(*log, "", kNow + 2 * kNanosPerSecond), 1u);
  ASSERT_TRUE(log->sync());
  EXPECT_EQ(to_hex(files.contents(kFirstSegment)),
            "4e41525553454700"
            "0100400000000000"
            "00112233445566778899aabbccddeeff"
            "0000000000000000"
            "00002a36fe9c9717"
            "000000000000000000000000e5eeba97"
            "f54e46ff01000100"
            "050000004cbb719a"
            "000000000000000000cac471fe9c9717"
            "00112233f2ca15e5"
            "68656c6c6f"
            "f54e46ff01000100"
            "0000000000000000"
            "010000000000000000945fadfe9c9717"
            "0011223369f47f36");
}

TEST(SegmentLog, ReturnsEntriesOfAllSizesInOrderAcrossSegments) {
  MemoryFileSystem files;
  auto log = open_or_die(files, {.segment_bytes = 20000});
  std::vector<Appended> expected;
  for (std::size_t size : {0, 1, 39, 40, 999, 1000, 4096, 4097, 19000, 30000, 5, 20001, 7}) {
    const std::string payload(size, static_cast<char>('a' + size % 26));
    ASSERT_EQ(append_synced(*log, payload), expected.size());
    expected.push_back({expected.size(), payload});
  }
  EXPECT_GT(log->stats().segments, 4u);
  for (const std::size_t bytes_max : {1u, 100u, 4096u, 1u << 20}) {
    const auto all = read_all(*log, 0, bytes_max);
    EXPECT_EQ(all.entries, expected);
    EXPECT_THAT(all.damage, IsEmpty());
  }
  for (std::size_t from = 0; from <= expected.size(); ++from) {
    EXPECT_EQ(read_all(*log, from).entries.size(), expected.size() - from);
  }
  log.reset();
  EXPECT_EQ(read_all(*open_or_die(files, {.segment_bytes = 20000})).entries, expected);
}

TEST(SegmentLog, ShowsAnEntryOnlyOnceItIsSynced) {
  MemoryFileSystem files;
  auto log = open_or_die(files);
  ASSERT_TRUE(append(*log, "one"));
  EXPECT_THAT(read_all(*log).entries, IsEmpty());
  ASSERT_TRUE(log->sync());
  EXPECT_THAT(read_all(*log).entries, ElementsAre(Appended{0, "one"}));
}

TEST(SegmentLog, KeepsBytesOfAReadAliveAfterTheLogIsClosed) {
  MemoryFileSystem files;
  ReadBatch batch;
  {
    auto log = open_or_die(files);
    ASSERT_TRUE(append_synced(*log, std::string(600'000, 'x')));
    LogReader reader(*log, 0);
    batch = *reader.read(1u << 20);
  }
  ASSERT_EQ(batch.entries.size(), 1u);
  EXPECT_EQ(batch.entries[0].payload, std::string(600'000, 'x'));
}

TEST(SegmentLog, RefusesADirectoryThatIsInUse) {
  MemoryFileSystem files;
  auto log = open_or_die(files);
  const auto second = SegmentLog::open(files, {.directory = "log"}, kNow);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::kConflict);
  EXPECT_THAT(second.error().message(), ::testing::HasSubstr("in use by another naru"));
}

TEST(SegmentLog, CutsOffATailTornAtAnyByteAndReusesItsOffset) {
  MemoryFileSystem files;
  {
    auto log = open_or_die(files);
    ASSERT_TRUE(append_synced(*log, "first"));
    ASSERT_TRUE(append_synced(*log, std::string(100, 'z')));
  }
  const std::string whole = files.contents(kFirstSegment);
  const std::size_t good = kSegmentHeaderSize + kFrameHeaderSize + 5;
  for (std::size_t size = good; size < whole.size(); ++size) {
    for (const bool zero_filled : {false, true}) {
      std::string torn = whole.substr(0, size);
      if (zero_filled) {
        torn.resize(whole.size());
      }
      files.overwrite(kFirstSegment, torn);
      auto log = open_or_die(files);
      EXPECT_EQ(log->stats().torn_bytes, torn.size() - good);
      EXPECT_EQ(files.contents(kFirstSegment).size(), good);
      ASSERT_EQ(append_synced(*log, "again"), 1u);
      const auto all = read_all(*log);
      EXPECT_THAT(all.entries, ElementsAre(Appended{0, "first"}, Appended{1, "again"}));
      EXPECT_THAT(all.damage, IsEmpty());
    }
  }
}

// Flips each byte of the middle frame of three.
TEST(SegmentLog, LosesOnlyTheFrameThatIsDamagedAndCountsItsBytes) {
  MemoryFileSystem files;
  {
    auto log = open_or_die(files);
    for (const auto payload : {"first", "second", "third"}) {
      ASSERT_TRUE(append_synced(*log, payload));
    }
  }
  const std::string whole = files.contents(kFirstSegment);
  const std::size_t begin = kSegmentHeaderSize + kFrameHeaderSize + 5;
  const std::size_t frame = kFrameHeaderSize + 6;
  for (std::size_t at = begin; at < begin + frame; ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    files.overwrite(kFirstSegment, damaged);
    auto log = open_or_die(files);
    for (const std::size_t bytes_max : {1u, 50u, 1000u}) {
      const auto all = read_all(*log, 0, bytes_max);
      EXPECT_THAT(all.entries, ElementsAre(Appended{0, "first"}, Appended{2, "third"})) << "byte " << at;
      EXPECT_EQ(all.bytes_lost, frame) << "byte " << at;
      EXPECT_EQ(all.entries_lost, 1u) << "byte " << at;
    }
    EXPECT_EQ(files.contents(kFirstSegment), damaged) << "damage in the middle stays where it is";
    EXPECT_EQ(append_synced(*log, "fourth"), 3u);
  }
}

TEST(SegmentLog, ReadsOnWithoutTheSegmentHeader) {
  for (std::size_t at = 0; at < kSegmentHeaderSize; ++at) {
    MemoryFileSystem files;
    {
      auto log = open_or_die(files);
      ASSERT_TRUE(append_synced(*log, "first"));
      ASSERT_TRUE(append_synced(*log, "second"));
    }
    std::string damaged = files.contents(kFirstSegment);
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    files.overwrite(kFirstSegment, damaged);
    for (int round = 0; round < 2; ++round) {
      auto log = open_or_die(files);
      ASSERT_EQ(append_synced(*log, "more"), 2u + round);
      const auto all = read_all(*log);
      EXPECT_EQ(all.entries.size(), 3u + round) << "byte " << at;
      EXPECT_EQ(all.entries_lost, 0u);
      EXPECT_EQ(all.bytes_lost, kSegmentHeaderSize);
    }
  }
}

TEST(SegmentLog, SetsASegmentWithoutHeaderAndEntriesAside) {
  MemoryFileSystem files;
  files.overwrite(kFirstSegment, "rubbish");
  auto log = open_or_die(files);
  EXPECT_EQ(append_synced(*log, "one"), 0u);
  EXPECT_THAT(files.paths(), ElementsAre(kFirstSegment, kFirstSegment + ".bad"));
}

TEST(SegmentLog, RefusesANewerVersionAndAForeignSegment) {
  MemoryFileSystem files;
  {
    auto log = open_or_die(files);
    ASSERT_TRUE(append_synced(*log, "one"));
    ASSERT_TRUE(log->roll(kNow));
  }
  const std::string original = files.contents(kFirstSegment);
  std::string newer = original;
  newer[8] = 2;
  store_le<std::uint32_t>(newer.data() + 60, crc32c(std::string_view(newer).substr(0, 60)));
  files.overwrite(kFirstSegment, newer);
  auto log = SegmentLog::open(files, {.directory = "log"}, kNow);
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().code(), ErrorCode::kUnsupported);

  std::string foreign = original;
  foreign[16] = static_cast<char>(foreign[16] ^ 1);
  store_le<std::uint32_t>(foreign.data() + 60, crc32c(std::string_view(foreign).substr(0, 60)));
  files.overwrite(kFirstSegment, foreign);
  log = SegmentLog::open(files, {.directory = "log"}, kNow);
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().code(), ErrorCode::kCorrupt);
}

TEST(SegmentLog, SkipsAndCountsFramesOfUnknownType) {
  MemoryFileSystem files;
  std::uint32_t tag;
  {
    auto log = open_or_die(files);
    ASSERT_TRUE(append_synced(*log, "one"));
    tag = log_tag(log->log_id());
  }
  std::string bytes = files.contents(kFirstSegment);
  const auto add = [&](FrameHeader header, std::string_view payload) {
    char frame[kFrameHeaderSize];
    header.payload_size = static_cast<std::uint32_t>(payload.size());
    header.payload_crc = crc32c(payload);
    header.tag = tag;
    encode_frame_header(header, frame);
    bytes.append(frame, sizeof(frame)).append(payload);
  };
  add({.type = 9, .span = 0, .offset = 1}, "control");
  add({.type = 10, .span = 4, .offset = 1}, "a batch of four");
  add({.offset = 5}, "two");
  files.overwrite(kFirstSegment, bytes);
  auto log = open_or_die(files);
  EXPECT_EQ(append_synced(*log, "three"), 6u);
  const auto all = read_all(*log);
  EXPECT_THAT(all.entries, ElementsAre(Appended{0, "one"}, Appended{5, "two"}, Appended{6, "three"}));
  EXPECT_THAT(all.damage, IsEmpty());
  EXPECT_EQ(all.skipped, 2u);
}

TEST(SegmentLog, NeverTakesAFrameInsideAPayloadForAFrame) {
  MemoryFileSystem files;
  auto other = open_or_die(files, {.directory = "other"});
  ASSERT_TRUE(append_synced(*other, "embedded"));
  const std::string inner = files.contents("other/" + segment_name(0));
  {
    auto log = open_or_die(files);
    ASSERT_TRUE(append_synced(*log, inner));
    ASSERT_TRUE(append_synced(*log, "last"));
  }
  std::string damaged = files.contents(kFirstSegment);
  damaged[kSegmentHeaderSize] ^= 1;
  files.overwrite(kFirstSegment, damaged);
  EXPECT_THAT(read_all(*open_or_die(files)).entries, ElementsAre(Appended{1, "last"}));
}

TEST(SegmentLog, DeletesWholeSegmentsFromTheFrontOnly) {
  MemoryFileSystem files;
  auto log = open_or_die(files, {.segment_bytes = 400});
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(append_synced(*log, std::string(100, 'x')));
  }
  const auto segments = log->segments();
  ASSERT_GT(segments.size(), 4u);
  const std::uint64_t bytes = log->stats().bytes;
  EXPECT_EQ(log->trim_before(segments[2].first_offset + 1), segments[0].bytes + segments[1].bytes);
  EXPECT_EQ(log->stats().bytes, bytes - segments[0].bytes - segments[1].bytes);
  EXPECT_EQ(log->stats().first_offset, segments[2].first_offset);
  EXPECT_EQ(log->trim_before(1000), bytes - log->stats().bytes - segments[0].bytes - segments[1].bytes);
  EXPECT_EQ(log->stats().segments, 1u) << "the active segment stays";
  EXPECT_EQ(files.paths().size(), 1u);
  const auto all = read_all(*log);
  ASSERT_EQ(all.damage.size(), 1u);
  EXPECT_EQ(all.damage[0].kind, DamageKind::kTrimmed);
  EXPECT_EQ(all.entries_lost, log->stats().first_offset);
}

TEST(SegmentLog, LetsAReaderFinishASegmentThatIsDeletedUnderIt) {
  MemoryFileSystem files;
  auto log = open_or_die(files, {.segment_bytes = 1000});
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(append_synced(*log, std::string(100, 'x')));
  }
  LogReader reader(*log, 0);
  auto batch = reader.read(1);
  ASSERT_TRUE(batch);
  ASSERT_EQ(batch->entries.size(), 1u);
  ASSERT_TRUE(log->trim_before(20));
  EXPECT_EQ(batch->entries[0].payload, std::string(100, 'x'));
  batch = reader.read(1);
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->damage.size(), 1u);
  EXPECT_EQ(batch->entries[0].offset, log->stats().first_offset);
}

TEST(SegmentLog, RefusesEntriesOverItsLimits) {
  MemoryFileSystem files;
  auto log = open_or_die(files, {.segment_bytes = 1000, .bytes_max = 1500, .entry_bytes_max = 200});
  EXPECT_EQ(append(*log, std::string(201, 'x')).error().code(), ErrorCode::kTooLarge);
  Result<std::uint64_t> last = 0;
  while (last) {
    last = append_synced(*log, std::string(200, 'x'));
  }
  EXPECT_EQ(last.error().code(), ErrorCode::kOverloaded);
  EXPECT_LE(log->stats().bytes, 1500u);
  ASSERT_TRUE(log->trim_before(log->next_offset()));
  EXPECT_TRUE(append_synced(*log, "room again"));
}

TEST(SegmentLog, GoesOnAfterAFullDisk) {
  MemoryFileSystem files;
  auto log = open_or_die(files);
  ASSERT_TRUE(append_synced(*log, "one"));
  files.set_space(files.contents(kFirstSegment).size() + 60);
  const auto refused = append(*log, std::string(100, 'x'));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kNoSpace);
  files.set_space(1u << 20);
  EXPECT_EQ(append_synced(*log, "two"), 1u);
  log.reset();
  const auto all = read_all(*open_or_die(files));
  EXPECT_THAT(all.entries, ElementsAre(Appended{0, "one"}, Appended{1, "two"}));
  EXPECT_THAT(all.damage, IsEmpty());
}

TEST(SegmentLog, DoesNotTrustWhatAFailedSyncLeft) {
  for (const bool fail_truncates : {false, true}) {
    MemoryFileSystem files;
    auto log = open_or_die(files);
    ASSERT_TRUE(append_synced(*log, "one"));
    files.fail_syncs(true);
    files.fail_truncates(fail_truncates);
    ASSERT_TRUE(append(*log, "two, not durable"));
    ASSERT_FALSE(log->sync());
    EXPECT_FALSE(append(*log, "still failing"));
    files.fail_syncs(false);
    ASSERT_EQ(append_synced(*log, "two"), 1u);
    ASSERT_EQ(append_synced(*log, "three"), 2u);
    const std::vector<Appended> expected{{0, "one"}, {1, "two"}, {2, "three"}};
    EXPECT_EQ(read_all(*log).entries, expected);
    log.reset();
    log = open_or_die(files);
    const auto before = read_all(*log);
    EXPECT_EQ(before.entries, expected);
    EXPECT_THAT(before.damage, IsEmpty());
    log.reset();
    files.power_cut();
    EXPECT_EQ(read_all(*open_or_die(files)).entries, expected);
  }
}

TEST(SegmentLog, NeverGivesAnOffsetAgainThatWasSeen) {
  MemoryFileSystem files;
  auto log = open_or_die(files);
  ASSERT_TRUE(append_synced(*log, "zero"));
  ASSERT_TRUE(log->advance_to(10, kNow));
  ASSERT_TRUE(log->advance_to(5, kNow));
  EXPECT_EQ(append_synced(*log, "ten"), 10u);
  log.reset();
  log = open_or_die(files);
  const auto all = read_all(*log);
  EXPECT_THAT(all.entries, ElementsAre(Appended{0, "zero"}, Appended{10, "ten"}));
  EXPECT_EQ(all.entries_lost, 9u) << "the gap is reported, not passed over";
}

std::vector<EntryView> every_third(const std::vector<Appended>& entries, std::uint64_t end) {
  std::vector<EntryView> kept;
  for (const auto& entry : entries) {
    if (entry.offset < end && entry.offset % 3 == 0) {
      kept.push_back({.offset = entry.offset, .time = kNow, .payload = entry.payload});
    }
  }
  return kept;
}

TEST(SegmentLog, ReplacesClosedSegmentsByTheirSurvivors) {
  MemoryFileSystem files;
  const SegmentLogConfig config{.directory = "log", .segment_bytes = 500};
  auto log = open_or_die(files, config);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(append_synced(*log, fmt::format("entry {:0100}", i)));
  }
  const auto before = read_all(*log).entries;
  const auto segments = log->segments();
  const auto& last = segments[segments.size() - 2];
  const auto kept = every_third(before, last.end_offset);
  ASSERT_TRUE(log->replace(0, last.first_offset, kept));
  EXPECT_EQ(log->stats().segments, 2u);
  EXPECT_EQ(log->replace(0, segments.back().first_offset, kept).error().code(), ErrorCode::kNotFound);
  for (int round = 0; round < 2; ++round) {
    const auto all = read_all(*log);
    EXPECT_THAT(all.damage, IsEmpty());
    for (const auto& entry : all.entries) {
      EXPECT_TRUE(entry.offset % 3 == 0 || entry.offset >= last.end_offset);
      EXPECT_EQ(entry, before[entry.offset]);
    }
    EXPECT_EQ(all.entries.size(), kept.size() + before.size() - last.end_offset);
    log.reset();
    log = open_or_die(files, config);
  }
}

// Cuts the power at every call of a replacement.
TEST(SegmentLog, KeepsEverySurvivorWhenThePowerFailsDuringAReplacement) {
  std::uint64_t cuts = 0;
  for (std::uint64_t call = 1;; ++call) {
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      MemoryFileSystem files;
      const SegmentLogConfig config{.directory = "log", .segment_bytes = 500};
      auto log = open_or_die(files, config);
      for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(append_synced(*log, fmt::format("entry {:0100}", i)));
      }
      const auto before = read_all(*log).entries;
      const auto segments = log->segments();
      const auto& last = segments[segments.size() - 2];
      const auto kept = every_third(before, last.end_offset);
      files.die_at(files.calls() + call);
      const bool finished = log->replace(0, last.first_offset, kept).has_value();
      log.reset();
      files.power_cut(seed);
      log = open_or_die(files, config);
      const auto all = read_all(*log);
      EXPECT_THAT(all.damage, IsEmpty()) << "call " << call << " seed " << seed;
      std::set<std::uint64_t> seen;
      for (const auto& entry : all.entries) {
        EXPECT_EQ(entry, before[entry.offset]);
        EXPECT_TRUE(seen.insert(entry.offset).second);
      }
      for (const auto& entry : before) {
        EXPECT_TRUE(seen.contains(entry.offset) || (entry.offset % 3 != 0 && entry.offset < last.end_offset))
            << entry.offset << " call " << call << " seed " << seed;
      }
      if (finished) {
        EXPECT_GT(cuts, 50u);
        return;
      }
      ++cuts;
    }
  }
}

// Random work, a power cut at every single call of it, and what was acknowledged must be there.
TEST(SegmentLog, KeepsWhatWasSyncedWhenThePowerFailsAtAnyCall) {
  const SegmentLogConfig config{.directory = "log", .segment_bytes = 600};
  for (std::uint64_t call = 1; call < 120; ++call) {
    for (std::uint64_t seed = 0; seed < 12; ++seed) {
      MemoryFileSystem files;
      std::mt19937_64 random(seed);
      files.die_at(call);
      std::map<std::uint64_t, std::string> synced;
      std::map<std::uint64_t, std::string> attempted;
      std::uint64_t trimmed = 0;
      if (auto log = SegmentLog::open(files, config, kNow)) {
        for (int i = 0; i < 40; ++i) {
          const std::string payload = fmt::format("{}:{}", i, std::string(random() % 200, 'p'));
          const auto offset = append(**log, payload);
          if (!offset) {
            break;
          }
          attempted[*offset] = payload;
          if (random() % 2 == 0) {
            if (!(*log)->sync()) {
              break;
            }
            synced = attempted;
          }
          if (random() % 10 == 0) {
            trimmed = (*log)->next_offset() / 2;
            std::ignore = (*log)->trim_before(trimmed);
          }
        }
      }
      files.power_cut(seed % 3 == 0 ? std::nullopt : std::optional(seed));
      for (int round = 0; round < 2; ++round) {
        auto log = open_or_die(files, config);
        std::map<std::uint64_t, std::string> found;
        for (const auto& entry : read_all(*log).entries) {
          found[entry.offset] = entry.payload;
        }
        for (const auto& [offset, payload] : synced) {
          if (offset >= trimmed) {
            EXPECT_EQ(found[offset], payload) << "call " << call << " seed " << seed;
          }
        }
        for (const auto& [offset, payload] : found) {
          EXPECT_EQ(attempted[offset], payload);
        }
        if (round == 0) {
          const auto offset = append_synced(*log, "after");
          ASSERT_TRUE(offset);
          EXPECT_GE(*offset, found.empty() ? 0 : found.rbegin()->first + 1);
          synced[*offset] = attempted[*offset] = "after";
        }
        log.reset();
        files.power_cut();
      }
    }
  }
}

// Every single call fails once. What was refused stays away, also when a shorter entry takes its place and
// the disk had already written half of it.
TEST(SegmentLog, SurvivesTheFailureOfAnySingleCall) {
  for (std::uint64_t call = 5; call < 80; ++call) {
    for (const auto code : {ErrorCode::kIo, ErrorCode::kNoSpace}) {
      MemoryFileSystem files;
      auto log = open_or_die(files);
      files.fail_call(call, code);
      std::vector<Appended> expected;
      const auto append_group = [&](const std::vector<std::string>& payloads) {
        std::vector<EntryParts> entries;
        for (const auto& payload : payloads) {
          entries.push_back({.body = payload, .crc = crc32c(payload)});
        }
        const auto first = log->append(entries, kNow);
        if (!first || !log->sync()) {
          return false;
        }
        for (const auto& payload : payloads) {
          EXPECT_EQ(*first + static_cast<std::size_t>(&payload - payloads.data()), expected.size());
          expected.push_back({expected.size(), payload});
        }
        return true;
      };
      for (int i = 0; i < 20; ++i) {
        const std::vector<std::string> group{fmt::format("{:020}", i), fmt::format("{:030}", i),
                                             fmt::format("{:0250}", i)};
        const bool rolled = i % 3 != 0 || log->roll(kNow).has_value();
        if (!rolled || !append_group(group)) {
          ASSERT_TRUE(append_group({"short"})) << "call " << call;
          ASSERT_TRUE(append_group(group)) << "call " << call;
        }
      }
      for (int round = 0; round < 2; ++round) {
        const auto all = read_all(*log);
        EXPECT_EQ(all.entries, expected) << "call " << call << " round " << round;
        EXPECT_EQ(all.entries_lost, 0u);
        log.reset();
        files.power_cut();
        log = open_or_die(files);
      }
    }
  }
}

TEST(SegmentLog, LeavesNothingBehindOfAWriteThatFailed) {
  for (const bool fail_truncates : {false, true}) {
    MemoryFileSystem files;
    auto log = open_or_die(files);
    const std::string payload(30, 'x');
    const std::vector<EntryParts> group(8, {.body = payload, .crc = crc32c(payload)});
    files.fail_call(files.calls() + 1, ErrorCode::kIo);
    files.fail_truncates(fail_truncates);
    ASSERT_FALSE(log->append(group, kNow));
    files.fail_truncates(false);
    ASSERT_EQ(append_synced(*log, std::string(100, 's')),
              0u);  // ends at a frame of the half that was written
    log.reset();
    log = open_or_die(files);
    EXPECT_EQ(log->stats().torn_bytes, 0u);
    EXPECT_THAT(read_all(*log).entries, ElementsAre(Appended{0, std::string(100, 's')}));
  }
}

TEST(SegmentLog, MakesDurableWhatItFindsOnStart) {
  MemoryFileSystem files;
  auto log = open_or_die(files);
  ASSERT_TRUE(append(*log, "written, never synced"));
  log.reset();  // the process is killed; the machine is not
  log = open_or_die(files);
  ASSERT_EQ(read_all(*log).entries.size(), 1u);
  log.reset();
  files.power_cut();
  EXPECT_EQ(read_all(*open_or_die(files)).entries.size(), 1u);
}

// The kernel calls the pages of a failed sync clean: the next process reads them, and its sync writes
// nothing.
TEST(SegmentLog, WritesAnewWhatAFailedSyncOfTheProcessBeforeLeft) {
  MemoryFileSystem files;
  auto log = open_or_die(files);
  ASSERT_TRUE(append(*log, "written, sync failed"));
  files.fail_syncs(true);
  ASSERT_FALSE(log->sync());
  log.reset();
  files.fail_syncs(false);
  log = open_or_die(files);
  const auto shown = read_all(*log).entries;
  log.reset();
  files.power_cut();
  EXPECT_EQ(read_all(*open_or_die(files)).entries, shown);
}

TEST(SegmentLog, LeavesNoGapWhenThePowerFailsWhileItDeletes) {
  const SegmentLogConfig config{.directory = "log", .segment_bytes = 300};
  for (std::uint64_t call = 1; call < 12; ++call) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      MemoryFileSystem files;
      auto log = open_or_die(files, config);
      for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(append_synced(*log, std::string(100, 'x')));
      }
      files.die_at(files.calls() + call);
      std::ignore = log->trim_before(log->next_offset());
      log.reset();
      files.power_cut(seed);
      log = open_or_die(files, config);
      EXPECT_EQ(read_all(*log, log->stats().first_offset).entries_lost, 0u)
          << "call " << call << " seed " << seed;
      EXPECT_EQ(log->next_offset(), 20u);
    }
  }
}

TEST(PosixFileSystem, CarriesALogThroughReopening) {
  const test::TempDir directory;
  const SegmentLogConfig config{.directory = directory / "a/b", .segment_bytes = 300'000};
  std::vector<Appended> expected;
  for (int round = 0; round < 3; ++round) {
    auto log = open_or_die(posix_file_system(), config);
    const auto second = SegmentLog::open(posix_file_system(), config, kNow);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), ErrorCode::kConflict);
    std::vector<std::string> payloads;
    std::vector<EntryParts> entries;
    for (int i = 0; i < 700; ++i) {
      payloads.push_back(std::string(static_cast<std::size_t>(i) * 7, static_cast<char>('a' + i % 26)));
    }
    for (const auto& payload : payloads) {
      entries.push_back({.body = payload, .crc = crc32c(payload)});
    }
    const auto first = log->append(entries, kNow);
    ASSERT_EQ(first, expected.size());
    for (const auto& payload : payloads) {
      expected.push_back({expected.size(), payload});
    }
    ASSERT_TRUE(log->sync());
    EXPECT_EQ(read_all(*log, 0, 100'000).entries, expected);
  }
  {
    auto log = open_or_die(posix_file_system(), config);
    ASSERT_TRUE(log->trim_before(log->next_offset()));
  }
}

TEST(ReplaceFile, LeavesTheOldOrTheNewContents) {
  for (std::uint64_t call = 1; call < 6; ++call) {
    MemoryFileSystem files;
    ASSERT_TRUE(replace_file(files, "d", "f", "old"));
    files.die_at(files.calls() + call);
    const bool done = replace_file(files, "d", "f", "new").has_value();
    files.power_cut();
    EXPECT_EQ(files.contents("d/f"), done ? "new" : "old");
  }
}

}  // namespace
}  // namespace naru::spool
