#include "agent/config.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "agent/tail/glob.h"

namespace naru::agent {
namespace {

constexpr std::size_t kRecordOverheadMax = 64u << 10;  // resource, scope and attributes of one record

void check_patterns(const AgentConfig& config, std::string& problems) {
  for (const FileInputConfig& input : config.files) {
    if (input.include.empty()) {
      problems += "a file input has no include pattern: name at least one\n";
    }
    for (const std::string& pattern : input.include) {
      if (!pattern.starts_with('/')) {
        problems += fmt::format(
            "the file pattern \"{}\" is not absolute: write it from the root, as in /var/log/*.log\n",
            pattern);
        continue;
      }
      const std::string directory = fixed_directory(pattern);
      struct stat status{};
      if (::stat(directory.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
        problems += fmt::format(
            "the directory {} of the file pattern \"{}\" does not exist: make it or correct "
            "the pattern\n",
            directory, pattern);
      }
    }
  }
}

}  // namespace

Result<void> validate(const AgentConfig& config) {
  std::string problems;
  if (config.state_dir.empty()) {
    problems += "state_dir is not set: name a directory that stays over restarts\n";
  }
  if (config.files.empty() && !config.journald.enabled) {
    problems += "nothing to read: name files or switch journald on\n";
  }
  check_patterns(config, problems);
  const ShipConfig& ship = config.ship;
  if (ship.batch_bytes > kRequestBytesMax) {
    problems += fmt::format("ship.batch_bytes is {}: a collector carries at most {}\n", ship.batch_bytes,
                            kRequestBytesMax);
  }
  if (config.tail.line_bytes_max == 0 || config.tail.line_bytes_max + kRecordOverheadMax > ship.batch_bytes) {
    problems += fmt::format(
        "tail.line_bytes_max is {}: write at least 1 and at most ship.batch_bytes less {}, so that every "
        "line "
        "fits into a request\n",
        config.tail.line_bytes_max, kRecordOverheadMax);
  }
  if (config.journald.enabled && config.journald.field_bytes_max + kRecordOverheadMax > ship.batch_bytes) {
    problems += fmt::format("journald.field_bytes_max is {}: write at most ship.batch_bytes less {}\n",
                            config.journald.field_bytes_max, kRecordOverheadMax);
  }
  if (ship.in_flight_bytes_max < ship.batch_bytes) {
    problems += "ship.in_flight_bytes_max is less than ship.batch_bytes: not even one request would fit\n";
  }
  if (ship.connections == 0 || ship.connections > 64) {
    problems += "ship.connections must be from 1 to 64\n";
  }
  if (ship.retry_initial.count() <= 0 || ship.retry_max < ship.retry_initial) {
    problems += "ship.retry_initial must be above 0 and at most ship.retry_max\n";
  }
  if (ship.request_timeout.count() <= 0) {
    problems += "ship.request_timeout must be above 0\n";
  }
  if (config.tail.look_every.count() <= 0 || config.tail.rescan_every.count() <= 0) {
    problems += "tail.look_every and tail.rescan_every must be above 0\n";
  }
  if (problems.empty()) {
    return {};
  }
  problems.pop_back();
  return fail(ErrorCode::kInvalidArgument, std::move(problems));
}

}  // namespace naru::agent
