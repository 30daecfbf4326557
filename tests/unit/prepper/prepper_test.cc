#include "prepper/prepper.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>

#include "tests/unit/prepper/fakes.h"
#include "tests/unit/prepper/otlp_text.h"
#include "tests/unit/temp_dir.h"

namespace naru::prepper {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kLogs = "otlp_logs";

PrepperConfig quick_config() {
  PrepperConfig config;
  config.datasets.lifecycle.driver = LifecycleBy::kOff;  // its own tests: lifecycle/
  config.consume.commit_interval = milliseconds(1);
  config.bulk.linger = milliseconds(1);
  config.bulk.retry_first = milliseconds(1);
  config.bulk.retry_max = milliseconds(20);
  config.bulk.probe_max = milliseconds(20);
  return config;
}

std::string message(std::initializer_list<std::string> bodies, std::int64_t base,
                    std::string_view dataset = "test") {
  std::string scope_group = bytes_field(1, stamped_scope(base));
  const std::uint64_t now = wall_now();
  for (const std::string& body : bodies) {
    scope_group += bytes_field(2, log_record(text(body), "", now, now));
  }
  return bytes_field(
      1, bytes_field(1, attribute(1, "data_stream.dataset", text(dataset))) + bytes_field(2, scope_group));
}

net::HttpResponse items_of(const std::vector<std::string>& items) {
  std::string list;
  for (const std::string& item : items) {
    list += (list.empty() ? "" : ",") + item;
  }
  return net::json_response(200, "{\"took\":1,\"errors\":true,\"items\":[" + list + "]}");
}
std::string item(int status, std::string_view type, std::string_view reason = "because") {
  return "{\"create\":{\"status\":" + std::to_string(status) + ",\"error\":{\"type\":\"" + std::string(type) +
         "\",\"reason\":\"" + std::string(reason) + "\"}}}";
}

// A prepper between a fake bus and a fake OpenSearch.
class Running {
 public:
  explicit Running(PrepperConfig config = quick_config(), bool start = true) : config_(std::move(config)) {
    if (start) {
      this->start();
    }
  }
  ~Running() { stop(); }
  void start() {
    prepper_ = std::make_unique<Prepper>(config_, bus, store.factory(), registry, health);
    EXPECT_TRUE(prepper_->start());
  }
  std::size_t stop(milliseconds drain = milliseconds(0)) {
    store.set_script(nullptr);
    return prepper_ == nullptr ? 0 : prepper_->stop(drain);
  }
  Progress progress() const { return prepper_->progress(); }
  bool reaches(std::int64_t offset, const char* topic = kLogs) {
    return eventually([&] { return bus.committed(topic) == offset; });
  }
  std::string balance(const std::string& stage, const std::string& signal) {
    const auto in = counted("accepted_total", stage, signal);
    const auto out = counted("delivered_total", stage, signal) + counted("deadlettered_total", stage, signal);
    return in == out ? "" : stage + " took " + std::to_string(in) + ", settled " + std::to_string(out);
  }
  std::uint64_t counted(const std::string& what, const std::string& stage,
                        const std::string& signal = "logs") {
    return prepper::counted(registry, what, stage, signal);
  }

  FakeBus bus;
  FakeOpenSearch store;
  telemetry::Registry registry;
  telemetry::Health health{registry};

