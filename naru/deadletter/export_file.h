// Files of dead letters as Data Prepper writes them: {"dlqObjects":[...]}, one a pipeline.
#pragma once

#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"

namespace naru::deadletter {

// dlq-v1-<pipeline>-opensearch-<time>-<uuid>; what a file name cannot hold becomes '_'.
std::string export_name(std::string_view pipeline, UnixNanos now, const std::array<unsigned char, 16>& uuid);

// Grows "<name>.part" and renames it in finish(): a file without that end is whole. Never overwrites. What
// was not finished is removed.
class ExportFiles {
 public:
  ExportFiles(std::string directory, UnixNanos now) : directory_(std::move(directory)), now_(now) {}
  ~ExportFiles();
  ExportFiles(const ExportFiles&) = delete;
  ExportFiles& operator=(const ExportFiles&) = delete;

  // kIo, kInvalidArgument: too many pipelines.
  Result<void> add(const std::string& pipeline, std::string_view object);
  // Paths, durable.
  Result<std::vector<std::string>> finish();

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  struct Out {
    std::string path;
    std::unique_ptr<std::FILE, Close> file;
    bool empty = true;
  };
  Result<Out> open(const std::string& pipeline) const;
  static Result<void> write(Out& out, std::string_view text);

  const std::string directory_;
  const UnixNanos now_;
  std::map<std::string, Out> files_;
};

}  // namespace naru::deadletter
