#include "agent/tail/record_reader.h"

#include <gtest/gtest.h>

#include "tests/unit/agent/support.h"

namespace naru::agent {
namespace {

struct Record {
  std::string body;
  std::uint64_t cut = 0;
  bool text = false;
  friend bool operator==(const Record&, const Record&) = default;
};

std::vector<Record> read_all(const std::string& path, std::uint64_t begin, std::uint64_t end,
                             std::size_t limit, Rest rest, std::uint64_t* reached = nullptr) {
  const File file = File::open(path).value();
  RecordReader reader(limit);
  std::vector<Record> records;
  std::uint64_t scanned = 0;
  std::uint64_t at = begin;
  while (at < end) {
    const std::uint64_t scanned_before = scanned;
    const auto window = static_cast<std::uint32_t>(std::min<std::uint64_t>(at, kFingerprintBytesMax));
    EXPECT_TRUE(reader.load(file, at, window, end));
    const auto consumed = reader.take_records(file, limit, rest, scanned, [&](const Line& line, bool text) {
      records.push_back({std::string(line.body), line.cut, text});
      return true;
    });
    EXPECT_TRUE(consumed);
    const Fingerprint there = reader.window_at(file, *consumed).value();
    EXPECT_EQ(there, window_of(file, at + *consumed).value());
    if (*consumed == 0 && scanned == scanned_before) {
      break;
    }
    at += *consumed;
  }
  if (reached != nullptr) {
    *reached = at;
  }
  return records;
}

TEST(RecordReader, ReadsAFileOfManyChunksToItsLastLine) {
  const test::TempDir dir;
  std::string content;
  std::vector<Record> expected;
  for (int i = 0; content.size() < 3 * RecordReader::kChunkBytes; ++i) {
    const std::string line =
        "line " + std::to_string(i) + std::string(static_cast<std::size_t>(i % 700), 'x');
    expected.push_back({line, 0, true});
    content += line + "\n";
  }
  test::overwrite(dir / "f", content + "rest");
  std::uint64_t reached = 0;
  EXPECT_EQ(read_all(dir / "f", 0, content.size() + 4, 10'000, Rest::kWait, &reached), expected);
  EXPECT_EQ(reached, content.size());
  expected.push_back({"rest", 0, true});
  EXPECT_EQ(read_all(dir / "f", 0, content.size() + 4, 10'000, Rest::kSend), expected);
}

TEST(RecordReader, CutsALineThatIsLongerThanAChunk) {
  const test::TempDir dir;
  const std::string big(RecordReader::kScanBytesPerTurn + 3 * RecordReader::kChunkBytes, 'b');
  test::overwrite(dir / "f", "a\n" + big + "\nc\n");
  const std::vector<Record> expected = {
      {"a", 0, true}, {std::string(1000, 'b'), big.size() - 1000, false}, {"c", 0, true}};
  EXPECT_EQ(read_all(dir / "f", 0, big.size() + 5, 1000, Rest::kWait), expected);
}

TEST(RecordReader, AnUnfinishedLongLineWaitsOrIsSentWhole) {
  const test::TempDir dir;
  const std::string big(2 * RecordReader::kChunkBytes, 'b');
  test::overwrite(dir / "f", big);
  std::uint64_t reached = 0;
  EXPECT_TRUE(read_all(dir / "f", 0, big.size(), 1000, Rest::kWait, &reached).empty());
  EXPECT_EQ(reached, 0U);
  const std::vector<Record> expected = {{std::string(1000, 'b'), big.size() - 1000, false}};
  EXPECT_EQ(read_all(dir / "f", 0, big.size(), 1000, Rest::kSend), expected);
}

// A range is read again alone, after a crash: it must not matter where the chunks of the first reading were.
TEST(RecordReader, ALongLineIsTheSameInARangeOfItsOwn) {
  const test::TempDir dir;
  for (const std::size_t size :
       {RecordReader::kChunkBytes - 1, RecordReader::kChunkBytes, RecordReader::kChunkBytes + 1}) {
    const std::string big(size, 'b');
    test::overwrite(dir / "f", big + "\nnext\n");
    const auto whole = read_all(dir / "f", 0, size + 6, 5'000, Rest::kWait);
    const auto range = read_all(dir / "f", 0, size + 1, 5'000, Rest::kSend);
    ASSERT_EQ(whole.size(), 2U);
    ASSERT_EQ(range.size(), 1U);
    EXPECT_EQ(range[0].body, whole[0].body);
    EXPECT_EQ(range[0].cut, whole[0].cut);
  }
}

TEST(RecordReader, SaysWhetherAChunkIsText) {
  const test::TempDir dir;
  test::overwrite(dir / "f", "a\n\xFF\n");
  const std::vector<Record> bad = {{"a", 0, false}, {"\xFF", 0, false}};
  EXPECT_EQ(read_all(dir / "f", 0, 4, 100, Rest::kWait), bad);
  test::overwrite(dir / "f", "a\n\xC3");  // a sequence that is not complete yet is no part of a record
  EXPECT_EQ(read_all(dir / "f", 0, 3, 100, Rest::kWait), (std::vector<Record>{{"a", 0, true}}));
}

TEST(RecordReader, AFileThatShrankMeanwhileEndsWhereItEnds) {
  const test::TempDir dir;
  test::overwrite(dir / "f", "a\nb");
  const File file = File::open(dir / "f").value();
  RecordReader reader(100);
  ASSERT_TRUE(reader.load(file, 2, 2, 5'000));
  EXPECT_EQ(reader.data(), "b");
  ASSERT_TRUE(reader.load(file, 100, 50, 5'000));
  EXPECT_EQ(reader.data(), "");
  EXPECT_EQ(reader.window(), "");
}

}  // namespace
}  // namespace naru::agent
