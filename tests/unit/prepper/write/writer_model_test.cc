// A whole prepper against an OpenSearch that fails at random in every way that the outcome table knows. When
// the faults stop, each record is exactly once in an index or among the dead letters, and nothing waits.
#include <gtest/gtest.h>

#include <atomic>
#include <random>

#include "prepper/prepper.h"
#include "tests/unit/prepper/fakes.h"
#include "tests/unit/prepper/otlp_text.h"

namespace naru::prepper {
namespace {

using std::chrono::milliseconds;
using Answer = std::optional<Result<net::HttpResponse>>;

constexpr auto kLogs = "otlp_logs";
constexpr int kMessages = 150;
constexpr int kFaultyRequests = 400;

class FaultyOpenSearch {
 public:
  explicit FaultyOpenSearch(std::uint64_t seed) : random_(seed) {}

  Answer operator()(FakeOpenSearch& store, const FakeOpenSearch::Bulk& bulk) {
    const std::lock_guard lock(mutex_);
    for (const FakeOpenSearch::Line& line : bulk.lines) {
      const auto [known, added] = sent_.emplace(line.id, line.index + line.document);
      differing_ += !added && known->second != line.index + line.document ? 1 : 0;
    }
    const bool faulty = ++requests_ <= kFaultyRequests;
    if (!faulty || one_in(10)) {
      for (const FakeOpenSearch::Bulk& late : std::exchange(delayed_, {})) {
        answer_to(store, late, false);
      }
    }
    if (faulty) {
      if (Answer refused = refuse(store, bulk)) {
        return refused;
      }
    }
    std::string body = answer_to(store, bulk, faulty);
    if (faulty && one_in(15)) {
      body.resize(std::uniform_int_distribution<std::size_t>(0, body.size() - 1)(random_));
    } else if (faulty && one_in(15)) {
      return fail(ErrorCode::kIo, "the connection was reset");  // what was applied stays
    }
    return net::json_response(200, body);
  }

  int differing() const { return differing_; }
  int requests() const { return requests_; }

 private:
  bool one_in(int n) { return std::uniform_int_distribution<int>(1, n)(random_) == 1; }

  std::string answer_to(FakeOpenSearch& store, const FakeOpenSearch::Bulk& bulk, bool faulty) {
    std::string items;
    for (const FakeOpenSearch::Line& line : bulk.lines) {
      items += items.empty() ? "" : ",";
      items += item(store, line, faulty);
    }
    return "{\"took\":1,\"errors\":true,\"items\":[" + items + "]}";
  }

  Answer refuse(FakeOpenSearch& store, const FakeOpenSearch::Bulk& bulk) {
    struct Refusal {
      int status;
      const char* type;
    };
    static constexpr Refusal kRefusals[] = {{500, "null_pointer_exception"},
                                            {502, ""},
                                            {503, "cluster_block_exception"},
                                            {504, ""},
                                            {429, "rejected_execution_exception"},
                                            {429, "circuit_breaking_exception"},
                                            {403, "cluster_block_exception"},
                                            {403, "security_exception"},
                                            {401, ""},
                                            {404, ""},
                                            {302, ""}};
    if (bulk.lines.size() > 1 && one_in(12)) {
      return net::text_response(413, "Request Entity Too Large");
    }
    const bool malformed = bulk.body.find("malformed") != std::string::npos;
    if (malformed || one_in(20)) {
      // Of sound documents only a request of several: alone each of them is taken.
      if (malformed || bulk.lines.size() > 1) {
        return net::json_response(400,
                                  R"({"error":{"type":"illegal_argument_exception","reason":"Malformed"}})");
      }
    }
    if (one_in(5)) {
      const Refusal& refusal =
          kRefusals[std::uniform_int_distribution<std::size_t>(0, std::size(kRefusals) - 1)(random_)];
      return net::json_response(refusal.status,
                                std::string(R"({"error":{"type":")") + refusal.type + R"("}})");
    }
    if (one_in(15)) {
      return fail(ErrorCode::kUnavailable, "connection refused");
    }
    if (one_in(15)) {
      delayed_.push_back(bulk);  // it will be applied when nobody expects it any more
      return fail(ErrorCode::kTimeout, "no answer in time");
    }
    if (one_in(15)) {
      return net::json_response(200, answer_to(store, bulk, false) + "}");
    }
    return std::nullopt;
  }

  std::string item(FakeOpenSearch& store, const FakeOpenSearch::Line& line, bool faulty) {
    static constexpr const char* kFaults[] = {
        R"("status":429,"error":{"type":"rejected_execution_exception")",
        R"("status":429,"error":{"type":"cluster_block_exception")",
        R"("status":503,"error":{"type":"unavailable_shards_exception")",
        R"("status":500,"error":{"type":"io_exception")",
        R"("status":403,"error":{"type":"cluster_block_exception")",
        R"("status":403,"error":{"type":"security_exception")",
        R"("status":400,"error":{"type":"index_closed_exception")",
        R"("status":400,"error":{"type":"validation_exception","reason":"this action would add [2] total shards")",
        R"("status":404,"error":{"type":"index_not_found_exception")",
        R"("status":404,"error":{"type":"shard_not_found_exception")"};
    if (faulty && one_in(4)) {
      const auto at = std::uniform_int_distribution<std::size_t>(0, std::size(kFaults) - 1)(random_);
      return std::string("{\"create\":{") + kFaults[at] + "}}}";
    }
    if (line.document.find("poison") != std::string::npos) {
      return R"({"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"failed to parse"}}})";
    }
    return store.apply_one(line);
  }

  std::mutex mutex_;
  std::mt19937_64 random_;
  std::map<std::string, std::string> sent_;  // by id: index and document
  std::vector<FakeOpenSearch::Bulk> delayed_;
  std::atomic<int> differing_{0}, requests_{0};
};

