#include "agent/config.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "agent/tail/glob.h"

namespace naru::agent {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kRecordOverheadMax = 64u << 10;  // resource, scope and attributes of one record

void check_patterns(const AgentConfig& config, std::vector<Problem>& problems) {
  for (std::size_t i = 0; i < config.files.size(); ++i) {
    const std::string key = fmt::format("files[{}].include", i);
    if (config.files[i].include.empty()) {
      problems.push_back({key, "names no pattern: write at least one, such as /var/log/*.log"});
    }
    for (const std::string& pattern : config.files[i].include) {
      if (!pattern.starts_with('/')) {
        problems.push_back(
            {key,
             fmt::format("\"{}\" is not absolute: write it from the root, as in /var/log/*.log", pattern)});
        continue;
      }
      const std::string directory = fixed_directory(pattern);
      struct stat status{};
      if (::stat(directory.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
        problems.push_back(
            {key, fmt::format("the directory {} of \"{}\" does not exist: make it or correct the "
                              "pattern",
                              directory, pattern)});
      }
    }
  }
}

}  // namespace

std::vector<Problem> find_problems(const AgentConfig& config) {
  std::vector<Problem> problems;
  const ShipConfig& ship = config.ship;
  if (config.state_dir.empty()) {
    problems.push_back({"state_dir", "is not set: name a directory that stays over restarts"});
  }
  if (config.files.empty() && !config.journald.enabled) {
    problems.push_back({"files", "nothing to read: name files or set journald.enabled"});
  }
  check_patterns(config, problems);
  if (ship.batch_bytes > kRequestBytesMax) {
    problems.push_back(
        {"ship.batch_bytes", fmt::format("a collector carries at most {} bytes", kRequestBytesMax)});
  }
  const std::size_t record_max =
      ship.batch_bytes > kRecordOverheadMax ? ship.batch_bytes - kRecordOverheadMax : 0;
  if (config.tail.line_bytes_max == 0 || config.tail.line_bytes_max > record_max) {
    problems.push_back(
        {"tail.line_bytes_max",
         fmt::format("write 1 to {} bytes, so that every line fits into a request (ship.batch_bytes)",
                     record_max)});
  }
  if (config.journald.field_bytes_max == 0 || config.journald.field_bytes_max > record_max) {
    problems.push_back({"journald.field_bytes_max",
                        fmt::format("write 1 to {} bytes, so that every message fits into a request "
                                    "(ship.batch_bytes)",
                                    record_max)});
  }
  if (ship.in_flight_bytes_max < ship.batch_bytes) {
    problems.push_back(
        {"ship.in_flight_bytes_max", "is less than ship.batch_bytes: not even one request would fit"});
  }
  if (ship.connections == 0 || ship.connections > 64) {
    problems.push_back({"ship.connections", "write 1 to 64"});
  }
  if (ship.retry_initial <= milliseconds(0) || ship.retry_max < ship.retry_initial) {
    problems.push_back({"ship.retry_initial", "must be above 0 and at most ship.retry_max"});
  }
  if (ship.request_timeout <= milliseconds(0)) {
    problems.push_back({"ship.request_timeout", "must be above 0"});
  }
  if (config.tail.look_every <= milliseconds(0) || config.tail.rescan_every <= milliseconds(0)) {
    problems.push_back({"tail.look_every", "this and tail.rescan_every must be above 0"});
  }
  return problems;
}

Result<void> validate(const AgentConfig& config) {
  std::string text;
  for (const Problem& problem : find_problems(config)) {
    text += fmt::format("{}{}: {}", text.empty() ? "" : "\n", problem.key, problem.sentence);
  }
  if (text.empty()) {
    return {};
  }
  return fail(ErrorCode::kInvalidArgument, std::move(text));
}

void describe(config::Schema<FileInputConfig>& s) {
  s.field("include", &FileInputConfig::include,
          "Absolute patterns with *, ? and [] inside a name and ** for any depth.")
      .required()
      .example("[/var/log/nginx/*.log]");
  s.field("exclude", &FileInputConfig::exclude, "Patterns of names or whole paths that are left out.");
  s.field("from_start", &FileInputConfig::from_start,
          "Read files that are there at the very first start from their beginning, not from near their end.");
  s.field("service_name", &FileInputConfig::service_name, "Resource attribute service.name of their records.")
      .example("shop");
  s.field("attributes", &FileInputConfig::attributes, "Further resource attributes of their records.");
}

void describe(config::Schema<TailConfig>& s) {
  s.bytes("line_bytes_max", &TailConfig::line_bytes_max,
          "Longer lines are cut, marked with naru.truncated_bytes and counted.");
  s.bytes("first_start_bytes_max", &TailConfig::first_start_bytes_max,
          "How far before its end a file begins that is there at the very first start.");
  s.field("files_max", &TailConfig::files_max, "Files followed at once; further ones wait and are counted.")
      .min(1);
  s.field("open_files_max", &TailConfig::open_files_max, "Open descriptors; over it idle files are closed.")
      .min(16);
  s.field("partial_line_after", &TailConfig::partial_line_after,
          "A line without its line feed is sent after this long without growth; 0: only when its file is "
          "rotated.");
  s.field("look_every", &TailConfig::look_every, "Looks at what inotify does not tell of.");
  s.field("rescan_every", &TailConfig::rescan_every, "Scans of all directories, beside inotify.");
  s.field("unnamed_wait", &TailConfig::unnamed_wait,
          "A file that was renamed away or unlinked is read until it is quiet this long.");
  s.field("copy_grace", &TailConfig::copy_grace,
          "A new file that begins exactly like another is watched this long for being its copy.");
  s.field("forget_after", &TailConfig::forget_after,
          "Age at which the checkpoint of a file that is gone is dropped.");
}

void describe(config::Schema<SpoolConfig>& s) {
  s.bytes(
      "bytes_max", &SpoolConfig::bytes_max,
      "Disk for unsent bytes of files that were renamed away or unlinked; over it such files are only kept "
      "open, and an agent that is killed loses their rest.");
}

void describe(config::Schema<JournaldConfig>& s) {
  s.field("enabled", &JournaldConfig::enabled, "Read the systemd journal.");
  s.field("directory", &JournaldConfig::directory, "Journal files of another place than the machine's own.")
      .example("/var/log/journal/remote");
  s.field("from_start", &JournaldConfig::from_start,
          "At the very first start read everything that is there.");
  s.field("first_start_entries", &JournaldConfig::first_start_entries,
          "Otherwise this many entries before its end.");
  s.bytes("field_bytes_max", &JournaldConfig::field_bytes_max, "Longer messages are cut and marked.");
  s.field("attributes", &JournaldConfig::attributes, "Further resource attributes of its records.");
}

void describe(config::Schema<ShipConfig>& s) {
  s.bytes("batch_bytes", &ShipConfig::batch_bytes, "Encoded size at which a batch is closed.").min(100'000);
  s.bytes("request_bytes_max", &ShipConfig::request_bytes_max,
          "Batches that wait for the same connection travel in one request up to this size; 0: each alone.")
      .max(32u << 20);
  s.bytes("in_flight_bytes_max", &ShipConfig::in_flight_bytes_max,
          "Encoded bytes that are not acknowledged; over it files wait.");
  s.field("connections", &ShipConfig::connections,
          "Connections to the collector; a file keeps to one, so that its order stands.");
  s.field("linger", &ShipConfig::linger, "Least time between two requests that are not full.");
  s.field("request_timeout", &ShipConfig::request_timeout, "How long an answer may take.");
  s.field("retry_initial", &ShipConfig::retry_initial, "Longest wait after a first failure; it doubles.");
  s.field("retry_max", &ShipConfig::retry_max, "Longest wait between two attempts.");
  s.field("held_retry", &ShipConfig::held_retry,
          "How often a record that the collector refuses is offered again.");
  s.field("stalled_after", &ShipConfig::stalled_after,
          "/readyz turns red when a request is not acknowledged for this long.");
}

}  // namespace naru::agent
