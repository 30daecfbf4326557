// The store as a whole: durability, concurrency, background work, limits.
#include "store/store.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <set>
#include <sstream>
#include <thread>

#include "tests/unit/store/test_store.h"

namespace naru::store {
namespace {

constexpr const char* kTemplate =
    R"({"index_patterns":["l-*"],"template":{"mappings":{"dynamic":"strict","properties":
{"@timestamp":{"type":"date_nanos"},"body":{"type":"text"},"n":{"type":"long"},"k":{"type":"keyword"}}}}})";

std::string bulk_of(int from, int to, std::string_view index = "l-a", std::string_view verb = "create") {
  std::string body;
  for (int i = from; i < to; ++i) {
    body += fmt::format("{{\"{}\":{{\"_index\":\"{}\",\"_id\":\"id-{}\"}}}}\n", verb, index, i);
    body += fmt::format(R"({{"@timestamp":{},"body":"line {} of the test {}","n":{},"k":"key-{}"}})",
                        1'795'219'200'000 + i, i, std::string(60, 'x'), i, i % 7);
    body += '\n';
  }
  return body;
}

std::size_t occurrences(std::string_view text, std::string_view what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string_view::npos;
       at = text.find(what, at + what.size())) {
    ++count;
  }
  return count;
}

std::uint64_t count_of(TestStore& store, const std::string& index = "l-a", const std::string& query = "") {
  const std::string answer = store.ok("POST", "/" + index + "/_count", query);
  return std::stoull(answer.substr(answer.find(':') + 1));
}

TEST(StoreTest, KeepsEverythingAcrossACloseAndAnOpen) {
  TestStore store;
  store.ok("PUT", "/_index_template/l", kTemplate);
  store.ok("POST", "/_bulk", bulk_of(0, 100));
  store.ok("POST", "/_bulk", bulk_of(50, 60, "l-a", "index"));
  store.ok("PUT", "/l-a/_alias/all");
  store.ok("PUT", "/_cluster/settings", R"({"persistent":{"action.auto_create_index":"-none"}})");
  store.close();
  store.open();
  EXPECT_EQ(count_of(store), 100u);
  EXPECT_EQ(count_of(store, "all"), 100u);
  EXPECT_EQ(difference(R"({"_version":2,"found":true})", store.ok("GET", "/l-a/_doc/id-55")), "");
  EXPECT_EQ(occurrences(store.ok("POST", "/_bulk", bulk_of(0, 100)), "\"status\":409"), 100u);
  EXPECT_EQ(occurrences(store.ok("POST", "/_bulk", bulk_of(0, 1, "none")), "\"status\":404"), 1u);
  EXPECT_EQ(store.call("GET", "/_index_template/l").status, 200);
}

// A child process is killed while it writes; what it was told to be stored must be there, once.
TEST(StoreTest, AKillLosesNothingThatWasAnswered) {
  const test::TempDir directory;
  StoreConfig config;
  config.directory = directory.path() + "/store";
  config.disk_free_min = 0;
  for (int round = 0; round < 3; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      telemetry::Registry registry;
      auto store = Store::open(config, registry);
      if (!store) {
        ::_exit(1);
      }
      static_cast<void>((*store)->put_template("l", kTemplate));
      // Small bulks, so that joining goes on beside; then ever new ids until the kill.
      for (int i = round * 1'000'000;; i += 10) {
        auto answer = (*store)->bulk(bulk_of(i, i + 10), {});
        if (!answer || answer->find("\"errors\":false") == std::string::npos ||
            ::write(pipe_ends[1], &i, sizeof(i)) != sizeof(i)) {
          ::_exit(2);
        }
        if (i % 200 == 0) {
          (*store)->maintain(wall_now());
        }
      }
    }
    ::close(pipe_ends[1]);
    int last = -1;
    for (int answered = 0; answered < 150; ++answered) {
      ASSERT_EQ(::read(pipe_ends[0], &last, sizeof(last)), static_cast<ssize_t>(sizeof(last)));
    }
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    for (int more = 0; ::read(pipe_ends[0], &more, sizeof(more)) == static_cast<ssize_t>(sizeof(more));) {
      last = more;
    }
    ::close(pipe_ends[0]);

    telemetry::Registry registry;
    auto store = Store::open(config, registry);
    ASSERT_TRUE(store) << store.error().message();
    const int first = round * 1'000'000;
    Store::SearchOptions options;
    options.count_only = true;
    const auto counted = (*store)->search(
        "l-a", fmt::format(R"({{"query":{{"range":{{"n":{{"gte":{},"lt":{}}}}}}}}})", first, last + 10),
        options);
    ASSERT_TRUE(counted);
    EXPECT_EQ(difference(fmt::format("{{\"count\":{}}}", last + 10 - first), *counted), "");
    // A replay of all of it, and of the bulk that may have been cut: nothing is doubled.
    const auto replayed = (*store)->bulk(bulk_of(first, last + 20), {});
    ASSERT_TRUE(replayed);
    EXPECT_GE(occurrences(*replayed, "\"status\":409"), static_cast<std::size_t>(last + 10 - first));
    const auto total = (*store)->search(
        "l-a", fmt::format(R"({{"query":{{"range":{{"n":{{"gte":{}}}}}}}}})", first), options);
    EXPECT_EQ(difference(fmt::format("{{\"count\":{}}}", last + 20 - first), *total), "");
  }
}

