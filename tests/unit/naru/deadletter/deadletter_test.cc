// The verb on an embedded bus.
#include "naru/deadletter/deadletter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/bus/dead_letter.h"
#include "core/bus/local/local_bus.h"
#include "core/bus/origin.h"
#include "core/net/http.h"
#include "core/otlp/build.h"
#include "naru/deadletter/replay.h"
#include "naru/deadletter/source.h"
#include "tests/unit/temp_dir.h"

namespace naru {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Action = DeadLetterOptions::Action;

std::string logs(std::uint64_t position) {
  otlp::LogsBuilder builder;
  builder.begin_resource({});
  builder.begin_scope({}, position);
  builder.add(1, 1, "body " + std::to_string(position));
  return builder.take();
}

struct Nobody : bus::RebalanceListener {
  void on_assigned(std::span<bus::Assignment>) override {}
  void on_revoked(std::span<const bus::TopicPartition>, bool) override {}
};

class DeadLetterVerb : public ::testing::Test {
 protected:
  DeadLetterVerb() { options_.data = directory_.path(); }

  std::unique_ptr<bus::LocalBus> open() {
    auto bus = bus::open_local_bus({.directory = deadletter::bus_directory(options_.data)});
    EXPECT_TRUE(bus) << bus.error().message();
    return std::move(*bus);
  }
  // Letters 0..count-1; the last cannot be decoded.
  void write(int count) {
    auto bus = open();
    std::vector<bus::TopicConfig> topics(2);
    topics[0].name = "naru.deadletter";
    topics[1].name = "otlp_logs";
    ASSERT_TRUE(bus->ensure_topics(topics).has_value());
    auto producer = std::move(*bus->producer());
    for (int i = 0; i < count; ++i) {
      bus::OutRecord record;
      record.topic = "naru.deadletter";
      record.partition = i % 2;
      record.key = "id" + std::to_string(i);
      record.value = i + 1 == count ? "junk" : logs(static_cast<std::uint64_t>(i));
      record.headers = bus::dead_letter_headers({.kind = "logs",
                                                 .type = "mapper_parsing_exception",
                                                 .reason = "no number: 'x'",
                                                 .status = 400 + i,
                                                 .index = "i",
                                                 .attempts = 1,
                                                 .source = "otlp_logs/3/" + std::to_string(i),
                                                 .config_hash = "",
                                                 .first_failed_at = 1,
                                                 .failed_at = 2,
                                                 .pipeline = "default"});
      record.headers.push_back(
          {std::string(bus::kOriginHeader), "c/otlp_logs/3/" + std::to_string(i) + "/0"});
      ASSERT_TRUE(producer->send(record, [](Result<bus::Position>) {}).has_value());
    }
    ASSERT_TRUE(producer->flush(std::chrono::seconds(20)).has_value());
  }
  struct Ran {
    int code;
    std::string out, err;
  };
  Ran run(Action action) {
    options_.action = action;
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = run_deadletter(options_, signals_);
    return {code, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
  }
  std::vector<std::string> replayed() {
    auto bus = open();
    Nobody nobody;
    auto consumer = std::move(*bus->consumer({.group = "", .topics = {"otlp_logs"}}, nobody));
    std::vector<bus::InRecord> records;
    for (int i = 0; i < 5; ++i) {
      EXPECT_TRUE(consumer->poll(records, 100, std::chrono::milliseconds(50)).has_value());
    }
    std::vector<std::string> out;
    for (const bus::InRecord& record : records) {
      EXPECT_EQ(record.partition, 3);
      EXPECT_NE(record.headers, nullptr);
      out.push_back(std::string(record.key) + " " + bus::format_origin(bus::origin_of(record, "own")));
    }
    return out;
  }

  test::TempDir directory_;
  DeadLetterOptions options_;
  static inline const program::StopSignals signals_;  // of the process
};

TEST_F(DeadLetterVerb, ListsWhatTheFilterLetsThrough) {
  write(5);
  options_.output = "json";
  options_.filter = "dl.status >= 401 and record.body != 'body 2'";
  const Ran ran = run(Action::kList);
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(std::ranges::count(ran.out, '\n'), 3);
  EXPECT_THAT(ran.out, HasSubstr(R"("position":"naru.deadletter/1/0","id":"id1")"));
  options_.limit = 2;
  options_.output = "text";
  EXPECT_THAT(run(Action::kList).out, HasSubstr("2 dead letters, more may follow (--limit)"));
  options_.limit = 0;
  options_.filter.clear();
  options_.from = {"0/1", "1/9"};
  EXPECT_THAT(run(Action::kList).out, HasSubstr("2 dead letters\n"));
}

TEST_F(DeadLetterVerb, ReadsBesideTheProcessThatHoldsTheBus) {
  write(3);
  const auto held = open();
  EXPECT_THAT(run(Action::kList).out, HasSubstr("3 dead letters\n"));
  options_.to = "elsewhere";
  const Ran ran = run(Action::kReplay);
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr("a `naru up` is running on"));
}

TEST_F(DeadLetterVerb, ShowsOneByItsPosition) {
  write(3);
  options_.position = "naru.deadletter/0/1";
  options_.raw = true;
  const Ran ran = run(Action::kShow);
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("\"id\":\"id2\""));
  options_.position = "naru.deadletter/0/7";
  const Ran missing = run(Action::kShow);
  EXPECT_EQ(missing.code, 1);
  EXPECT_THAT(missing.err, HasSubstr("nothing lies at naru.deadletter/0/7"));
  options_.position = "0/7";
  EXPECT_EQ(run(Action::kShow).code, 2);
}