 private:
  PrepperConfig config_;
  std::unique_ptr<Prepper> prepper_;
};

TEST(Prepper, WritesEveryRecordOnceAndCommitsBehindIt) {
  Running run;
  for (int i = 0; i < 100; ++i) {
    run.bus.put(kLogs, message({"a", "b", "c"}, i * 3));
  }
  run.bus.put("otlp_spans", request("", "",
                                    {bytes_field(1, "0123456789ABCDEF") + bytes_field(2, "01234567") +
                                     fixed64_field(7, wall_now())}));
  EXPECT_TRUE(run.reaches(100));
  EXPECT_TRUE(run.reaches(1, "otlp_spans"));
  EXPECT_EQ(run.store.documents("logs-otel-v1-test-"), 300u);
  EXPECT_EQ(run.store.documents("otel-v1-apm-span-default-"), 1u);
  EXPECT_EQ(run.progress().created, 301u);
  EXPECT_EQ(run.progress().in_flight, 0u);
  EXPECT_EQ(run.balance("prepper", "logs"), "");
  EXPECT_EQ(run.balance("writer", "logs"), "");
  EXPECT_TRUE(run.health.ready());
}

TEST(Prepper, ResendsTheSameIdsAfterAnUnknownOutcomeAndCountsDuplicates) {
  Running run;
  std::atomic<int> calls{0};
  run.store.set_script([&](FakeOpenSearch& store,
                           const FakeOpenSearch::Bulk& bulk) -> std::optional<Result<net::HttpResponse>> {
    if (calls++ == 0) {
      store.apply(bulk);  // committed there, but the answer never came
      return fail(ErrorCode::kTimeout, "no answer in time");
    }
    return std::nullopt;
  });
  run.bus.put(kLogs, message({"a", "b"}, 0));
  EXPECT_TRUE(run.reaches(1));
  const auto bulks = run.store.bulks();
  ASSERT_GE(bulks.size(), 2u);
  EXPECT_EQ(bulks[0].body, bulks[1].body);
  EXPECT_EQ(run.store.documents(), 2u);
  EXPECT_EQ(run.progress().duplicates, 2u);
  EXPECT_EQ(run.progress().created, 0u);
  EXPECT_EQ(run.balance("writer", "logs"), "");
}

TEST(Prepper, SettlesEachDocumentOfAMixedAnswerByItself) {
  Running run;
  std::atomic<int> calls{0};
  run.store.set_script([&](FakeOpenSearch& store,
                           const FakeOpenSearch::Bulk& bulk) -> std::optional<Result<net::HttpResponse>> {
    if (calls++ > 0) {
      return std::nullopt;
    }
    EXPECT_EQ(bulk.lines.size(), 5u);
    store.apply_one(bulk.lines[1]);
    return items_of({store.apply_one(bulk.lines[0]), store.apply_one(bulk.lines[1]),
                     item(429, "rejected_execution_exception"),
                     item(400, "mapper_parsing_exception", "failed to parse"),
                     item(503, "unavailable_shards_exception")});
  });
  run.bus.put(kLogs, message({"created", "there", "too many", "poison", "red"}, 0));
  EXPECT_TRUE(run.reaches(1));
  EXPECT_EQ(run.store.documents(), 4u);
  EXPECT_EQ(run.progress().duplicates, 1u);
  EXPECT_EQ(run.progress().created, 3u);
  std::size_t resent = 0;
  const auto bulks = run.store.bulks();
  for (std::size_t i = 1; i < bulks.size(); ++i) {
    for (const auto& line : bulks[i].lines) {
      EXPECT_TRUE(line.document.find("too many") != std::string::npos ||
                  line.document.find("red") != std::string::npos);
      ++resent;
    }
  }
  EXPECT_EQ(resent, 2u);
  const auto letters = run.bus.stored("naru.deadletter");
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].key, run.store.bulks()[0].lines[3].id);
  EXPECT_NE(letters[0].value.find("poison"), std::string::npos);
  EXPECT_EQ(letters[0].value.find("created"), std::string::npos);
  std::map<std::string, std::string> headers;
  for (const auto& header : letters[0].headers) {
    headers[header.key] = header.value;
  }
  EXPECT_EQ(headers["naru.dl.type"], "mapper_parsing_exception");
  EXPECT_EQ(headers["naru.dl.status"], "400");
  EXPECT_EQ(headers["naru.dl.source"], "otlp_logs/0/0");
  EXPECT_EQ(headers["naru.dl.index"], run.store.bulks()[0].lines[3].index);
  EXPECT_EQ(run.balance("writer", "logs"), "");
  EXPECT_EQ(run.balance("prepper", "logs"), "");
}

TEST(Prepper, NeverCommitsPastARecordThatIsNotDurable) {
  Running run;
  std::promise<void> let_go;
  std::shared_future<void> gate(let_go.get_future());
  std::atomic<bool> first{true};
  run.store.set_script(
      [&, gate](FakeOpenSearch&, const FakeOpenSearch::Bulk&) -> std::optional<Result<net::HttpResponse>> {
        if (first.exchange(false)) {
          gate.wait();
        }
        return std::nullopt;
      });
  run.bus.put(kLogs, message({"slow"}, 0));
  ASSERT_TRUE(eventually([&] { return !first.load(); }));
  run.bus.put(kLogs, message({"quick"}, 1));
  ASSERT_TRUE(eventually([&] { return run.store.documents() == 1; }));
  const int polls = run.bus.polls();
  ASSERT_TRUE(eventually([&] { return run.bus.polls() > polls + 5; }));
  EXPECT_EQ(run.bus.committed(kLogs).value_or(0), 0);
  let_go.set_value();
  EXPECT_TRUE(run.reaches(2));
}

