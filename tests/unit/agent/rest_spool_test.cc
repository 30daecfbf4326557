#include "agent/spool/rest_spool.h"

#include <gtest/gtest.h>

#include "tests/unit/core/spool/memory_file_system.h"

namespace naru::agent {
namespace {

constexpr std::uint64_t kLimit = 4u << 20;

FileCheckpoint a_file(unsigned char source) {
  FileCheckpoint file;
  file.key = source;
  file.source.fill(source);
  file.known.offset = 1'500;
  file.position = 30;
  file.path = "/var/log/a.log";
  return file;
}

std::string bytes_from(std::uint64_t begin, std::size_t size) {
  std::string out;
  for (std::uint64_t at = begin; at < begin + size; ++at) {
    out.push_back(static_cast<char>('a' + at % 23));
  }
  return out;
}

std::string read(RestCopy& copy, std::uint64_t offset, std::size_t size) {
  std::string out(size, '\0');
  const auto have = copy.read(offset, size, out.data());
  EXPECT_TRUE(have) << (have ? "" : have.error().message());
  out.resize(have.value_or(0));
  return out;
}

class RestSpoolTest : public testing::Test {
 protected:
  std::unique_ptr<RestSpool> reopened(std::uint64_t limit = kLimit) {
    auto spool = std::make_unique<RestSpool>(files_, "/state/spool", limit);
    const auto opened = spool->open(1);
    EXPECT_TRUE(opened) << (opened ? "" : opened.error().message());
    return spool;
  }
  spool::MemoryFileSystem files_;
};

TEST_F(RestSpoolTest, ACopyIsThereAfterAPowerCutWithItsIdentity) {
  {
    const auto spool = reopened();
    auto copy = spool->begin(a_file(7), bytes_from(0, 1'024), 476, 1).value();
    ASSERT_TRUE(spool->append(*copy, bytes_from(476, 3'000), 5'000, 1));
    ASSERT_TRUE(spool->append(*copy, bytes_from(3'476, 1'000), 5'000, 1));
  }
  files_.power_cut();
  const auto spool = reopened();
  const auto copy = spool->find(a_file(7).source);
  ASSERT_NE(copy, nullptr);
  EXPECT_EQ(copy->file().position, 30U);
  EXPECT_EQ(copy->file().known.offset, 1'500U);
  EXPECT_EQ(copy->begin(), 476U);
  EXPECT_EQ(copy->end(), 4'476U);
  EXPECT_EQ(copy->file_size(), 5'000U);
  EXPECT_EQ(read(*copy, 0, 4'476), bytes_from(0, 4'476)) << "head and rest touch";
  EXPECT_EQ(read(*copy, 3'400, 200), bytes_from(3'400, 200)) << "over two pieces";
  EXPECT_EQ(read(*copy, 4'400, 200), bytes_from(4'400, 76)) << "its end";
}

TEST_F(RestSpoolTest, BytesBetweenHeadAndCopyAreNotInIt) {
  const auto spool = reopened();
  auto copy = spool->begin(a_file(7), bytes_from(0, 1'024), 9'000, 1).value();
  ASSERT_TRUE(spool->append(*copy, bytes_from(9'000, 100), 9'100, 1));
  EXPECT_EQ(read(*copy, 1'000, 100), bytes_from(1'000, 24));
  char out[10];
  EXPECT_FALSE(copy->read(5'000, 10, out));
}

TEST_F(RestSpoolTest, WhatIsReleasedIsGoneAndGivesItsSpaceBack) {
  {
    const auto spool = reopened();
    for (unsigned char i = 1; i <= 40; ++i) {  // ten times the limit
      auto copy = spool->begin(a_file(i), "head", 0, 1);
      ASSERT_TRUE(copy) << copy.error().message();
      for (int piece = 0; piece < 4; ++piece) {
        ASSERT_TRUE(spool->append(**copy, std::string(RestSpool::kPieceBytes, 'x'), 1u << 20, 1));
      }
      spool->release(a_file(i).source, 1);
      EXPECT_LT(spool->bytes(), kLimit);
    }
    EXPECT_LT(spool->bytes(), 10'000U);
  }
  files_.power_cut();
  EXPECT_TRUE(reopened()->copies().empty());
}

TEST_F(RestSpoolTest, OverItsLimitItRefusesAndTakesAgainAfterARelease) {
  const auto spool = reopened(1u << 20);
  auto copy = spool->begin(a_file(1), "head", 0, 1).value();
  const std::string piece(RestSpool::kPieceBytes, 'x');
  int taken = 0;
  Result<void> written;
  while ((written = spool->append(*copy, piece, 1u << 30, 1))) {
    ASSERT_LT(++taken, 5);
  }
  EXPECT_EQ(written.error().code(), ErrorCode::kOverloaded);
  EXPECT_EQ(copy->end(), static_cast<std::uint64_t>(taken) * piece.size());
  EXPECT_FALSE(spool->begin(a_file(2), "head", 0, 1));
  spool->release(a_file(1).source, 1);
  EXPECT_TRUE(spool->begin(a_file(2), "head", 0, 1));
}

// The disk dies at any call: what was answered as copied is there, whole, and nothing else under its name.
TEST_F(RestSpoolTest, ACrashAtAnyCallKeepsWhatWasCopied) {
  for (std::uint64_t call = 1;; ++call) {
    spool::MemoryFileSystem files;
    files.die_at(call);
    std::uint64_t end = 0;
    bool begun = false, released = false;
    {
      RestSpool spool(files, "/state/spool", kLimit);
      if (spool.open(1)) {
        if (auto copy = spool.begin(a_file(3), bytes_from(0, 1'024), 476, 1)) {
          begun = true;
          end = 476;
          for (int i = 0; i < 3; ++i) {
            if (spool.append(**copy, bytes_from((*copy)->end(), 700), 3'000, 1)) {
              end = (*copy)->end();
            }
          }
          released = end == 476 + 3 * 700;
          if (released) {
            spool.release(a_file(3).source, 1);
          }
        }
      }
    }
    const bool survived = files.calls() < call;
    files.power_cut(call);
    RestSpool spool(files, "/state/spool", kLimit);
    ASSERT_TRUE(spool.open(1)) << "call " << call;
    const auto copy = spool.find(a_file(3).source);
    if (begun && !released) {
      ASSERT_NE(copy, nullptr) << "call " << call;
    }
    if (copy != nullptr) {
      EXPECT_GE(copy->end(), released ? 476 : end) << "call " << call;
      EXPECT_EQ(read(*copy, 0, 4'000), bytes_from(0, copy->end() > 476 ? copy->end() : 1'024)) << call;
    }
    if (survived) {
      EXPECT_EQ(copy, nullptr);
      return;
    }
  }
}

// A full or failing disk refuses a piece; the same again is taken once it works, and stands once.
TEST_F(RestSpoolTest, DamageEndsItsCopyThereAndLeavesTheOthersAlone) {
  {
    const auto spool = reopened();
    for (unsigned char source = 1; source <= 2; ++source) {
      auto copy = spool->begin(a_file(source), bytes_from(0, 1'024), 0, 1).value();
      ASSERT_TRUE(spool->append(*copy, std::string(1'000, static_cast<char>('0' + source)), 2'000, 1));
      ASSERT_TRUE(spool->append(*copy, std::string(1'000, static_cast<char>('A' + source)), 2'000, 1));
    }
  }
  const std::string path = "/state/spool/" + spool::segment_name(0);
  std::string bytes = files_.contents(path);
  bytes[bytes.find(std::string(1'000, 'B')) + 500] ^= 1;  // of the first copy's second piece
  files_.overwrite(path, bytes);
  const auto spool = reopened();
  EXPECT_EQ(spool->damaged_places(), 1U);
  EXPECT_GE(spool->damaged_bytes(), 1'000U);
  ASSERT_NE(spool->find(a_file(1).source), nullptr);
  EXPECT_EQ(spool->find(a_file(1).source)->end(), 1'000U);
  ASSERT_NE(spool->find(a_file(2).source), nullptr);
  EXPECT_EQ(spool->find(a_file(2).source)->end(), 2'000U);
}

TEST_F(RestSpoolTest, AFailedPieceIsTakenAgain) {
  for (const ErrorCode code : {ErrorCode::kNoSpace, ErrorCode::kIo}) {
    bool failed = true;
    for (std::uint64_t call = 1; failed; ++call) {
      spool::MemoryFileSystem files;
      RestSpool spool(files, "/state/spool", kLimit);
      ASSERT_TRUE(spool.open(1));
      files.fail_call(files.calls() + call, code);
      failed = false;
      auto copy = spool.begin(a_file(3), bytes_from(0, 1'024), 476, 1);
      if (!copy) {
        failed = true;
        copy = spool.begin(a_file(3), bytes_from(0, 1'024), 476, 1);
      }
      ASSERT_TRUE(copy);
      while ((*copy)->end() < 2'000) {
        failed = !spool.append(**copy, bytes_from((*copy)->end(), 762), 2'000, 1) || failed;
      }
      files.power_cut();
      RestSpool again(files, "/state/spool", kLimit);
      ASSERT_TRUE(again.open(1));
      EXPECT_EQ(read(*again.find(a_file(3).source), 0, 4'000), bytes_from(0, 2'000)) << "call " << call;
    }
  }
}

}  // namespace
}  // namespace naru::agent