class WriterModel : public testing::TestWithParam<std::uint64_t> {};

TEST_P(WriterModel, EndsWithEveryRecordOnceWhateverOpenSearchAnswered) {
  FakeBus bus;
  FakeOpenSearch store;
  telemetry::Registry registry;
  telemetry::Health health{registry};
  PrepperConfig config;
  config.datasets.lifecycle.driver = LifecycleBy::kOff;
  config.consume.commit_interval = milliseconds(1);
  config.consume.concurrency = 2;
  config.bulk.writers = 3;
  config.bulk.linger = milliseconds(1);
  config.bulk.retry_first = milliseconds(1);
  config.bulk.retry_max = milliseconds(2);
  config.bulk.probe_max = milliseconds(2);
  config.bulk.document_faults_max = 1'000;
  FaultyOpenSearch faults(GetParam());
  store.set_script(
      [&](FakeOpenSearch& fake, const FakeOpenSearch::Bulk& bulk) { return faults(fake, bulk); });

  std::mt19937_64 random(GetParam() + 1);
  std::map<std::string, int> sound, bad;  // bodies, and how often each was found
  const std::uint64_t now = wall_now();
  std::int64_t position = 0;
  bus.refuse_sends(3);
  for (int i = 0; i < kMessages; ++i) {
    std::string scope_group = bytes_field(1, stamped_scope(position));
    const auto records = std::uniform_int_distribution<int>(1, 20)(random);
    for (int j = 0; j < records; ++j, ++position) {
      const auto kind = std::uniform_int_distribution<int>(0, 60)(random);
      const std::string body = (kind == 0   ? "poison-"
                                : kind == 1 ? "malformed-"
                                            : "record-") +
                               std::to_string(position) + ".";
      // A malformed body is refused only while the faults last, so it may end here or there.
      (kind == 0 ? bad : sound)[body] = 0;
      const std::uint64_t time = now - static_cast<std::uint64_t>(random() % 3) * kNanosPerDay;
      scope_group += bytes_field(2, log_record(text(body), "", time, time));
    }
    const std::string dataset = "set" + std::to_string(random() % 3);
    bus.put(kLogs, bytes_field(1, bytes_field(1, attribute(1, "data_stream.dataset", text(dataset))) +
                                      bytes_field(2, scope_group)));
  }
  std::uint64_t accepted = 0, delivered = 0, deadlettered = 0;
  {
    Prepper prepper(config, bus, store.factory(), registry, health);
    ASSERT_TRUE(prepper.start());
    EXPECT_TRUE(eventually([&] { return bus.committed(kLogs) == kMessages; }, std::chrono::seconds(60)))
        << "something waits though the faults have stopped";
    EXPECT_EQ(prepper.progress().in_flight, 0u);
    accepted = counted(registry, "accepted_total", "writer");
    delivered = counted(registry, "delivered_total", "writer");
    deadlettered = counted(registry, "deadlettered_total", "writer");
    store.set_script(nullptr);
    prepper.stop(milliseconds(0));
  }

  EXPECT_EQ(faults.differing(), 0) << "an id went out with other contents or to another index";
  EXPECT_GT(faults.requests(), kFaultyRequests);
  const auto count = [&](std::string_view where) {
    const std::size_t end = where.find('.', where.find('-'));
    for (std::map<std::string, int>* records : {&sound, &bad}) {
      if (const auto at = records->find(std::string(where.substr(0, end + 1))); at != records->end()) {
        ++at->second;
        return;
      }
    }
    ADD_FAILURE() << "a record that was never sent: " << where.substr(0, 100);
  };
  constexpr std::string_view kBody = "\"body\":\"";
  std::size_t documents = 0;
  for (const auto& [id, copies] : store.contents()) {
    EXPECT_EQ(copies.size(), 1u) << id;
    for (const std::string& document : copies) {
      ++documents;
      EXPECT_EQ(document.find("poison"), std::string::npos);
      count(std::string_view(document).substr(document.find(kBody) + kBody.size()));
    }
  }
  const auto letters = bus.stored("naru.deadletter");
  for (const FakeBus::Stored& letter : letters) {
    const std::size_t at = std::min(letter.value.find("poison-"), letter.value.find("malformed-"));
    ASSERT_NE(at, std::string::npos) << "a sound record became a dead letter";
    count(std::string_view(letter.value).substr(at));
  }
  for (const auto* records : {&sound, &bad}) {
    for (const auto& [body, times] : *records) {
      EXPECT_EQ(times, 1) << body;
    }
  }
  EXPECT_EQ(accepted, static_cast<std::uint64_t>(position));
  EXPECT_EQ(delivered, documents);
  EXPECT_EQ(deadlettered, letters.size());
}

INSTANTIATE_TEST_SUITE_P(Seeds, WriterModel, testing::Range<std::uint64_t>(1, 9));

}  // namespace
}  // namespace naru::prepper
