#include "store/database.h"

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <cstdarg>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "core/base/check.h"
#include "core/telemetry/log.h"
#include "store/patient_files.h"

namespace naru::store {
namespace {

rocksdb::Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}

std::unexpected<Error> from_status(const rocksdb::Status& status, std::string_view what) {
  const std::string text = fmt::format("embedded store, {}: {}", what, status.ToString());
  if (status.IsNoSpace()) {
    return fail(ErrorCode::kNoSpace, text);
  }
  if (status.IsCorruption()) {
    return fail(ErrorCode::kCorrupt, text);
  }
  return fail(status.IsIOError() ? ErrorCode::kIo : ErrorCode::kInternal, text);
}

// RocksDB's own messages go to the program's log. Not to a file of RocksDB: once such a file met a full disk,
// its next line ends the process (an assertion of WritableFileWriter in Debian's build of 7.8).
class Messages : public rocksdb::Logger {
 public:
  Messages() : rocksdb::Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}
  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    std::array<char, 1024> text;
    if (std::vsnprintf(text.data(), text.size(), format, arguments) > 0) {
      telemetry::log_warn("store", "RocksDB: {}", text.data());
    }
  }
};

class RocksSnapshot : public Snapshot {
 public:
  explicit RocksSnapshot(rocksdb::DB& db) : db_(db), snapshot_(db.GetSnapshot()) {}
  ~RocksSnapshot() override { db_.ReleaseSnapshot(snapshot_); }
  const rocksdb::Snapshot* get() const { return snapshot_; }

 private:
  rocksdb::DB& db_;
  const rocksdb::Snapshot* snapshot_;
};

}  // namespace

struct Database::Impl {
  std::shared_ptr<PatientFiles> files = std::make_shared<PatientFiles>(rocksdb::FileSystem::Default());
  std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(files);  // outlives db
  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> spaces;
  rocksdb::ColumnFamilyHandle* of(Space space) const { return spaces[static_cast<std::size_t>(space)]; }
};

// Column families are known to the database only, so a batch keeps their place, which is their id in RocksDB
// too: 0 is the default one, then in the order in which they were made.
class SpaceHandle : public rocksdb::ColumnFamilyHandle {
 public:
  explicit SpaceHandle(Space space) : id_(static_cast<std::uint32_t>(space)) {}
  const std::string& GetName() const override { return name_; }
  std::uint32_t GetID() const override { return id_; }
  rocksdb::Status GetDescriptor(rocksdb::ColumnFamilyDescriptor*) override {
    return rocksdb::Status::NotSupported();
  }
  const rocksdb::Comparator* GetComparator() const override { return rocksdb::BytewiseComparator(); }

 private:
  std::uint32_t id_;
  std::string name_;
};

struct Batch::Impl {
  rocksdb::WriteBatch changes;
  rocksdb::Status status;
  void note(const rocksdb::Status& result) {
    if (!result.ok()) {
      status = result;
    }
  }
};

Batch::Batch() : impl_(std::make_unique<Impl>()) {}
Batch::~Batch() = default;
Batch::Batch(Batch&&) noexcept = default;
void Batch::put(Space space, std::string_view key, std::string_view value) {
  SpaceHandle handle(space);
  impl_->note(impl_->changes.Put(&handle, slice(key), slice(value)));
}
void Batch::remove(Space space, std::string_view key) {
  SpaceHandle handle(space);
  impl_->note(impl_->changes.Delete(&handle, slice(key)));
}
void Batch::remove_range(Space space, std::string_view from, std::string_view to) {
  SpaceHandle handle(space);
  impl_->note(impl_->changes.DeleteRange(&handle, slice(from), slice(to)));
}

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Database::~Database() {
  give_up();
  for (rocksdb::ColumnFamilyHandle* space : impl_->spaces) {
    static_cast<void>(impl_->db->DestroyColumnFamilyHandle(space));
  }
  static_cast<void>(impl_->db->Close());
}

