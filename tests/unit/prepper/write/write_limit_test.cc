#include "prepper/write/write_limit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <thread>

namespace naru::prepper {
namespace {

using testing::ElementsAre;

class WriteLimitTest : public testing::Test {
 protected:
  using Answer = std::function<net::HttpResponse(const std::string& body)>;
  std::unique_ptr<net::HttpTransport> instance(Answer answer) {
    return std::make_unique<net::LocalTransport>(
        [this, answer = std::move(answer)](net::HttpRequest request, net::Responder respond) {
          net::HttpResponse response = answer(request.body);
          {
            const std::lock_guard lock(mutex_);
            asked_.push_back(request.target + " " + request.body);
          }
          respond(std::move(response));
        });
  }
  static Answer always(int status, const std::string& body = "{}") {
    return [status, body](const std::string&) { return net::json_response(status, body); };
  }
  std::unique_ptr<WriteLimit> limit(std::vector<Answer> answers, bool fail_open = true) {
    std::vector<std::unique_ptr<net::HttpTransport>> instances;
    for (Answer& answer : answers) {
      instances.push_back(instance(std::move(answer)));
    }
    return std::make_unique<WriteLimit>(
        WriteLimitConfig{.name = "docs", .alerting = {}, .token = {}, .fail_open = fail_open},
        std::move(instances), registry_);
  }
  std::uint64_t count(const std::string& name) { return registry_.counter(name, "").value(); }

  std::mutex mutex_;
  std::vector<std::string> asked_;
  telemetry::Registry registry_;
};

TEST_F(WriteLimitTest, AsksForTheRestUntilAllIsGranted) {
  int left = 2;
  const auto keeps = limit({[&](const std::string&) {
    return left-- > 0 ? net::json_response(200, R"({"granted":40,"leaseMs":1000})")
                      : net::json_response(200, R"({"granted":20,"leaseMs":1000})");
  }});
  EXPECT_TRUE(keeps->acquire(100));
  EXPECT_THAT(asked_, ElementsAre(R"(/v1/limits/docs/acquire {"permits":100,"waitMs":1000})",
                                  R"(/v1/limits/docs/acquire {"permits":60,"waitMs":1000})",
                                  R"(/v1/limits/docs/acquire {"permits":20,"waitMs":1000})"));
  EXPECT_EQ(count("naru_writer_limit_waits_total"), 1u);
}

TEST_F(WriteLimitTest, GoesToTheInstanceThatLeads) {
  const auto keeps = limit({always(503), always(200, R"({"granted":5})")});
  EXPECT_TRUE(keeps->acquire(5));
  EXPECT_TRUE(keeps->acquire(5));
  EXPECT_EQ(asked_.size(), 3u);  // the second time it knows
  EXPECT_EQ(count("naru_writer_limit_unanswered_total"), 0u);
}

TEST_F(WriteLimitTest, WritesWhileNobodyAnswersIfSoConfigured) {
  const auto keeps = limit({always(503), always(404), always(200, "garbage")});
  EXPECT_TRUE(keeps->acquire(5));
  EXPECT_EQ(count("naru_writer_limit_unanswered_total"), 1u);
}

TEST_F(WriteLimitTest, WaitsWhileNobodyAnswersIfSoConfiguredAndEndsWithTheWriter) {
  const auto keeps = limit({always(503)}, false);
  std::atomic<int> ended{-1};
  std::thread waiting([&] { ended = keeps->acquire(5) ? 1 : 0; });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(ended, -1);
  keeps->stop();
  waiting.join();
  EXPECT_EQ(ended, 0);
}

}  // namespace
}  // namespace naru::prepper