TEST(StoreTest, ParallelBulksOfTheSameIdsStoreEachOnce) {
  TestStore store;
  store.ok("PUT", "/_index_template/l", kTemplate);
  std::vector<std::future<std::string>> answers;
  for (int sender = 0; sender < 8; ++sender) {
    answers.push_back(std::async(std::launch::async, [&] {
      std::string all;
      for (int part = 0; part < 10; ++part) {
        all += store.call("POST", "/_bulk", bulk_of(part * 100, part * 100 + 100)).body;
      }
      return all;
    }));
  }
  std::size_t created = 0;
  std::size_t conflicts = 0;
  for (auto& answer : answers) {
    const std::string text = answer.get();
    created += occurrences(text, "\"status\":201");
    conflicts += occurrences(text, "\"status\":409");
  }
  EXPECT_EQ(created, 1000u);
  EXPECT_EQ(conflicts, 7000u);
  EXPECT_EQ(count_of(store), 1000u);
}

TEST(StoreTest, JoinsSmallBlocksWithoutLosingOrMovingADocument) {
  TestStore store;
  store.ok("PUT", "/_index_template/l", kTemplate);
  for (int i = 0; i < 400; ++i) {
    store.ok("POST", "/_bulk", bulk_of(i, i + 1));
  }
  store.ok("POST", "/_bulk", bulk_of(7, 8, "l-a", "index"));  // overwritten rows must survive a join as such
  const std::string query = R"({"size":500,"sort":["_doc"],"_source":["n"]})";
  const std::string before = store.ok("POST", "/l-a/_search", query);
  store.store->maintain(wall_now());
  const std::string metrics = store.registry->expose();
  EXPECT_EQ(metrics.find("naru_store_joined_blocks_total 0"), std::string::npos);
  const std::string after = store.ok("POST", "/l-a/_search", query);
  EXPECT_EQ(before.substr(before.find("\"hits\"")), after.substr(after.find("\"hits\"")));
  EXPECT_EQ(count_of(store), 400u);
  store.close();
  store.open();
  const std::string reopened = store.ok("POST", "/l-a/_search", query);
  EXPECT_EQ(before.substr(before.find("\"hits\"")), reopened.substr(reopened.find("\"hits\"")));
}

TEST(StoreTest, FindsIdsInRunsAndAfterTheirMerge) {
  TestStore store;
  store.ok("PUT", "/_index_template/l", kTemplate);
  constexpr int kStep = 20'000;
  constexpr int kAll = 18 * kStep;  // five runs: four of them are merged
  for (int i = 0; i < kAll; i += kStep) {
    store.ok("POST", "/_bulk", bulk_of(i, i + kStep));
  }
  store.store->maintain(wall_now());
  EXPECT_EQ(occurrences(store.ok("POST", "/_bulk", bulk_of(0, kStep)), "\"status\":409"),
            static_cast<std::size_t>(kStep));
  store.close();
  store.open();
  EXPECT_EQ(occurrences(store.ok("POST", "/_bulk", bulk_of(kAll - kStep, kAll)), "\"status\":409"),
            static_cast<std::size_t>(kStep));
  EXPECT_EQ(difference(R"({"found":true,"_source":{"n":123456}})", store.ok("GET", "/l-a/_doc/id-123456")),
            "");
  EXPECT_EQ(store.call("GET", "/l-a/_doc/id-999999999").status, 404);
  EXPECT_EQ(count_of(store), static_cast<std::uint64_t>(kAll));
}

