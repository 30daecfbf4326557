#include "naru/deadletter/deadletter.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>

#include "core/base/clock.h"
#include "core/bus/kafka/kafka_bus.h"
#include "core/bus/local/local_bus.h"
#include "core/config/config.h"
#include "core/net/http_client.h"
#include "core/program/service.h"
#include "naru/deadletter/export_file.h"
#include "naru/deadletter/letter.h"
#include "naru/deadletter/replay.h"
#include "naru/deadletter/source.h"
#include "naru/output.h"
#include "naru/up/endpoints.h"
#include "naru/up/options.h"
#include "prepper/program_config.h"

namespace naru {
namespace {

using deadletter::Contents;
using deadletter::Letter;
using deadletter::Visit;
using Action = DeadLetterOptions::Action;

constexpr std::uint64_t kProgressEvery = 2 * kNanosPerSecond;

// Where the letters are, opened.
struct Place {
  std::string topic = "naru.deadletter";
  std::unique_ptr<bus::Bus> kafka;  // else embedded
  std::string data;
};

Result<Place> find_place(const DeadLetterOptions& options) {
  const int named = !options.config.empty() + !options.brokers.empty() + !options.data.empty();
  if (named > 1) {
    return fail(ErrorCode::kInvalidArgument, "--config, --brokers and --data exclude each other: name one");
  }
  Place out;
  if (!options.config.empty()) {
    const auto config = prepper::load_program_config(options.config);
    if (!config) {
      return fail(ErrorCode::kInvalidArgument, config.error().message());
    }
    NARU_TRY(out.kafka, bus::make_kafka_bus(config->kafka));
    out.topic = config->topics.dead_letters;
  } else if (!options.brokers.empty()) {
    bus::KafkaBusConfig kafka;
    kafka.brokers = options.brokers;
    NARU_TRY(out.kafka, bus::make_kafka_bus(kafka));
  } else if (!options.data.empty()) {
    out.data = options.data;
  } else {
    NARU_TRY(out.data, default_data_directory());
  }
  if (!options.topic.empty()) {
    out.topic = options.topic;
  }
  return out;
}

// "0/123"
Result<std::map<std::int32_t, std::int64_t>> parse_from(const std::vector<std::string>& texts) {
  std::map<std::int32_t, std::int64_t> out;
  for (const std::string& text : texts) {
    const auto position = bus::parse_record_position("t/" + text);
    if (!position || position->offset < 0 || !out.emplace(position->partition, position->offset).second) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("--from '{}' is not PARTITION/OFFSET, each partition once", text));
    }
  }
  return out;
}

class Run {
 public:
  Run(const DeadLetterOptions& options, const program::StopSignals& signals)
      : options_(options), signals_(signals), contents_(options.raw ? Contents::kRaw : Contents::kRedacted) {}

  // The exit code.
  Result<int> run() {
    if (!options_.filter.empty()) {
      auto condition = deadletter::LetterFilter::compile(options_.filter);
      if (!condition) {
        return fail(
            ErrorCode::kInvalidArgument,
            fmt::format("--filter, {}; fields are {}", condition.error().message(), deadletter::kFieldsHelp));
      }
      filter_ = std::move(*condition);
    }
    NARU_TRY(read_.from, parse_from(options_.from));
    if (options_.action == Action::kShow) {
      NARU_TRY(read_.only, bus::parse_record_position(options_.position));
    }
    NARU_TRY(place_, find_place(options_));
    read_.topic = read_.only ? read_.only->topic : place_.topic;
    read_.stopped = [this] {
      stopped_ = stopped_ || signals_.wait(std::chrono::milliseconds(0));
      return stopped_;
    };
    switch (options_.action) {
      case Action::kList: return list();
      case Action::kShow: return show();
      case Action::kReplay: return replay();
      case Action::kExport: return export_letters();
      case Action::kNone: break;
    }
    return program::kExitUsage;
  }

 private:
  // Calls `visitor` with each letter that the filter lets through, at most --limit.
  Result<void> each(const std::function<Result<void>(const Letter&)>& visitor) {
    const auto visit = [&](Letter& letter) -> Result<Visit> {
      const bool wanted = !filter_ || filter_->matches(letter);
      if (wanted) {
        NARU_TRY_VOID(visitor(letter));
        ++seen_;
      }
      next_[letter.position.partition] = letter.position.offset + 1;
      return (options_.limit > 0 && seen_ >= options_.limit) || stopped_ ? Visit::kStop : Visit::kGoOn;
    };
    return place_.kafka != nullptr ? deadletter::read_kafka(*place_.kafka, read_, visit)
                                   : deadletter::read_embedded(place_.data, read_, visit);
  }