TEST(Prepper, SparesASuccessorWhatIsFinishedBehindAStuckRecord) {
  Running run;
  const auto hold_slow = [](FakeOpenSearch& store,
                            const FakeOpenSearch::Bulk& bulk) -> std::optional<Result<net::HttpResponse>> {
    std::vector<std::string> items;
    for (const auto& line : bulk.lines) {
      const bool held = line.document.find("slow") != std::string::npos;
      items.push_back(held ? item(503, "unavailable_shards_exception") : store.apply_one(line));
    }
    return items_of(items);
  };
  run.store.set_script(hold_slow);
  run.bus.put(kLogs, message({"slow"}, 0, "one"));
  run.bus.put(kLogs, message({"quick", "quicker"}, 1, "two"));
  run.bus.put(kLogs, message({"slow"}, 3, "one"));
  run.bus.put(kLogs, message({"quick"}, 4, "two"));
  ASSERT_TRUE(eventually([&] {
    return run.bus.metadata(kLogs) == "v1|fake-cluster|otlp_logs|0|1,1|a3d3;a3d3";
  })) << run.bus.metadata(kLogs);
  EXPECT_EQ(run.bus.committed(kLogs), 0);
  EXPECT_EQ(run.counted("accepted_total", "writer"), 5u);
  run.stop();  // the writer's script goes with it
  EXPECT_EQ(run.counted("accepted_total", "writer"), 0u) << "the series goes with the partition";
  const std::size_t bulks = run.store.bulks().size();
  run.start();
  EXPECT_TRUE(run.reaches(4));
  EXPECT_EQ(run.store.documents(), 5u);
  for (std::size_t i = bulks; i < run.store.bulks().size(); ++i) {
    EXPECT_EQ(run.store.bulks()[i].body.find("quick"), std::string::npos);
  }
  EXPECT_EQ(run.registry.counter("naru_prepper_skipped_messages_total", "", {{"pipeline", "main"}}).value(),
            2u);
  EXPECT_EQ(run.bus.metadata(kLogs), "v1|fake-cluster|otlp_logs|4||a5d5;a5d5");
  EXPECT_EQ(run.counted("delivered_total", "writer"), 5u) << "it went on counting where the commit stood";
  EXPECT_EQ(run.balance("prepper", "logs"), "");
  EXPECT_EQ(run.balance("writer", "logs"), "");
}

TEST(Prepper, IgnoresCommitMetadataOfAnotherPlace) {
  for (const char* metadata :
       {"v1|other-cluster|otlp_logs|1|1|a9d9;a9d9", "v1|fake-cluster|otlp_logs|2|1|a9d9;a9d9",
        "v1|fake-cluster|otlp_logs|1|7|a9d9;a9d9", "v1|fake-cluster|otlp_logs|1|1|a9",
        "of another program"}) {
    SCOPED_TRACE(metadata);
    Running run(quick_config(), false);
    for (int i = 0; i < 4; ++i) {
      run.bus.put(kLogs, message({std::to_string(i)}, i));
    }
    run.bus.set_committed(kLogs, 1, metadata);
    run.start();
    EXPECT_TRUE(run.reaches(4));
    EXPECT_EQ(run.store.documents(), 3u);
    EXPECT_EQ(run.counted("accepted_total", "prepper"), 3u);
    EXPECT_EQ(run.registry.counter("naru_prepper_commit_metadata_ignored_total", "", {{"pipeline", "main"}})
                  .value(),
              1u);
  }
}

TEST(Prepper, IgnoresResultsOfAPartitionThatWasTakenAway) {
  Running run;
  std::promise<void> let_go;
  std::shared_future<void> gate(let_go.get_future());
  std::atomic<int> calls{0};
  run.store.set_script(
      [&, gate](FakeOpenSearch&, const FakeOpenSearch::Bulk&) -> std::optional<Result<net::HttpResponse>> {
        if (calls++ == 0) {
          gate.wait();
        }
        return std::nullopt;
      });
  run.bus.put(kLogs, message({"a", "b"}, 0));
  ASSERT_TRUE(eventually([&] { return calls > 0; }));
  run.bus.revoke(kLogs);
  ASSERT_TRUE(eventually([&] { return !run.bus.is_assigned(kLogs); }));
  let_go.set_value();
  ASSERT_TRUE(eventually([&] { return run.store.documents() == 2; }));
  const auto late = run.registry.counter("naru_prepper_late_results_total", "", {{"pipeline", "main"}});
  ASSERT_TRUE(eventually([&] { return late.value() == 1; }));
  EXPECT_EQ(run.bus.committed(kLogs), std::nullopt);
  // The partition comes back: the records are read again and meet their first copies.
  run.bus.assign(kLogs);
  EXPECT_TRUE(run.reaches(1));
  EXPECT_EQ(run.store.documents(), 2u);
  EXPECT_EQ(run.progress().duplicates, 2u);
}