TEST(StoreTest, ADropNeverReachesThroughAnAlias) {
  TestStore store;
  store.ok("PUT", "/_index_template/l", kTemplate);
  store.ok("POST", "/_bulk", bulk_of(0, 3));
  store.ok("POST", "/_bulk", bulk_of(0, 3, "l-b"));
  store.ok("PUT", "/l-a/_alias/all");
  for (const char* target : {"/all", "/l-b,all", "/all?ignore_unavailable=true"}) {
    const net::HttpResponse response = store.call("DELETE", target);
    EXPECT_EQ(response.status, 400) << target;
    EXPECT_NE(response.body.find("[all] matches an alias"), std::string::npos) << response.body;
  }
  store.ok("DELETE", "/al*");
  EXPECT_EQ(count_of(store), 3u);
  EXPECT_EQ(count_of(store, "l-b"), 3u);
  store.ok("DELETE", "/l-*");
  EXPECT_EQ(store.call("GET", "/l-a/_count").status, 404);
}

TEST(StoreTest, ASearchSeesWhatWasThereWhenItBeganEvenAcrossADrop) {
  TestStore store;
  store.ok("PUT", "/_index_template/l", kTemplate);
  store.ok("POST", "/_bulk", bulk_of(0, 5000));
  std::thread dropper([&] { store.call("DELETE", "/l-a"); });
  for (int i = 0; i < 20; ++i) {
    const net::HttpResponse response = store.call(
        "POST", "/l-a/_search", R"({"size":1,"query":{"match":{"body":"line"}},"track_total_hits":true})");
    if (response.status == 200) {
      EXPECT_EQ(difference(R"({"hits":{"total":{"value":5000}}})", response.body), "");
    } else {
      EXPECT_EQ(response.status, 404) << response.body;
    }
  }
  dropper.join();
  EXPECT_EQ(store.call("GET", "/l-a/_count").status, 404);
  store.ok("POST", "/_bulk", bulk_of(0, 3));
  EXPECT_EQ(count_of(store), 3u);
}

TEST(StoreTest, DropsIndicesOlderThanTheRetention) {
  TestStore store;
  store.close();
  store.config.retention_days = 7;
  store.open();
  store.ok("PUT", "/_index_template/l", kTemplate);
  store.ok("POST", "/_bulk", bulk_of(0, 3, "l-old"));
  const UnixNanos written = 1'795'219'200 * kNanosPerSecond;
  store.store->maintain(written + 6 * kNanosPerDay);
  EXPECT_EQ(count_of(store, "l-old"), 3u);
  store.store->maintain(written + 8 * kNanosPerDay);
  EXPECT_EQ(store.call("GET", "/l-old/_count").status, 404);
}

TEST(StoreTest, DropsTheOldestIndexOverTheDiskLimit) {
  TestStore store;
  store.close();
  store.config.disk_bytes_max = 20'000;
  store.open();
  store.ok("PUT", "/_index_template/l", kTemplate);
  store.ok("POST", "/_bulk", bulk_of(5000, 6000, "l-young"));
  store.ok("POST", "/_bulk", bulk_of(0, 1000, "l-old"));
  store.store->maintain(wall_now());
  EXPECT_EQ(store.call("GET", "/l-old/_count").status, 404);
  EXPECT_EQ(count_of(store, "l-young"), 1000u);  // the last one stays
}

TEST(StoreTest, RefusesDocumentsWhileTheDiskIsNearlyFull) {
  TestStore store;
  store.ok("PUT", "/_index_template/l", kTemplate);
  store.ok("POST", "/_bulk", bulk_of(0, 1));
  store.close();
  store.config.disk_free_min = UINT64_MAX;
  store.open();
  const std::string answer = store.ok("POST", "/_bulk", bulk_of(1, 2));
  EXPECT_EQ(
      difference(
          R"({"errors":true,"items":[{"create":{"status":429,"error":{"type":"cluster_block_exception"}}}]})",
          answer),
      "");
  EXPECT_EQ(count_of(store), 1u);  // reading goes on
  store.close();
  store.config.disk_free_min = 0;
  store.open();
  EXPECT_EQ(occurrences(store.ok("POST", "/_bulk", bulk_of(1, 2)), "\"status\":201"), 1u);
}