  Result<int> list() {
    const bool json = options_.output == "json";
    bool head = false;
    NARU_TRY_VOID(each([&](const Letter& letter) -> Result<void> {
      if (!json && !std::exchange(head, true)) {
        NARU_TRY_VOID(print_out(deadletter::text_head()));
      }
      return print_out(json ? deadletter::to_json(letter, contents_) + "\n"
                            : deadletter::to_text(letter, contents_));
    }));
    if (!json) {
      NARU_TRY_VOID(print_out(
          fmt::format("{} dead letters{}\n", seen_,
                      options_.limit > 0 && seen_ >= options_.limit ? ", more may follow (--limit)" : "")));
    }
    return flushed(stopped_ ? program::kExitFailure : program::kExitDone);
  }

  Result<int> show() {
    NARU_TRY_VOID(
        each([&](const Letter& letter) { return print_out(deadletter::to_json(letter, contents_) + "\n"); }));
    if (seen_ == 0) {
      return fail(ErrorCode::kNotFound,
                  fmt::format("nothing lies at {}: retention deleted it, or it was never there; "
                              "`naru deadletter list` says what is",
                              options_.position));
    }
    return flushed(program::kExitDone);
  }

  Result<int> flushed(int code) {
    NARU_TRY_VOID(flush_out());
    return code;
  }

  Result<int> export_letters() {
    deadletter::ExportFiles files(options_.to, wall_now());
    NARU_TRY_VOID(each([&](const Letter& letter) {
      return files.add(letter.head.pipeline, deadletter::to_dlq_object(letter, contents_));
    }));
    NARU_TRY(const std::vector<std::string> names, files.finish());
    for (const std::string& name : names) {
      NARU_TRY_VOID(print_out(name + "\n"));
    }
    fmt::print(stderr, "naru deadletter export: {} dead letters in {} files{}\n", seen_, names.size(),
               stopped_ ? ", interrupted before the end" : "");
    return flushed(stopped_ ? program::kExitFailure : program::kExitDone);
  }

  // The bus of a `naru up` is written by that process alone; when it is down, by us.
  Result<std::unique_ptr<deadletter::ReplayTarget>> target() {
    const bool to_source = options_.to == "source";
    const std::string topic = to_source ? "" : options_.to;
    if (place_.kafka != nullptr) {
      return deadletter::to_bus(*place_.kafka, topic);
    }
    auto opened = bus::open_local_bus({.directory = deadletter::bus_directory(place_.data)});
    if (opened) {
      local_ = std::move(*opened);
      return deadletter::to_bus(*local_, topic);
    }
    if (opened.error().code() != ErrorCode::kConflict) {
      return fail(std::move(opened).error());
    }
    if (!to_source) {
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("a `naru up` is running on {}, and only it writes its bus: stop it, or replay with "
                      "--to source, which goes through its OTLP listener",
                      place_.data));
    }
    NARU_TRY(const std::string address, read_endpoint(endpoints_path(place_.data), "otlp-http"));
    net::HttpClientConfig collector;
    collector.url = "http://" + address;
    NARU_TRY(auto transport, net::make_http_client(collector));
    return deadletter::to_otlp(std::move(transport));
  }

  Result<int> replay() {
    std::unique_ptr<deadletter::ReplayTarget> to;
    if (!options_.dry_run) {
      NARU_TRY(to, target());
    }
    deadletter::Pace pace(options_.rate, monotonic_now());
    std::uint64_t sent = 0, refused = 0, told_at = monotonic_now();
    const auto send = [&](const Letter& letter) -> Result<void> {
      const Result<bus::OutRecord> record =
          deadletter::replay_record(letter, options_.to == "source" ? "" : options_.to);
      Result<void> done = record ? Result<void>() : fail(record.error());
      if (done && to != nullptr) {
        if (signals_.wait(std::chrono::ceil<std::chrono::milliseconds>(
                std::chrono::nanoseconds(pace.take(monotonic_now()))))) {
          stopped_ = true;
        }
        done = to->send(letter);
      }
      if (!done && done.error().code() == ErrorCode::kInvalidArgument) {
        ++refused;
        fmt::print(stderr, "naru deadletter replay: {} is left out: {}\n",
                   deadletter::position_text(letter.position), done.error().message());
        return {};
      }
      NARU_TRY_VOID(done);
      ++sent;
      if (const std::uint64_t now = monotonic_now(); now - told_at >= kProgressEvery) {
        told_at = now;
        fmt::print(stderr, "naru deadletter replay: {} sent\n", sent);
      }
      return {};
    };
    Result<void> done = each(send);
    if (to != nullptr) {
      Result<void> durable = to->finish();
      if (!durable) {
        done = std::move(durable);
      }
    }
    if (!done) {
      return fail(
          done.error().code(),
          fmt::format(
              "{} (before that up to {} were sent; they are sent again, with the same ids, by the same "
              "command)",
              done.error().message(), sent));
    }
    NARU_TRY_VOID(print_out(fmt::format("{} dead letters {}, {} left out\n", sent,
                                        options_.dry_run ? "would be replayed" : "replayed", refused)));
    if (stopped_) {
      std::string from;
      for (const auto& [partition, offset] : next_) {
        from += fmt::format(" --from {}/{}", partition, offset);
      }
      fmt::print(stderr, "naru deadletter replay: interrupted; go on with{}\n",
                 from.empty() ? " the same command" : from);
    }
    return flushed(refused > 0 || stopped_ ? program::kExitFailure : program::kExitDone);
  }

  const DeadLetterOptions& options_;
  const program::StopSignals& signals_;
  const Contents contents_;
  std::optional<deadletter::LetterFilter> filter_;
  Place place_;
  deadletter::ReadOptions read_;
  std::unique_ptr<bus::LocalBus> local_;
  std::uint64_t seen_ = 0;
  std::map<std::int32_t, std::int64_t> next_;  // to go on with
  bool stopped_ = false;
};

}  // namespace

