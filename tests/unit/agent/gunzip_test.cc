#include "agent/tail/gunzip.h"

#include <gtest/gtest.h>

#include "tests/unit/agent/support.h"

namespace naru::agent {
namespace {

std::string numbers(int to) {
  std::string out;
  for (int i = 0; i < to; ++i) {
    out += std::to_string(i) + "\n";
  }
  return out;
}

Result<std::string> read_all(const std::string& path, std::size_t piece) {
  Gunzip stream(File::open(path).value());
  std::string out;
  while (!stream.at_end()) {
    NARU_TRY(const std::string bytes, stream.read(piece));
    out += bytes;
    EXPECT_EQ(stream.offset(), out.size());
  }
  return out;
}

TEST(Gunzip, ReadsSeveralMembersInAnyPieces) {
  const test::TempDir dir;
  const std::string text = numbers(50'000);
  test::append(dir / "a.gz", test::gzip(text));
  test::append(dir / "a.gz", test::gzip("behind\n"));
  for (const std::size_t piece : {std::size_t{1'000}, std::size_t{65'536}, std::size_t{10'000'000}}) {
    EXPECT_EQ(read_all(dir / "a.gz", piece).value(), text + "behind\n");
  }
}

TEST(Gunzip, SaysThatAFileIsCutOffOrDamaged) {
  const test::TempDir dir;
  const std::string packed = test::gzip(numbers(1'000));
  for (std::size_t size = 0; size < packed.size(); size += 7) {
    test::overwrite(dir / "cut.gz", packed.substr(0, size));
    const auto read = read_all(dir / "cut.gz", 4'096);
    ASSERT_FALSE(read) << size;
    EXPECT_EQ(read.error().code(), ErrorCode::kCorrupt);
  }
  std::string damaged = packed;
  damaged[damaged.size() / 2] ^= 0x55;
  test::overwrite(dir / "bad.gz", damaged);
  EXPECT_FALSE(read_all(dir / "bad.gz", 4'096));
  test::overwrite(dir / "text.gz", "no gzip at all");
  EXPECT_FALSE(read_all(dir / "text.gz", 4'096));
}

}  // namespace
}  // namespace naru::agent
