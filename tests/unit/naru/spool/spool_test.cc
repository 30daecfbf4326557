#include "naru/spool/spool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "core/spool/segment_log.h"
#include "tests/unit/temp_dir.h"

namespace naru {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Action = SpoolOptions::Action;

constexpr UnixNanos kNow = 1'700'000'000 * kNanosPerSecond;

class SpoolVerb : public ::testing::Test {
 protected:
  std::string path(std::string_view name) const { return root_ / std::string(name); }

  // A closed segment with "aaaa" and "bbbb", an active one with "cccc".
  std::unique_ptr<spool::SegmentLog> write_log(const std::string& directory) {
    auto log = spool::SegmentLog::open(spool::posix_file_system(), {.directory = directory}, kNow);
    EXPECT_TRUE(log) << log.error().message();
    for (const std::string_view payload : {"aaaa", "bbbb", "", "cccc"}) {
      if (payload.empty()) {
        EXPECT_TRUE((*log)->roll(kNow));
        continue;
      }
      const spool::EntryParts entry{.head = payload, .crc = spool::payload_crc(payload, "")};
      EXPECT_TRUE((*log)->append(std::span(&entry, 1), kNow));
      EXPECT_TRUE((*log)->sync());
    }
    return std::move(*log);
  }

  void overwrite(const std::string& file, std::streamoff at, char byte) {
    std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(at);
    out.put(byte);
  }

  // The text of every file below the root, by path.
  std::map<std::string, std::string> everything() const {
    std::map<std::string, std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator(root_.path())) {
      if (entry.is_regular_file()) {
        std::ifstream in(entry.path(), std::ios::binary);
        out[entry.path()] = std::string(std::istreambuf_iterator<char>(in), {});
      }
    }
    return out;
  }

  int run(const SpoolOptions& options) {
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const int code = run_spool(options);
    out_ = ::testing::internal::GetCapturedStdout();
    errors_ = ::testing::internal::GetCapturedStderr();
    return code;
  }

  test::TempDir root_;
  std::string out_;
  std::string errors_;
};

// Where the payload of record 1 ("bbbb") lies in the first segment.
constexpr std::streamoff kSecondPayload =
    spool::kSegmentHeaderSize + 2 * spool::kFrameHeaderSize + std::string_view("aaaa").size();

TEST_F(SpoolVerb, ShowsEachSegmentOfALiveLogAndChangesNothing) {
  const auto log = write_log(path("log"));  // holds the lock
  std::ofstream(path("log/00000000000000000009.seg.tmp")) << "about to be renamed";
  const auto before = everything();
  EXPECT_EQ(run({.action = Action::kInspect, .directory = path("log")}), 0) << errors_;
  EXPECT_THAT(out_, HasSubstr("00000000000000000000.seg          152          2            0            1 "
                              "2023-11-14T22:13:20.000000000Z"));
  EXPECT_THAT(out_, HasSubstr("00000000000000000002.seg          108          1            2            2"));
  EXPECT_THAT(out_, HasSubstr("good"));
  EXPECT_THAT(out_, Not(HasSubstr(".tmp")));
  EXPECT_EQ(everything(), before);
}

TEST_F(SpoolVerb, FindsTheLogsBelowADirectory) {
  write_log(path("bus/b-0"));
  write_log(path("bus/a-0"));
  EXPECT_THAT(logs_below(root_.path()).value(), ElementsAre(path("bus/a-0"), path("bus/b-0")));
}

TEST_F(SpoolVerb, VerifiesAGoodLogAndATailThatIsBeingWritten) {
  write_log(path("log"));
  EXPECT_EQ(run({.action = Action::kVerify, .directory = path("log")}), 0);
  EXPECT_THAT(out_, HasSubstr("2 segments, 3 records, 260 bytes (0 of them unfinished at the end): good"));
  std::ofstream(path("log/00000000000000000002.seg"), std::ios::app) << "half of a fra";
  EXPECT_EQ(run({.action = Action::kVerify, .directory = path("log")}), 0);
  EXPECT_THAT(out_, HasSubstr("(13 of them unfinished at the end): good"));
}

TEST_F(SpoolVerb, NamesThePositionOfEachDamage) {
  write_log(path("log"));
  overwrite(path("log/00000000000000000000.seg"), kSecondPayload, 'X');
  overwrite(path("log/00000000000000000000.seg"), 70, 'X');  // header of record 0
  EXPECT_EQ(run({.action = Action::kVerify, .directory = path("log")}), 1);
  EXPECT_THAT(out_, HasSubstr("00000000000000000000.seg: byte 64: frame header, 44 bytes\n"));
  EXPECT_THAT(out_, HasSubstr("byte 108: gap, 0 bytes, 1 records lost from offset 0\n"));
  EXPECT_THAT(out_, HasSubstr("byte 108: payload, 44 bytes, 1 records lost from offset 1\n"));
  EXPECT_THAT(out_, HasSubstr("damaged at 3 places"));
}

TEST_F(SpoolVerb, NoticesAMissingSegmentAndAMissingHeader) {
  auto log = write_log(path("log"));
  ASSERT_TRUE(log->roll(kNow));
  log.reset();
  fs::remove(path("log/00000000000000000002.seg"));
  overwrite(path("log/00000000000000000000.seg"), 0, 'X');
  EXPECT_EQ(run({.action = Action::kVerify, .directory = path("log")}), 1);
  EXPECT_THAT(out_, HasSubstr("byte 0: segment header, 64 bytes"));
  EXPECT_THAT(out_, HasSubstr("1 records lost from offset 2"));
  EXPECT_THAT(out_, HasSubstr("2 records"));
}

TEST_F(SpoolVerb, ExportsRecordsAsJsonLines) {
  write_log(path("log"));
  EXPECT_EQ(run({.action = Action::kExport, .directory = path("log"), .from = 2}), 0);
  EXPECT_EQ(out_, R"({"log":")" + path("log") +
                      R"(","offset":2,"time":"2023-11-14T22:13:20.000000000Z","flags":0,)"
                      R"("payload":"Y2NjYw=="})"
                      "\n");
}

TEST_F(SpoolVerb, ExportsWhatIsGoodBesideDamage) {
  write_log(path("log"));
  overwrite(path("log/00000000000000000000.seg"), kSecondPayload, 'X');
  EXPECT_EQ(run({.action = Action::kExport, .directory = path("log"), .format = "raw"}), 1);
  EXPECT_EQ(out_, std::string("\4\0\0\0aaaa\4\0\0\0cccc", 16));
  EXPECT_THAT(errors_, HasSubstr("byte 108: payload, 44 bytes"));
}

TEST_F(SpoolVerb, RefusesADirectoryWithoutALogAndARawMixture) {
  EXPECT_EQ(run({.action = Action::kVerify, .directory = path("absent")}), 2);
  EXPECT_THAT(errors_, HasSubstr("cannot read the directory '" + path("absent") + "'"));
  fs::create_directory(path("empty"));
  EXPECT_EQ(run({.action = Action::kInspect, .directory = path("empty")}), 2);
  EXPECT_THAT(errors_, HasSubstr("no log lies in"));
  write_log(path("a"));
  write_log(path("b"));
  EXPECT_EQ(run({.action = Action::kExport, .directory = root_.path(), .format = "raw"}), 2);
  EXPECT_EQ(out_, "");
}

}  // namespace
}  // namespace naru