Result<std::unique_ptr<Database>> Database::open(const DatabaseConfig& config) {
  std::error_code code;
  std::filesystem::create_directories(config.directory, code);
  if (code) {
    return fail(code == std::errc::no_space_on_device ? ErrorCode::kNoSpace : ErrorCode::kPermissionDenied,
                fmt::format("cannot make the store's directory {}: {}", config.directory, code.message()));
  }
  auto impl = std::make_unique<Impl>();
  rocksdb::DBOptions options;
  options.env = impl->env.get();
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.max_background_jobs = 2;
  options.max_open_files = 512;
  options.max_total_wal_size = 4 * config.write_buffer_bytes;
  options.info_log = std::make_shared<Messages>();
  options.bytes_per_sync = 1u << 20;
  options.stats_dump_period_sec = 0;
  // A torn tail of the log was never acknowledged; anything behind a hole is not trusted either.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;

  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(config.cache_bytes);
  table.cache_index_and_filter_blocks = true;
  rocksdb::ColumnFamilyOptions catalog;
  catalog.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  catalog.write_buffer_size = config.write_buffer_bytes / 4;
  catalog.compression = rocksdb::kNoCompression;
  rocksdb::ColumnFamilyOptions data = catalog;
  data.write_buffer_size = config.write_buffer_bytes;
  data.max_write_buffer_number = 2;
  data.enable_blob_files = true;
  data.min_blob_size = 1024;
  rocksdb::ColumnFamilyOptions passing = catalog;
  passing.write_buffer_size = config.write_buffer_bytes / 2;
  const std::vector<rocksdb::ColumnFamilyDescriptor> spaces = {
      {rocksdb::kDefaultColumnFamilyName, catalog}, {"data", data}, {"passing", passing}};
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options, config.directory, spaces, &impl->spaces, &db);
  if (!status.ok()) {
    const std::string text = status.ToString();
    if (text.find("lock") != std::string::npos) {
      return fail(
          ErrorCode::kConflict,
          fmt::format("the store's directory {} is in use by another process: stop it, or choose another "
                      "directory",
                      config.directory));
    }
    if (text.find("Permission denied") != std::string::npos) {
      return fail(ErrorCode::kPermissionDenied,
                  fmt::format("cannot write to the store's directory {}: {}", config.directory, text));
    }
    return from_status(status, fmt::format("opening {}", config.directory));
  }
  impl->db.reset(db);
  for (std::size_t space = 0; space < impl->spaces.size(); ++space) {
    NARU_CHECK(impl->spaces[space]->GetID() == space, "a key space has the id that batches write");
  }
  return std::unique_ptr<Database>(new Database(std::move(impl)));
}

Result<void> Database::write(Batch batch, bool sync) {
  if (!batch.impl_->status.ok()) {
    return from_status(batch.impl_->status, "preparing a write");
  }
  rocksdb::WriteOptions options;
  options.sync = sync;
  const rocksdb::Status status = impl_->db->Write(options, &batch.impl_->changes);
  if (!status.ok()) {
    return from_status(status, "writing");
  }
  return {};
}

Result<std::optional<std::string>> Database::get(Space space, std::string_view key,
                                                 const Snapshot* snapshot) const {
  rocksdb::ReadOptions options;
  if (snapshot != nullptr) {
    options.snapshot = static_cast<const RocksSnapshot*>(snapshot)->get();
  }
  std::string value;
  const rocksdb::Status status = impl_->db->Get(options, impl_->of(space), slice(key), &value);
  if (status.IsNotFound()) {
    return std::nullopt;
  }
  if (!status.ok()) {
    return from_status(status, "reading");
  }
  return value;
}

Result<void> Database::scan(Space space, std::string_view prefix,
                            const std::function<bool(std::string_view, std::string_view)>& take) const {
  const std::unique_ptr<rocksdb::Iterator> at(
      impl_->db->NewIterator(rocksdb::ReadOptions(), impl_->of(space)));
  for (at->Seek(slice(prefix)); at->Valid() && at->key().starts_with(slice(prefix)); at->Next()) {
    if (!take(at->key().ToStringView(), at->value().ToStringView())) {
      return {};
    }
  }
  if (!at->status().ok()) {
    return from_status(at->status(), "reading");
  }
  return {};
}

std::shared_ptr<const Snapshot> Database::snapshot() const {
  return std::make_shared<RocksSnapshot>(*impl_->db);
}

void Database::compact(Space space, std::string_view from, std::string_view to) {
  const rocksdb::Slice first = slice(from);
  const rocksdb::Slice last = slice(to);
  static_cast<void>(impl_->db->CompactRange(rocksdb::CompactRangeOptions(), impl_->of(space), &first, &last));
}

bool Database::waiting_for_room() const {
  return impl_->files->waiting();
}

void Database::give_up() {
  impl_->files->give_up();
}

std::uint64_t Database::disk_bytes() const {
  std::uint64_t total = 0;
  for (rocksdb::ColumnFamilyHandle* space : impl_->spaces) {
    std::uint64_t bytes = 0;
    for (const char* property : {"rocksdb.total-sst-files-size", "rocksdb.total-blob-file-size"}) {
      if (impl_->db->GetIntProperty(space, property, &bytes)) {
        total += bytes;
      }
    }
  }
  return total;
}

}  // namespace naru::store
