#include "collector/buffer/spill.h"

#include <gtest/gtest.h>

namespace naru::collector {
namespace {

TEST(SpillEntry, HasTheBytesOfItsDocument) {
  SpilledRequest request{otlp::Signal::kTraces, 0x0102030405060708, 0x11223344, "body"};
  const std::string head = encode_spill_head(request);
  EXPECT_EQ(head, std::string("\x01\x02\x00\x00\x44\x33\x22\x11\x08\x07\x06\x05\x04\x03\x02\x01", 16));
  const std::string entry = head + "body";
  const auto parsed = parse_spill_entry(entry);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->signal, otlp::Signal::kTraces);
  EXPECT_EQ(parsed->received_ms, 0x0102030405060708);
  EXPECT_EQ(parsed->records, 0x11223344U);
  EXPECT_EQ(parsed->request, "body");
}

TEST(SpillEntry, RefusesShortNewerAndUnknownOnes) {
  const std::string head = encode_spill_head({});
  for (std::size_t size = 0; size < head.size(); ++size) {
    EXPECT_EQ(parse_spill_entry(head.substr(0, size)).error().code(), ErrorCode::kCorrupt);
  }
  EXPECT_EQ(parse_spill_entry("\x02" + head.substr(1)).error().code(), ErrorCode::kUnsupported);
  EXPECT_EQ(parse_spill_entry(head.substr(0, 1) + "\x03" + head.substr(2)).error().code(),
            ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace naru::collector
