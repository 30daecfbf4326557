#include "naru/deadletter/export_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/base/bytes.h"
#include "core/base/random.h"
#include "core/spool/file_system.h"

namespace naru::deadletter {
namespace {

constexpr std::size_t kPipelinesMax = 256;  // open files
constexpr std::string_view kUnfinished = ".part";

std::unexpected<Error> io_error(const std::string& path, int number) {
  return fail(ErrorCode::kIo, fmt::format("cannot write '{}': {}", path, std::strerror(number)));
}

}  // namespace

std::string export_name(std::string_view pipeline, UnixNanos now, const std::array<unsigned char, 16>& uuid) {
  std::string safe(pipeline.substr(0, 100));
  for (char& c : safe) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || (c == '.' && &c != safe.data());
    c = plain ? c : '_';
  }
  std::array<unsigned char, 16> bytes = uuid;  // version 4, RFC 9562
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3F) | 0x80);
  const std::string hex = to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  return fmt::format("dlq-v1-{}-opensearch-{}Z-{}-{}-{}-{}-{}", safe.empty() ? "default" : safe,
                     format_rfc3339(now).substr(0, 23), hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4),
                     hex.substr(16, 4), hex.substr(20));
}

ExportFiles::~ExportFiles() {
  for (const auto& [pipeline, out] : files_) {
    ::unlink((out.path + std::string(kUnfinished)).c_str());
  }
}

Result<ExportFiles::Out> ExportFiles::open(const std::string& pipeline) const {
  std::error_code error;
  std::filesystem::create_directories(directory_, error);
  if (error) {
    return io_error(directory_, error.value());
  }
  std::array<unsigned char, 16> uuid{};
  fill_random(uuid.data(), uuid.size());
  Out out;
  out.path = directory_ + "/" + export_name(pipeline, now_, uuid);
  out.file.reset(std::fopen((out.path + std::string(kUnfinished)).c_str(), "wx"));
  if (out.file == nullptr) {
    return io_error(out.path, errno);
  }
  NARU_TRY_VOID(write(out, "{\"dlqObjects\":["));
  return out;
}

Result<void> ExportFiles::write(Out& out, std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), out.file.get()) != text.size()) {
    return io_error(out.path, errno);
  }
  return {};
}

Result<void> ExportFiles::add(const std::string& pipeline, std::string_view object) {
  auto at = files_.find(pipeline);
  if (at == files_.end()) {
    if (files_.size() >= kPipelinesMax) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("more than {} pipelines: export some of them with --filter", kPipelinesMax));
    }
    NARU_TRY(Out out, open(pipeline));
    at = files_.emplace(pipeline, std::move(out)).first;
  }
  if (!std::exchange(at->second.empty, false)) {
    NARU_TRY_VOID(write(at->second, ","));
  }
  return write(at->second, object);
}

Result<std::vector<std::string>> ExportFiles::finish() {
  std::vector<std::string> paths;
  for (auto& [pipeline, out] : files_) {
    NARU_TRY_VOID(write(out, "]}\n"));
    if (std::fflush(out.file.get()) != 0 || ::fsync(::fileno(out.file.get())) != 0) {
      return io_error(out.path, errno);
    }
    if (::rename((out.path + std::string(kUnfinished)).c_str(), out.path.c_str()) != 0) {
      return io_error(out.path, errno);
    }
    paths.push_back(out.path);
  }
  if (!files_.empty()) {
    NARU_TRY_VOID(spool::posix_file_system().sync_directory(directory_));
  }
  files_.clear();
  return paths;
}

}  // namespace naru::deadletter
