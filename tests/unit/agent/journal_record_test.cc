#include "agent/journald/journal_record.h"

#include <gtest/gtest.h>

#include "tests/unit/agent/support.h"

namespace naru::agent {
namespace {

class JournalRecordTest : public testing::Test {
 protected:
  // Gives the fields and parses what they became; the views live as long as the fixture.
  otlp::LogRecord make(const std::vector<std::string>& fields) {
    record_.begin(1'700'000'000'000'001'000);
    for (const std::string& field : fields) {
      record_.field(field);
    }
    builder_.clear();
    builder_.begin_resource({});
    builder_.begin_scope({}, 0);
    record_.add_to(builder_, 5);
    const auto arrived = test::decode(std::string(builder_.finish()));
    EXPECT_EQ(arrived.size(), 1U);
    raw_ = arrived[0].raw;
    body_ = arrived[0].body;
    bytes_ = arrived[0].bytes;
    otlp::LogRecord parsed;
    EXPECT_TRUE(otlp::parse(raw_, parsed));
    return parsed;
  }
  static std::string text_of(const otlp::LogRecord& record, std::string_view key) {
    const auto value = record.attributes().find(key);
    return value ? std::string(value->bytes) : "absent";
  }
  static std::int64_t number_of(const otlp::LogRecord& record, std::string_view key) {
    const auto value = record.attributes().find(key);
    return value ? value->integer : -1;
  }

  JournalRecord record_{100, "host-1"};
  otlp::LogsBuilder builder_;
  std::string raw_, body_;
  bool bytes_ = false;
};

TEST_F(JournalRecordTest, TakesMessageTimeAndSeverity) {
  const auto record = make({"MESSAGE=hello = world", "PRIORITY=3"});
  EXPECT_EQ(body_, "hello = world");
  EXPECT_FALSE(bytes_);
  EXPECT_EQ(record.time, 1'700'000'000'000'001'000U);
  EXPECT_EQ(record.observed_time, 5U);
  EXPECT_EQ(record.severity_number, 17);
  EXPECT_EQ(record.severity_text, "ERR");
}

TEST_F(JournalRecordTest, EveryPriorityHasItsSeverity) {
  const std::int32_t expected[] = {21, 19, 18, 17, 13, 10, 9, 5};
  for (int priority = 0; priority < 8; ++priority) {
    EXPECT_EQ(make({"PRIORITY=" + std::to_string(priority)}).severity_number, expected[priority]);
  }
  EXPECT_EQ(make({"PRIORITY=8"}).severity_number, 0);
  EXPECT_EQ(make({"PRIORITY="}).severity_number, 0);
}

TEST_F(JournalRecordTest, NamesWellKnownFieldsAndKeepsThoseOfTheProgram) {
  const auto record =
      make({"_SYSTEMD_UNIT=ssh.service", "_PID=42", "SYSLOG_IDENTIFIER=sshd", "SYSLOG_FACILITY=4",
            "ORDER_ID=7", "_HOSTNAME=host-1", "_CMDLINE=secret", "SYSLOG_PID=42", "no assignment"});
  EXPECT_EQ(text_of(record, "systemd.unit"), "ssh.service");
  EXPECT_EQ(number_of(record, "process.pid"), 42);
  EXPECT_EQ(text_of(record, "syslog.identifier"), "sshd");
  EXPECT_EQ(number_of(record, "syslog.facility"), 4);
  EXPECT_EQ(text_of(record, "journald.order_id"), "7");
  EXPECT_EQ(text_of(record, "journald.hostname"), "absent");
  EXPECT_EQ(text_of(record, "journald._cmdline"), "absent");
  EXPECT_EQ(text_of(record, "journald.syslog_pid"), "absent");
  EXPECT_EQ(text_of(make({"_HOSTNAME=other"}), "journald.hostname"), "other");
}

TEST_F(JournalRecordTest, SendsMessagesThatAreNotTextAsBytes) {
  make({std::string("MESSAGE=a\xFF\0b", 12)});
  EXPECT_TRUE(bytes_);
  EXPECT_EQ(body_, std::string("a\xFF\0b", 4));
}

TEST_F(JournalRecordTest, CutsLongMessagesAndMarksThem) {
  const auto record = make({"MESSAGE=" + std::string(150, 'x')});
  EXPECT_EQ(body_, std::string(100, 'x'));
  EXPECT_EQ(number_of(record, "naru.truncated_bytes"), 50);
  EXPECT_EQ(make({"MESSAGE=" + std::string(100, 'x')}).attributes().find("naru.truncated_bytes"),
            std::nullopt);
}

TEST_F(JournalRecordTest, BoundsTheAttributesAndCountsWhatIsLeftOut) {
  std::vector<std::string> fields;
  for (int i = 0; i < 10; ++i) {
    fields.push_back("F" + std::to_string(i) + "=" + std::string(JournalRecord::kAttributeBytesMax / 4, 'v'));
  }
  const auto record = make(fields);
  EXPECT_EQ(record.dropped_attributes_count, 7U);
  EXPECT_NE(text_of(record, "journald.f0"), "absent");
}

}  // namespace
}  // namespace naru::agent
