#include "core/spool/file_system.h"

#include <fmt/format.h>

namespace naru::spool {

std::string join_path(std::string_view directory, std::string_view name) {
  std::string path;
  path.reserve(directory.size() + 1 + name.size());
  path.append(directory).append(1, '/').append(name);
  return path;
}

Result<std::string> read_file(FileSystem& files, const std::string& path, std::size_t bytes_max) {
  NARU_TRY(auto file, files.open(path, OpenMode::kRead));
  NARU_TRY(auto size, file->size());
  if (size > bytes_max) {
    return fail(ErrorCode::kTooLarge,
                fmt::format("'{}' has {} bytes, more than the {} that it may have", path, size, bytes_max));
  }
  std::string contents(size, '\0');
  NARU_TRY(auto got, file->read_at(0, contents.data(), contents.size()));
  contents.resize(got);
  return contents;
}

Result<void> replace_file(FileSystem& files, const std::string& directory, const std::string& name,
                          std::string_view contents) {
  const std::string path = join_path(directory, name);
  const std::string temporary = path + ".tmp";
  {
    NARU_TRY(auto file, files.open(temporary, OpenMode::kCreate));
    NARU_TRY_VOID(file->write_at(0, std::span(&contents, 1)));
    NARU_TRY_VOID(file->sync());
  }
  NARU_TRY_VOID(files.rename(temporary, path));
  return files.sync_directory(directory);
}

}  // namespace naru::spool
