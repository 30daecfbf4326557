#include "store/patient_files.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "tests/unit/temp_dir.h"

namespace naru::store {
namespace {

using rocksdb::IOStatus;

// No room for the first `refusals` directories.
class FullDisk : public rocksdb::FileSystemWrapper {
 public:
  explicit FullDisk(int refusals)
      : rocksdb::FileSystemWrapper(rocksdb::FileSystem::Default()), refusals_(refusals) {}
  const char* Name() const override { return "FullDisk"; }
  IOStatus CreateDirIfMissing(const std::string&, const rocksdb::IOOptions&,
                              rocksdb::IODebugContext*) override {
    return refusals_-- > 0 ? IOStatus::NoSpace("full") : IOStatus::OK();
  }

 private:
  std::atomic<int> refusals_;
};

std::unique_ptr<rocksdb::FSWritableFile> open(PatientFiles& files, const std::string& path) {
  std::unique_ptr<rocksdb::FSWritableFile> file;
  EXPECT_TRUE(files.NewWritableFile(path, {}, &file, nullptr).ok());
  return file;
}

TEST(PatientFiles, WritesWhatItIsGivenAtTheEnd) {
  const test::TempDir directory;
  const std::string path = directory / "file";
  PatientFiles files(rocksdb::FileSystem::Default());
  {
    auto file = open(files, path);
    ASSERT_TRUE(file->Append("one ", {}, nullptr).ok());
    ASSERT_TRUE(file->Append("two three", {}, nullptr).ok());
    ASSERT_TRUE(file->Truncate(8, {}, nullptr).ok());
    ASSERT_TRUE(file->Append("four", {}, nullptr).ok());
    EXPECT_EQ(file->GetFileSize({}, nullptr), 12U);
    ASSERT_TRUE(file->Sync({}, nullptr).ok());
    ASSERT_TRUE(file->Close({}, nullptr).ok());
  }
  std::ifstream in(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "one two four");
}

TEST(PatientFiles, WaitsUntilThereIsRoom) {
  PatientFiles files(std::make_shared<FullDisk>(2));
  EXPECT_TRUE(files.CreateDirIfMissing("directory", {}, nullptr).ok());
  EXPECT_FALSE(files.waiting());
}

TEST(PatientFiles, GivesUpWhenItIsTold) {
  PatientFiles files(rocksdb::FileSystem::Default());
  auto file = open(files, "/dev/full");
  IOStatus status;
  std::thread writer([&] { status = file->Append("text", {}, nullptr); });
  while (!files.waiting()) {
    std::this_thread::yield();
  }
  files.give_up();
  writer.join();
  EXPECT_TRUE(status.IsNoSpace()) << status.ToString();
  EXPECT_FALSE(files.waiting());
  EXPECT_TRUE(file->Append("text", {}, nullptr).IsNoSpace());
}

}  // namespace
}  // namespace naru::store