TEST(StoreTest, ASecondProcessOrStoreOnTheDirectoryIsAConflict) {
  TestStore store;
  telemetry::Registry registry;
  const auto second = Store::open(store.config, registry);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::kConflict);
  EXPECT_NE(second.error().message().find(store.config.directory), std::string::npos);
}

TEST(StoreTest, KeepsTheBusOffsetWithTheDocuments) {
  TestStore store;
  store.ok("PUT", "/_index_template/l", kTemplate);
  BulkOptions options;
  options.applied = AppliedOffset{"otlp_logs/0", 42};
  ASSERT_TRUE(store.store->bulk(bulk_of(0, 1), options));
  store.close();
  store.open();
  EXPECT_EQ(store.store->applied_offset("otlp_logs/0"), 42u);
  EXPECT_EQ(store.store->applied_offset("otlp_logs/1"), std::nullopt);
}

TEST(StoreTest, ADamagedBlockIsNamedNotHidden) {
  TestStore store;
  store.ok("PUT", "/_index_template/l", kTemplate);
  store.ok("POST", "/_bulk", bulk_of(0, 8000));
  store.close();
  store.open();  // writes what the log holds into files
  store.close();
  int damaged = 0;
  for (const auto& entry : std::filesystem::directory_iterator(store.config.directory)) {
    if (entry.path().extension() == ".blob") {
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(entry.file_size() / 2));
      file.put('\x55');
      ++damaged;
    }
  }
  ASSERT_GT(damaged, 0);
  telemetry::Registry registry;
  auto opened = Store::open(store.config, registry);
  if (!opened) {
    EXPECT_EQ(opened.error().code(), ErrorCode::kCorrupt);
  } else {
    const auto answer = (*opened)->search("l-a", R"({"size":1000,"query":{"match":{"body":"line"}}})", {});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().type, "corruption_exception");
  }
}

TEST(StoreTest, TakesTheTemplatesOfThisProject) {
  TestStore store;
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(NARU_STORE_MAPPINGS)) {
    if (entry.path().extension() != ".json") {
      continue;
    }
    std::stringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    std::string body = text.str();
    for (std::size_t at = body.find("{{"); at != std::string::npos;
         at = body.find("{{")) {  // filled in by bootstrap
      body.replace(at, body.find("}}", at) + 2 - at, "1");
    }
    const net::HttpResponse response =
        store.call("PUT", "/_index_template/" + entry.path().stem().string(), body);
    EXPECT_EQ(response.status, 200) << entry.path() << response.body;
    ++found;
  }
  EXPECT_GE(found, 3);
}

TEST(StoreApiTest, RefusesRequestsOverItsQueue) {
  TestStore store;
  telemetry::Registry registry;
  ApiConfig config;
  config.bulk_threads = 1;
  config.queue_max = 1;
  std::promise<void> release;
  std::vector<std::future<int>> statuses;
  {
    StoreApi api(*store.store, registry, config);
    // The answer of the first holds the only thread until it is released.
    auto send = [&](std::function<void()> before) {
      auto promise = std::make_shared<std::promise<int>>();
      statuses.push_back(promise->get_future());
      net::HttpRequest request;
      request.method = "POST";
      request.target = "/_bulk";
      api.handle(std::move(request), net::Responder([promise, before](net::HttpResponse response) {
                   before();
                   promise->set_value(response.status);
                 }));
    };
    std::promise<void> running;
    send([&] {
      running.set_value();
      release.get_future().wait();
    });
    running.get_future().wait();
    send([] {});
    send([] {});
    EXPECT_EQ(statuses[2].get(), 429);
    release.set_value();
  }
  EXPECT_EQ(statuses[0].get(), 400);  // an empty bulk
  EXPECT_EQ(statuses[1].get(), 400);
}

}  // namespace
}  // namespace naru::store
