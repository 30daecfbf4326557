#include "naru/spool/spool.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <set>

#include "core/base/bytes.h"
#include "core/base/clock.h"
#include "core/base/json_text.h"
#include "core/program/service.h"
#include "core/spool/log_walk.h"
#include "naru/output.h"

namespace naru {
namespace {

using spool::Damage;
using spool::DamageKind;
using spool::EntryView;
using spool::SegmentReport;

std::string time_or_dash(const SegmentReport& report, UnixNanos time) {
  return report.records == 0 ? "-" : format_rfc3339(time);
}

std::string offset_or_dash(const std::optional<std::uint64_t>& offset) {
  return offset ? fmt::format("{}", *offset) : "-";
}

std::string state_of(const SegmentReport& report) {
  std::string out;
  const auto add = [&](const std::string& text) { out += (out.empty() ? "" : ", ") + text; };
  if (report.sparse) {
    add("sparse");
  }
  if (report.skipped_frames > 0) {
    add(fmt::format("{} of unknown type", report.skipped_frames));
  }
  if (report.tail_bytes > 0) {
    add(fmt::format("{} bytes unfinished", report.tail_bytes));
  }
  if (!report.damage.empty()) {
    add(fmt::format("DAMAGED at {} places", report.damage.size()));
  }
  return out.empty() ? "good" : out;
}

std::string describe(const std::string& log, const SegmentReport& report, const Damage& damage) {
  std::string out = fmt::format("{}/{}: byte {}: {}, {} bytes", log, report.name, damage.position,
                                to_string(damage.kind), damage.bytes);
  if (damage.entries_lost > 0) {
    out += fmt::format(", {} records lost from offset {}", damage.entries_lost, damage.first_offset);
  }
  return out + '\n';
}

struct Totals {
  std::uint64_t segments = 0;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  std::uint64_t places = 0;  // with damage
  std::uint64_t tail_bytes = 0;

  void add(const SegmentReport& report) {
    ++segments;
    records += report.records;
    bytes += report.bytes;
    places += report.damage.size();
    tail_bytes += report.tail_bytes;
  }
};

Result<void> inspect(const std::string& log, Totals& totals) {
  NARU_TRY_VOID(
      print_out(fmt::format("{}\n{:<24} {:>12} {:>10} {:>12} {:>12} {:<30} {:<30} {}\n", log, "SEGMENT",
                            "BYTES", "RECORDS", "FIRST", "LAST", "FIRST TIME", "LAST TIME", "STATE")));
  return spool::walk_log(spool::posix_file_system(), log, {.segment = [&](const SegmentReport& report) {
                           totals.add(report);
                           return print_out(fmt::format(
                               "{:<24} {:>12} {:>10} {:>12} {:>12} {:<30} {:<30} {}\n", report.name,
                               report.bytes, report.records, offset_or_dash(report.first_offset),
                               offset_or_dash(report.last_offset), time_or_dash(report, report.first_time),
                               time_or_dash(report, report.last_time), state_of(report)));
                         }});
}

Result<void> verify(const std::string& log, Totals& totals) {
  return spool::walk_log(spool::posix_file_system(), log,
                         {.segment = [&](const SegmentReport& report) -> Result<void> {
                           totals.add(report);
                           for (const Damage& damage : report.damage) {
                             NARU_TRY_VOID(print_out(describe(log, report, damage)));
                           }
                           return {};
                         }});
}

Result<void> export_records(const SpoolOptions& options, const std::string& log, Totals& totals) {
  std::string line;
  const auto write = [&](const EntryView& entry) -> Result<void> {
    if (entry.offset < options.from) {
      return {};
    }
    line.clear();
    if (options.format == "raw") {
      append_le<std::uint32_t>(line, static_cast<std::uint32_t>(entry.payload.size()));
      NARU_TRY_VOID(print_out(line));
      return print_out(entry.payload);
    }
    fmt::format_to(std::back_inserter(line), R"({{"log":{},"offset":{},"time":"{}","flags":{},"payload":")",
                   json_string(log), entry.offset, format_rfc3339(entry.time), entry.flags);
    append_base64(line, entry.payload);
    line += "\"}\n";
    return print_out(line);
  };
  return spool::walk_log(spool::posix_file_system(), log,
                         {.entry = write, .segment = [&](const SegmentReport& report) -> Result<void> {
                            totals.add(report);
                            for (const Damage& damage : report.damage) {
                              fmt::print(stderr, "naru spool export: {}", describe(log, report, damage));
                            }
                            return {};
                          }});
}

Result<Totals> run(const SpoolOptions& options) {
  NARU_TRY(const auto logs, logs_below(options.directory));
  if (options.action == SpoolOptions::Action::kExport && options.format == "raw" && logs.size() > 1) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' holds {} logs and raw output cannot tell them apart: name one of them "
                            "('{}', ...), or leave --format raw out",
                            options.directory, logs.size(), logs.front()));
  }
  Totals totals;
  for (const std::string& log : logs) {
    Result<void> done;
    switch (options.action) {
      case SpoolOptions::Action::kInspect: done = inspect(log, totals); break;
      case SpoolOptions::Action::kVerify: done = verify(log, totals); break;
      default: done = export_records(options, log, totals); break;
    }
    // A log whose segments were all deleted since the listing has nothing to show.
    if (!done && done.error().code() != ErrorCode::kNotFound) {
      return fail(std::move(done).error());
    }
  }
  if (options.action == SpoolOptions::Action::kVerify) {
    NARU_TRY_VOID(print_out(
        fmt::format("{} logs, {} segments, {} records, {} bytes ({} of them unfinished at the end): {}\n",
                    logs.size(), totals.segments, totals.records, totals.bytes, totals.tail_bytes,
                    totals.places == 0 ? "good" : fmt::format("damaged at {} places", totals.places))));
  }
  NARU_TRY_VOID(flush_out());
  return totals;
}

}  // namespace