void add_flags(CLI::App& app, DeadLetterOptions& options) {
  app.require_subcommand(1);
  const auto add = [&](const char* name, const char* text, Action action) {
    CLI::App* verb = app.add_subcommand(name, text);
    verb->add_option("--config", options.config, "configuration of the prepper: its Kafka, its topic");
    verb->add_option("--brokers", options.brokers, "or only the brokers of a Kafka, host:port,...");
    verb->add_option("--data", options.data,
                     "or the directory of a `naru up`, running or not (default: $XDG_STATE_HOME/naru or "
                     "~/.local/state/naru)");
    verb->callback([&options, action] { options.action = action; });
    return verb;
  };
  const auto add_raw = [&](CLI::App* verb) {
    verb->add_flag(
        "--raw", options.raw,
        "with the records themselves; else their length and hash, and nothing that OpenSearch quotes");
  };
  const auto add_choice = [&](CLI::App* verb) {
    verb->add_option("--topic", options.topic,
                     "where dead letters are (default: as configured, naru.deadletter)");
    verb->add_option(
        "--filter", options.filter,
        std::string("a condition, as in: dl.status == 400 and contains(dl.reason, \"price\"); fields: ") +
            std::string(deadletter::kFieldsHelp));
    verb->add_option("--limit", options.limit, "at most so many")->check(CLI::PositiveNumber);
    verb->add_option("--from", options.from, "PARTITION/OFFSET to begin at, for several partitions")
        ->delimiter(',');
  };
  CLI::App* list = add("list", "what was refused and why, one a line", Action::kList);
  add_choice(list);
  add_raw(list);
  list->add_option("--output", options.output, "text, or json: one object a line")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  CLI::App* show = add("show", "one dead letter as JSON", Action::kShow);
  show->add_option("position", options.position, "topic/partition/offset, as list prints it")->required();
  add_raw(show);
  CLI::App* replay = add("replay", "sends them again, with the same ids", Action::kReplay);
  add_choice(replay);
  replay->add_option("--to", options.to, "`source`: the topic that each came from; or a topic")->required();
  replay->add_option("--rate", options.rate, "records a second")
      ->check(CLI::Range(0.001, 1e7))
      ->capture_default_str();
  replay->add_flag("--dry-run", options.dry_run, "only say how many, and which cannot be");
  CLI::App* out =
      add("export", "writes them to files in the form of Data Prepper's DLQ objects", Action::kExport);
  add_choice(out);
  add_raw(out);
  out->add_option("--to", options.to, "directory for the files")->required();
}

int run_deadletter(const DeadLetterOptions& options, const program::StopSignals& signals) {
  const auto code = Run(options, signals).run();
  if (!code) {
    std::fflush(stdout);
    fmt::print(stderr, "naru deadletter: {}\n", code.error().message());
    return program::exit_code(code.error());
  }
  return *code;
}

}  // namespace naru
