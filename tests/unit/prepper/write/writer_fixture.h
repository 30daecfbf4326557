// A prepper with quick retries between a fake bus and a fake OpenSearch, to see what its writer does.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "core/telemetry/ledger.h"
#include "prepper/prepper.h"
#include "tests/unit/prepper/fakes.h"
#include "tests/unit/prepper/otlp_text.h"

namespace naru::prepper {

class WriterTest : public testing::Test {
 protected:
  static constexpr auto kLogs = "otlp_logs";

  WriterTest() {
    using std::chrono::milliseconds;
    config.consume.commit_interval = milliseconds(1);
    config.bulk.linger = milliseconds(1);
    config.bulk.retry_first = milliseconds(1);
    config.bulk.retry_max = milliseconds(5);
    config.bulk.probe_max = milliseconds(5);
    config.datasets.lifecycle.driver = LifecycleBy::kOff;
  }
  ~WriterTest() override { stop(); }

  void start() {
    prepper = std::make_unique<Prepper>(config, bus, store.factory(), registry, health);
    ASSERT_TRUE(prepper->start());
  }
  void stop() {
    if (prepper != nullptr) {
      prepper->stop(std::chrono::milliseconds(0));
      prepper.reset();
    }
  }
  struct Record {
    std::string body;
    UnixNanos time;
  };
  static std::string message(const std::vector<Record>& records, std::int64_t base,
                             std::string_view dataset = "web") {
    std::string scope_group = bytes_field(1, stamped_scope(base));
    for (const Record& record : records) {
      scope_group += bytes_field(2, log_record(text(record.body), "", record.time, record.time));
    }
    return bytes_field(
        1, bytes_field(1, attribute(1, "data_stream.dataset", text(dataset))) + bytes_field(2, scope_group));
  }
  // Puts a message on the bus and waits until it is finished.
  void deliver(const std::string& value) {
    bus.put(kLogs, value);
    ++messages;
    EXPECT_TRUE(eventually([&] { return bus.committed(kLogs) == messages; }));
  }
  static std::string index(std::string_view dataset, UnixNanos time, Period period = Period::kDay) {
    return make_target(otlp::Signal::kLogs, dataset, period, time).name;
  }
  void expect_balance() {
    const telemetry::StageLedger ledger(registry, "writer", "logs", "main");
    EXPECT_EQ(ledger.accepted.value(), ledger.delivered.value() + ledger.deadlettered.value());
  }

  PrepperConfig config;
  FakeBus bus;
  FakeOpenSearch store;
  telemetry::Registry registry;
  telemetry::Health health{registry};
  std::unique_ptr<Prepper> prepper;
  std::int64_t messages = 0;
};

}  // namespace naru::prepper