void add_flags(CLI::App& app, SpoolOptions& options) {
  app.require_subcommand(1);
  const auto add = [&](const char* name, const char* text, SpoolOptions::Action action) {
    CLI::App* verb = app.add_subcommand(name, text);
    verb->add_option("directory", options.directory, "a log's directory, or one above several logs")
        ->required();
    verb->callback([&options, action] { options.action = action; });
    return verb;
  };
  add("inspect", "a table of the segments", SpoolOptions::Action::kInspect);
  add("verify", "checks every record; exit 1 and the position of each damage when there is any",
      SpoolOptions::Action::kVerify);
  CLI::App* out = add("export", "writes the records to the output", SpoolOptions::Action::kExport);
  out->add_option("--format", options.format,
                  "json: one object a line, the payload in base64; or raw: each payload behind its length "
                  "(4 bytes, little-endian)")
      ->check(CLI::IsMember({"json", "raw"}))
      ->capture_default_str();
  out->add_option("--from", options.from, "first offset to write")->capture_default_str();
}

Result<std::vector<std::string>> logs_below(const std::string& directory) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::set<std::string> logs;
  for (auto at = fs::recursive_directory_iterator(directory, error);
       !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    if (spool::parse_segment_name(at->path().filename().native())) {
      logs.insert(at->path().parent_path().native());
    }
  }
  if (error) {
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("cannot read the directory '{}': {}; name the directory of a log, or one above it",
                    directory, error.message()));
  }
  if (logs.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("no log lies in '{}': nothing in it or below it has the name of a segment "
                            "(00000000000000000000.seg)",
                            directory));
  }
  return std::vector<std::string>(logs.begin(), logs.end());
}

int run_spool(const SpoolOptions& options) {
  const auto totals = run(options);
  if (!totals) {
    std::fflush(stdout);
    fmt::print(stderr, "naru spool: {}\n", totals.error().message());
    return program::exit_code(totals.error());
  }
  const bool judges = options.action != SpoolOptions::Action::kInspect;
  return judges && totals->places > 0 ? program::kExitFailure : program::kExitDone;
}

}  // namespace naru
