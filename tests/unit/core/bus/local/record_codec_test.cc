#include "core/bus/local/record_codec.h"

#include <gtest/gtest.h>

#include "core/base/bytes.h"

namespace naru::bus::local {
namespace {

TEST(RecordCodec, WritesTheBytesOfTheDocumentedExample) {
  OutRecord record;
  record.key = "k";
  record.headers = {{"h", "v1"}};
  record.timestamp_ms = 1'700'000'000'000;
  EXPECT_EQ(to_hex(encode_record_head(record) + "value"),
            "0068e5cf8b010000"
            "01000000"
            "0b000000"
            "6b"
            "0100000002000000"
            "68"
            "7631"
            "76616c7565");
}

TEST(RecordCodec, ReadsBackWhatItWrote) {
  OutRecord record;
  record.key = std::string("\0key", 4);
  record.headers = {{"", ""}, {"name", std::string(300, 'v')}, {"name", "again"}};
  record.timestamp_ms = -5;
  const std::string payload = encode_record_head(record) + "the value";
  const auto view = parse_record(payload);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->timestamp_ms, -5);
  EXPECT_EQ(view->key, record.key);
  EXPECT_EQ(view->value, "the value");
  const auto headers = parse_headers(view->headers);
  ASSERT_TRUE(headers);
  ASSERT_EQ(headers->size(), 3u);
  EXPECT_EQ((*headers)[1].value, std::string(300, 'v'));
  EXPECT_EQ((*headers)[2].key, "name");
}

TEST(RecordCodec, RefusesEveryTruncationOfTheHead) {
  OutRecord record;
  record.key = "key";
  record.headers = {{"name", "value"}};
  const std::string head = encode_record_head(record);
  for (std::size_t size = 0; size < head.size(); ++size) {
    EXPECT_FALSE(parse_record(std::string_view(head).substr(0, size))) << size;
  }
  const auto view = parse_record(head);
  ASSERT_TRUE(view);
  for (std::size_t size = 1; size < view->headers.size(); ++size) {
    EXPECT_FALSE(parse_headers(view->headers.substr(0, size))) << size;
  }
}

TEST(RecordCodec, RefusesLengthsThatOverflow) {
  EXPECT_FALSE(parse_record(std::string(8, '\0') + std::string(8, '\xff') + "rest"));
  EXPECT_FALSE(parse_headers(std::string(8, '\xff') + "rest"));
}

}  // namespace
}  // namespace naru::bus::local