TEST(Prepper, IgnoresResultsFromBeforeAPartitionCameBack) {
  Running run;
  std::promise<void> let_go;
  std::shared_future<void> gate(let_go.get_future());
  run.store.set_script(
      [gate](FakeOpenSearch&, const FakeOpenSearch::Bulk&) -> std::optional<Result<net::HttpResponse>> {
        gate.wait();
        return std::nullopt;
      });
  run.bus.put(kLogs, message({"a", "b"}, 0));
  ASSERT_TRUE(eventually([&] { return run.progress().records == 2; }));
  run.bus.revoke(kLogs);
  run.bus.assign(kLogs);
  ASSERT_TRUE(eventually([&] { return run.progress().records == 4; }));
  let_go.set_value();
  EXPECT_TRUE(run.reaches(1));
  const auto late = run.registry.counter("naru_prepper_late_results_total", "", {{"pipeline", "main"}});
  EXPECT_TRUE(eventually([&] { return late.value() == 1; }));
  EXPECT_EQ(run.store.documents(), 2u);
}

TEST(Prepper, WaitsForAnOpenSearchThatIsAwayAndGoesOnWhenItIsBack) {
  Running run(quick_config(), false);
  run.store.set_away(true);
  run.start();
  run.bus.put(kLogs, message({"a"}, 0));
  ASSERT_TRUE(eventually([&] { return run.bus.position(kLogs) == 1; }));
  EXPECT_EQ(run.bus.committed(kLogs), std::nullopt);
  run.store.set_away(false);
  EXPECT_TRUE(run.reaches(1));
  EXPECT_EQ(run.store.documents(), 1u);
}

TEST(Prepper, TurnsRedWhileBulksFailAndGreenAgain) {
  Running run;
  run.bus.put(kLogs, message({"a"}, 0));
  ASSERT_TRUE(run.reaches(1));
  run.store.set_away(true);
  run.bus.put(kLogs, message({"b"}, 1));
  EXPECT_TRUE(eventually([&] { return !run.health.ready(); }));
  run.store.set_away(false);
  EXPECT_TRUE(run.reaches(2));
  EXPECT_TRUE(eventually([&] { return run.health.ready(); }));
}

TEST(Prepper, NoticesWithoutDocumentsThatOpenSearchIsAwayAndBack) {
  Running run(quick_config(), false);
  run.store.set_away(true);
  run.start();
  const auto is = [&](bool up) {
    return std::ranges::any_of(run.health.checks(), [&](const telemetry::Health::Check& check) {
      return check.name == "opensearch" && check.ok == up;
    });
  };
  EXPECT_TRUE(eventually([&] { return is(false); }));
  run.store.set_away(false);
  EXPECT_TRUE(eventually([&] { return is(true); }));
}

TEST(Prepper, WaitsForABusThatIsAway) {
  Running run(quick_config(), false);
  run.bus.set_away(true);
  run.start();
  EXPECT_TRUE(eventually([&] { return !run.health.ready(); }));
  run.bus.set_away(false);
  run.bus.put(kLogs, message({"a"}, 0));
  EXPECT_TRUE(run.reaches(1));
}

TEST(Prepper, KeepsAnUndecodableMessageWholeAndGoesOn) {
  Running run;
  const std::string junk = "\xff\xfe no request";
  run.bus.put(kLogs, junk);
  run.bus.put(kLogs, message({"a"}, 0));
  EXPECT_TRUE(run.reaches(2));
  const auto letters = run.bus.stored("naru.deadletter");
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].value, junk);
  EXPECT_EQ(letters[0].key.size(), 22u);
  EXPECT_EQ(run.progress().dead_letters, 1u);
  EXPECT_EQ(run.balance("prepper", "logs"), "");
}

TEST(Prepper, DoesNotCommitPastADeadLetterThatTheBusRefuses) {
  Running run;
  run.bus.refuse_sends(1);
  run.bus.put(kLogs, "\xff\xfe");
  EXPECT_TRUE(run.reaches(1));
  EXPECT_EQ(run.bus.stored("naru.deadletter").size(), 1u);
}

TEST(Prepper, FindsThePoisonOfARefusedRequestByHalves) {
  Running run;
  run.store.set_script(
      [](FakeOpenSearch&, const FakeOpenSearch::Bulk& bulk) -> std::optional<Result<net::HttpResponse>> {
        if (bulk.body.find("poison") != std::string::npos) {
          return net::json_response(
              400, R"({"error":{"type":"illegal_argument_exception","reason":"Malformed"},"status":400})");
        }
        return std::nullopt;
      });
  run.bus.put(kLogs, message({"a", "b", "c", "poison", "e", "f", "g"}, 0));
  EXPECT_TRUE(run.reaches(1));
  EXPECT_EQ(run.store.documents(), 6u);
  ASSERT_EQ(run.bus.stored("naru.deadletter").size(), 1u);
  EXPECT_NE(run.bus.stored("naru.deadletter")[0].value.find("poison"), std::string::npos);
}