TEST_F(DeadLetterVerb, ReplaysToWhereEachCameFromAndTellsOfThoseThatCannot) {
  write(4);
  options_.to = "source";
  options_.dry_run = true;
  EXPECT_THAT(run(Action::kReplay).out, HasSubstr("3 dead letters would be replayed, 1 left out"));
  EXPECT_TRUE(replayed().empty());
  options_.dry_run = false;
  const Ran ran = run(Action::kReplay);
  EXPECT_EQ(ran.code, 1) << "one is left out";
  EXPECT_THAT(ran.out, HasSubstr("3 dead letters replayed, 1 left out"));
  EXPECT_THAT(ran.err, HasSubstr("naru.deadletter/1/1 is left out: it cannot be decoded as logs"));
  EXPECT_THAT(replayed(), testing::UnorderedElementsAre("id0 c/otlp_logs/3/0/0", "id1 c/otlp_logs/3/1/0",
                                                        "id2 c/otlp_logs/3/2/0"));
}

TEST_F(DeadLetterVerb, ExportsWholeFilesOnly) {
  write(3);
  options_.to = options_.data + "/out/of/it";
  const Ran ran = run(Action::kExport);
  EXPECT_EQ(ran.code, 0) << ran.err;
  const std::string path = ran.out.substr(0, ran.out.find('\n'));
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  EXPECT_TRUE(text.str().starts_with("{\"dlqObjects\":[{")) << text.str();
  EXPECT_TRUE(text.str().ends_with("}]}\n")) << text.str();
  EXPECT_EQ(std::distance(fs::directory_iterator(options_.to), fs::directory_iterator()), 1);
  options_.to = path + "/under-a-file";
  const Ran refused = run(Action::kExport);
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("cannot write"));
}

TEST_F(DeadLetterVerb, AMistakeOfThePersonIsNamed) {
  const Ran nothing = run(Action::kList);
  EXPECT_EQ(nothing.code, 2);
  EXPECT_THAT(nothing.err, HasSubstr("is not the data directory of a `naru up`"));
  write(1);
  options_.filter = "dl.kin == 'logs'";
  const Ran filter = run(Action::kList);
  EXPECT_EQ(filter.code, 2);
  EXPECT_THAT(filter.err, HasSubstr("--filter, column 1: there is no field `dl.kin`; fields are dl.id"));
  options_.filter.clear();
  options_.from = {"0:3"};
  EXPECT_EQ(run(Action::kList).code, 2);
  options_.from.clear();
  options_.brokers = "127.0.0.1:1";
  EXPECT_THAT(run(Action::kList).err, HasSubstr("exclude each other"));
}

TEST(OtlpReplay, GoesOnAfterARefusalAndWaitsWhileTheCollectorIsBusy) {
  int asked = 0;
  std::vector<std::string> targets;
  auto to = deadletter::to_otlp(
      std::make_unique<net::LocalTransport>([&](net::HttpRequest request, net::Responder respond) {
        targets.push_back(request.target);
        net::HttpResponse answer;
        switch (++asked) {
          case 1: answer.status = 503; break;
          case 2: break;
          case 3: answer.status = 400; break;
          default: answer.body = "partial"; break;
        }
        respond(std::move(answer));
      }));
  bus::DeadLetterHead head;
  head.kind = "logs";
  head.source = "otlp_logs/0/0";
  const deadletter::Letter letter =
      deadletter::make_letter({"naru.deadletter", 0, 0}, 0, "id", logs(1), bus::dead_letter_headers(head));
  EXPECT_TRUE(to->send(letter).has_value());
  EXPECT_EQ(to->send(letter).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(to->send(letter).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(targets, std::vector<std::string>(4, "/v1/logs"));
}

}  // namespace
}  // namespace naru