TEST(Prepper, HalvesRequestsThatAreTooLarge) {
  Running run;
  run.store.set_script(
      [](FakeOpenSearch&, const FakeOpenSearch::Bulk& bulk) -> std::optional<Result<net::HttpResponse>> {
        if (bulk.lines.size() > 2 || bulk.body.find("huge") != std::string::npos) {
          return net::text_response(413, "Request Entity Too Large");
        }
        return std::nullopt;
      });
  run.bus.put(kLogs, message({"a", "b", "c", "d", "e", "huge"}, 0));
  EXPECT_TRUE(run.reaches(1));
  EXPECT_EQ(run.store.documents(), 5u);
  EXPECT_EQ(run.bus.stored("naru.deadletter").size(), 1u);
}

TEST(Prepper, CreatesAMissingIndexOnceAndAgainWhenItWasDeleted) {
  Running run;
  run.bus.put(kLogs, message({"a"}, 0));
  ASSERT_TRUE(run.reaches(1));
  ASSERT_EQ(run.store.created().size(), 1u);
  run.store.drop_index(run.store.created()[0]);
  run.bus.put(kLogs, message({"b"}, 1));
  EXPECT_TRUE(run.reaches(2));
  EXPECT_EQ(run.store.created().size(), 2u);
  EXPECT_EQ(run.store.documents(), 1u);
}

TEST(Prepper, MakesNoIndexForAPeriodOutsideRetention) {
  Running run;
  const std::uint64_t old = wall_now() - 40 * kNanosPerDay;
  run.bus.put(kLogs, request("", stamped_scope(0), {log_record(text("late"), "", old, old)}));
  EXPECT_TRUE(run.reaches(1));
  EXPECT_TRUE(run.store.created().empty());
  const auto letters = run.bus.stored("naru.deadletter");
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].headers[1].value, "late");
}

TEST(Prepper, HoldsOneIndexWhileOthersGoOn) {
  Running run;
  std::atomic<bool> blocked{true};
  run.store.set_script([&](FakeOpenSearch& store,
                           const FakeOpenSearch::Bulk& bulk) -> std::optional<Result<net::HttpResponse>> {
    std::vector<std::string> items;
    for (const auto& line : bulk.lines) {
      const bool held = blocked && line.index.find("-stuck-") != std::string::npos;
      items.push_back(held ? item(403, "cluster_block_exception") : store.apply_one(line));
    }
    return items_of(items);
  });
  run.bus.put(kLogs, message({"1", "2", "3"}, 0, "stuck"));
  ASSERT_TRUE(eventually([&] { return run.store.bulks().size() > 1; }));
  for (int i = 0; i < 20; ++i) {
    run.bus.put("otlp_metrics",
                request("", "",
                        {bytes_field(1, "m") +
                         bytes_field(5, bytes_field(1, fixed64_field(3, wall_now()) + double_field(4, i)))}));
  }
  EXPECT_TRUE(run.reaches(20, "otlp_metrics"));
  EXPECT_EQ(run.bus.committed(kLogs), std::nullopt);
  EXPECT_TRUE(run.bus.stored("naru.deadletter").empty());
  EXPECT_TRUE(eventually([&] { return run.counted("in_flight", "writer") == 3; }));
  for (std::size_t i = 1; i < run.store.bulks().size(); ++i) {
    const auto bulk = run.store.bulks()[i];
    const auto held = std::ranges::count_if(
        bulk.lines, [](const auto& line) { return line.index.find("-stuck-") != std::string::npos; });
    EXPECT_LE(held, 1) << "a held index is probed with one document";
  }
  blocked = false;
  EXPECT_TRUE(run.reaches(1));
  EXPECT_EQ(run.store.documents("stuck"), 3u);
}

TEST(Prepper, BlamesTheIndexAfterTooManyRefusalsInARow) {
  PrepperConfig config = quick_config();
  config.bulk.document_faults_max = 3;
  Running run(config);
  std::atomic<bool> broken{true};
  run.store.set_script(
      [&](FakeOpenSearch&, const FakeOpenSearch::Bulk& bulk) -> std::optional<Result<net::HttpResponse>> {
        if (!broken) {
          return std::nullopt;
        }
        return items_of(
            std::vector<std::string>(bulk.lines.size(), item(400, "strict_dynamic_mapping_exception")));
      });
  run.bus.put(kLogs, message({"1", "2", "3", "4", "5", "6"}, 0));
  ASSERT_TRUE(eventually([&] { return run.store.bulks().size() > 2; }));
  EXPECT_EQ(run.bus.stored("naru.deadletter").size(), 3u);
  EXPECT_EQ(run.bus.committed(kLogs), std::nullopt);
  broken = false;
  EXPECT_TRUE(run.reaches(1));
  EXPECT_EQ(run.bus.stored("naru.deadletter").size(), 3u);
  EXPECT_EQ(run.store.documents(), 3u);
  EXPECT_EQ(run.balance("writer", "logs"), "");
}

TEST(Prepper, PausesAtItsByteLimitAndPollsOn) {
  PrepperConfig config = quick_config();
  config.consume.bytes_max = 1u << 20;
  config.bulk.batch_bytes = 64u << 10;
  Running run(config);
  std::promise<void> let_go;
  std::shared_future<void> gate(let_go.get_future());
  run.store.set_script(
      [gate](FakeOpenSearch&, const FakeOpenSearch::Bulk&) -> std::optional<Result<net::HttpResponse>> {
        gate.wait();
        return std::nullopt;
      });
  for (int i = 0; i < 2'000; ++i) {
    run.bus.put(kLogs, message({std::string(10'000, 'x')}, i));
  }
  int polls = 0;
  std::int64_t position = -1;
  ASSERT_TRUE(eventually([&] {
    const bool still = run.bus.position(kLogs) == position && run.bus.polls() > polls + 20;
    if (run.bus.position(kLogs) != position) {
      position = run.bus.position(kLogs);
      polls = run.bus.polls();
    }
    return still;
  }));
  EXPECT_LT(position, 1'100);  // one poll of 512 records may go over
  let_go.set_value();
  EXPECT_TRUE(run.reaches(2'000));
  EXPECT_EQ(run.store.documents(), 2'000u);
}

TEST(Prepper, DrainsBeforeItStopsAndGoesOnWhereItEnded) {
  PrepperConfig config = quick_config();
  config.bulk.linger = seconds(30);
  config.consume.commit_interval = seconds(30);
  Running run(config);
  run.bus.put(kLogs, message({"a", "b"}, 0));
  ASSERT_TRUE(eventually([&] { return run.progress().records == 2; }));
  EXPECT_EQ(run.stop(seconds(10)), 0u);
  EXPECT_EQ(run.bus.committed(kLogs), 1);
  EXPECT_EQ(run.store.documents(), 2u);
  run.bus.put(kLogs, message({"c"}, 2));
  run.start();
  EXPECT_TRUE(eventually([&] { return run.progress().records == 1; }));
  EXPECT_EQ(run.counted("accepted_total", "prepper"), 3u);
}

TEST(Prepper, StopsInTimeWhileOpenSearchIsAwayAndLosesNothing) {
  Running run;
  run.store.set_away(true);
  run.bus.put(kLogs, message({"a"}, 0));
  ASSERT_TRUE(eventually([&] { return run.bus.position(kLogs) == 1; }));
  EXPECT_EQ(run.stop(milliseconds(50)), 1u);
  EXPECT_EQ(run.bus.committed(kLogs), std::nullopt);
  run.store.set_away(false);
  run.start();
  EXPECT_TRUE(run.reaches(1));
  EXPECT_EQ(run.store.documents(), 1u);
}

// A request may take bulk.request_timeout, a minute; stopping does not.
TEST(Prepper, GivesUpRequestsThatAreNotAnsweredWhenItStops) {
  Running run;
  run.store.set_mute(true);
  run.bus.put(kLogs, message({"a"}, 0));
  ASSERT_TRUE(eventually([&] { return run.progress().records == 1; }));
  EXPECT_EQ(run.stop(milliseconds(50)), 1u);
  run.store.set_mute(false);
  run.start();
  EXPECT_TRUE(run.reaches(1));
  EXPECT_EQ(run.store.documents(), 1u);
}

TEST(Prepper, PausesAStuckPartitionAtItsShareOfTheBytes) {
  PrepperConfig config = quick_config();
  config.consume.partition_bytes_max = 1u << 20;
  config.bulk.batch_bytes = 64u << 10;
  config.bulk.queue_batches_max = 1000;
  Running run(config);
  std::atomic<bool> blocked{true};
  run.store.set_script([&](FakeOpenSearch& store,
                           const FakeOpenSearch::Bulk& bulk) -> std::optional<Result<net::HttpResponse>> {
    std::vector<std::string> items;
    for (const auto& line : bulk.lines) {
      const bool held = blocked && line.index.find("-stuck-") != std::string::npos;
      items.push_back(held ? item(503, "unavailable_shards_exception") : store.apply_one(line));
    }
    return items_of(items);
  });
  for (int i = 0; i < 3'000; ++i) {
    run.bus.put(kLogs, message({std::string(2'000, 'x')}, i, "stuck"));
  }
  ASSERT_TRUE(eventually([&] { return run.store.bulks().size() > 1; }));
  for (int i = 0; i < 50; ++i) {
    run.bus.put("otlp_metrics",
                request("", "",
                        {bytes_field(1, "m") +
                         bytes_field(5, bytes_field(1, fixed64_field(3, wall_now()) + double_field(4, i)))}));
  }
  EXPECT_TRUE(run.reaches(50, "otlp_metrics"));
  const int polls = run.bus.polls();
  ASSERT_TRUE(eventually([&] { return run.bus.polls() > polls + 20; }));
  EXPECT_LT(run.bus.position(kLogs), 1'500) << "a megabyte, and one poll of 512 records over it";
  blocked = false;
  EXPECT_TRUE(run.reaches(3'000));
  EXPECT_EQ(run.store.documents("stuck"), 3'000u);
}

TEST(Prepper, WorksOnMorePartsThanThereArePartitionsInTheOrderOfTheirKeys) {
  PrepperConfig config = quick_config();
  config.consume.concurrency = 4;
  config.consume.order = Order::kKey;
  config.bulk.writers = 1;  // so that what is sent shows the order of the workers
  Running run(config);
  for (int i = 0; i < 400; ++i) {
    const std::string key = "key" + std::to_string(i % 7);
    run.bus.put(kLogs, message({key + "=" + std::to_string(1'000 + i)}, i), 0, key);
  }
  EXPECT_TRUE(run.reaches(400));
  std::map<std::string, std::string> newest;
  for (const auto& bulk : run.store.bulks()) {
    for (const auto& line : bulk.lines) {
      const std::string body = line.document.substr(line.document.find("key"), 9);
      EXPECT_LT(newest[body.substr(0, 4)], body);
      newest[body.substr(0, 4)] = body;
    }
  }
  EXPECT_EQ(newest.size(), 7u);
  EXPECT_EQ(run.store.documents(), 400u);
}

TEST(Prepper, AlarmsWhenHalfOfTheRetentionIsUsed) {
  Running run(quick_config(), false);
  run.bus.set_ages(std::chrono::hours(13), std::chrono::hours(24));
  run.store.set_away(true);
  run.start();
  run.bus.put(kLogs, message({"a"}, 0));
  const auto alarmed = [&] {
    return std::ranges::any_of(run.health.checks(), [](const telemetry::Health::Check& check) {
      return check.name == "prepper retention" && !check.ok &&
             check.reason.find("otlp_logs/0 has used 54 %") != std::string::npos;
    });
  };
  EXPECT_TRUE(eventually(alarmed));
  run.store.set_away(false);
  EXPECT_TRUE(run.reaches(1));
  EXPECT_TRUE(eventually([&] { return run.health.ready(); }));
}

TEST(Prepper, CountsWhatTheBusHadDroppedAsTakenInAndLost) {
  Running run(quick_config(), false);
  run.bus.lose(2);
  for (int i = 0; i < 3; ++i) {
    run.bus.put(kLogs, message({std::to_string(i)}, i));
  }
  run.start();
  EXPECT_TRUE(run.reaches(3));
  EXPECT_EQ(run.bus.metadata(kLogs), "v1|fake-cluster|otlp_logs|3||a3d1l2;a1d1");
  EXPECT_EQ(run.counted("lost_total", "prepper"), 2u);
  EXPECT_EQ(run.counted("accepted_total", "prepper"), 3u);
}

TEST(Prepper, SendsLessAtOnceWhileOpenSearchSaysTooMany) {
  PrepperConfig config = quick_config();
  config.bulk.writers = 4;
  config.bulk.batch_bytes = 64u << 10;
  Running run(config);
  std::atomic<int> refusals{50};
  run.store.set_script(
      [&](FakeOpenSearch&, const FakeOpenSearch::Bulk&) -> std::optional<Result<net::HttpResponse>> {
        if (refusals-- > 0) {
          return net::json_response(
              429, R"({"error":{"type":"rejected_execution_exception","reason":"busy"},"status":429})");
        }
        return std::nullopt;
      });
  for (int i = 0; i < 100; ++i) {
    run.bus.put(kLogs, message({std::string(20'000, 'x')}, i));
  }
  EXPECT_TRUE(run.reaches(100));
  EXPECT_EQ(run.store.documents(), 100u);
}

// --- pipelines

class PipelineDirectory {
 public:
  // Another inode each time, as deployments do.
  void write(std::string_view text, const char* name = "a.yaml") {
    const std::string next = directory_ / "next";
    std::ofstream(next) << text;
    std::filesystem::rename(next, directory_ / name);
  }
  PrepperConfig config() const {
    PrepperConfig out = quick_config();
    out.pipelines.directory = directory_.path();
    out.pipelines.look_every = milliseconds(10);
    return out;
  }

 private:
  test::TempDir directory_;
};

bool says(const Running& run, std::string_view text) {
  return std::ranges::any_of(run.health.checks(),
                             [&](const auto& check) { return check.reason.contains(text); });
}

TEST(Prepper, CountsWhatPipelinesDropAndMultiply) {
  PipelineDirectory directory;
  directory.write(
      "name: a\nprocessors:\n  - drop: {when: 'body == \"drop\"'}\n"
      "routes: [{when: 'body == \"two\"', dataset: x, continue: true}, {dataset: y}]\n");
  Running run(directory.config());
  run.bus.put(kLogs, message({"one", "drop", "two"}, 0));
  run.bus.put(kLogs, message({"drop", "drop"}, 3));  // a message without any output is finished too
  EXPECT_TRUE(run.reaches(2));
  EXPECT_EQ(run.store.documents("logs-otel-v1-y-"), 2u);
  EXPECT_EQ(run.store.documents("logs-otel-v1-x-"), 1u);
  EXPECT_TRUE(eventually([&] { return run.counted("dropped_total", "prepper") == 3; }));
  EXPECT_EQ(run.counted("accepted_total", "prepper") + run.counted("created_total", "prepper"),
            run.counted("delivered_total", "prepper") + run.counted("dropped_total", "prepper"));
  EXPECT_EQ(run.counted("created_total", "prepper"), 1u);
  EXPECT_EQ(run.balance("writer", "logs"), "");
}

TEST(Prepper, AReloadWaitsUntilWhatIsInFlightIsCommitted) {
  PipelineDirectory directory;
  directory.write("name: a\nroutes: [{dataset: old}]\n");
  Running run(directory.config());
  std::promise<void> let_go;
  std::shared_future<void> gate(let_go.get_future());
  std::atomic<bool> held{false};
  run.store.set_script(
      [&, gate](FakeOpenSearch&, const FakeOpenSearch::Bulk&) -> std::optional<Result<net::HttpResponse>> {
        held = true;
        gate.wait();
        return std::nullopt;
      });
  run.bus.put(kLogs, message({"before"}, 0));
  ASSERT_TRUE(eventually([&] { return held.load(); }));
  directory.write("name: a\nroutes: [{dataset: new}]\n");
  const int polls = run.bus.polls();
  ASSERT_TRUE(eventually([&] { return run.bus.polls() > polls + 50; }));
  run.bus.put(kLogs, message({"after"}, 1));
  ASSERT_TRUE(eventually([&] { return run.bus.polls() > polls + 100; }));
  EXPECT_EQ(run.bus.committed(kLogs).value_or(0), 0);
  let_go.set_value();
  EXPECT_TRUE(run.reaches(2));
  EXPECT_EQ(run.store.documents("logs-otel-v1-old-"), 1u);
  EXPECT_EQ(run.store.documents("logs-otel-v1-new-"), 1u);
}

TEST(Prepper, PipelinesThatDoNotCompileChangeNothingAndSaySo) {
  PipelineDirectory directory;
  directory.write("name: a\nroutes: [{dataset: old}]\n");
  Running run(directory.config());
  directory.write("name: a\nprocessors: [{jsn: {}}]\n");
  ASSERT_TRUE(eventually([&] { return says(run, "there is no processor 'jsn'"); }));
  run.bus.put(kLogs, message({"x"}, 0));
  EXPECT_TRUE(run.reaches(1));
  EXPECT_EQ(run.store.documents("logs-otel-v1-old-"), 1u);
  directory.write("name: a\nroutes: [{dataset: new}]\n");
  ASSERT_TRUE(eventually([&] { return !says(run, "pipelines"); }));
  run.bus.put(kLogs, message({"y"}, 1));
  EXPECT_TRUE(run.reaches(2));
  EXPECT_EQ(run.store.documents("logs-otel-v1-new-"), 1u);
}

TEST(Prepper, AReloadThatFindsNoRestKeepsThePipelinesBefore) {
  PipelineDirectory directory;
  directory.write("name: a\nroutes: [{dataset: old}]\n");
  PrepperConfig config = directory.config();
  config.pipelines.rest_max = milliseconds(20);
  Running run(std::move(config));
  std::atomic<bool> stuck{true};
  run.store.set_script(
      [&](FakeOpenSearch&, const FakeOpenSearch::Bulk&) -> std::optional<Result<net::HttpResponse>> {
        return stuck ? std::optional<Result<net::HttpResponse>>(fail(ErrorCode::kUnavailable, "away"))
                     : std::nullopt;
      });
  run.bus.put(kLogs, message({"x"}, 0));
  const auto waits = [&] { return says(run, "the changed pipelines wait"); };
  directory.write("name: a\nroutes: [{dataset: new}]\n");
  ASSERT_TRUE(eventually(waits));
  stuck = false;
  EXPECT_TRUE(run.reaches(1));
  EXPECT_EQ(run.store.documents("logs-otel-v1-old-"), 1u);
  ASSERT_TRUE(eventually([&] { return !waits(); }));
  run.bus.put(kLogs, message({"y"}, 1));
  EXPECT_TRUE(run.reaches(2));
  EXPECT_EQ(run.store.documents("logs-otel-v1-new-"), 1u);
}

}  // namespace
}  // namespace naru::prepper
