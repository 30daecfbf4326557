#include "core/net/body_sink.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/unit/core/net/test_bytes.h"

namespace naru::net {
namespace {

using testing::gzip;
using testing::sample_text;
using testing::zstd;

struct Encoded {
  const char* encoding;
  std::string bytes;
};

std::vector<Encoded> encodings_of(const std::string& text) {
  return {{"gzip", gzip(text)}, {"zstd", zstd(text)}, {"", text}};
}

TEST(BodySink, DecodesAnyCutOfTheInput) {
  const std::string text = sample_text(300'000);
  for (const auto& [encoding, bytes] : encodings_of(text)) {
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{65'536}, bytes.size()}) {
      ByteBudget budget(1 << 20);
      BodySink sink(1 << 20, budget);
      ASSERT_TRUE(sink.set_encoding(encoding));
      for (std::size_t at = 0; at < bytes.size(); at += step) {
        ASSERT_TRUE(sink.append(std::string_view(bytes).substr(at, step)));
      }
      ASSERT_TRUE(sink.finish());
      EXPECT_EQ(budget.used(), text.size());
      EXPECT_EQ(sink.take(), text) << encoding << " by " << step;
    }
  }
}

TEST(BodySink, DecodesSeveralMembersInARow) {
  for (const auto& [encoding, one, two] :
       {std::tuple("gzip", gzip("one,"), gzip("two")), std::tuple("zstd", zstd("one,"), zstd("two"))}) {
    ByteBudget budget(100);
    BodySink sink(100, budget);
    ASSERT_TRUE(sink.set_encoding(encoding));
    ASSERT_TRUE(sink.append(one + two));
    ASSERT_TRUE(sink.finish());
    EXPECT_EQ(sink.take(), "one,two");
  }
}

TEST(BodySink, TakesABodyOfExactlyTheLimitAndRefusesOneByteMore) {
  for (const std::size_t size : {std::size_t{100'000}, std::size_t{100'001}}) {
    for (const auto& [encoding, bytes] : encodings_of(sample_text(size))) {
      ByteBudget budget(1 << 20);
      BodySink sink(100'000, budget);
      ASSERT_TRUE(sink.set_encoding(encoding));
      const bool taken = sink.append(bytes) && sink.finish();
      EXPECT_EQ(taken, size == 100'000) << encoding;
      EXPECT_EQ(sink.fault(), taken ? BodySink::Fault::kNone : BodySink::Fault::kTooLarge);
    }
  }
}

TEST(BodySink, StopsABombAtTheLimitWithoutHoldingMore) {
  const std::string zeros(200u << 20, '\0');
  for (const auto& [encoding, bytes] : {Encoded{"gzip", gzip(zeros)}, Encoded{"zstd", zstd(zeros)}}) {
    ByteBudget budget(1u << 30);
    {
      BodySink sink(1 << 20, budget);
      ASSERT_TRUE(sink.set_encoding(encoding));
      EXPECT_FALSE(sink.append(bytes));
      EXPECT_EQ(sink.fault(), BodySink::Fault::kTooLarge);
      EXPECT_LE(budget.used(), (1u << 20) + 1);
    }
    EXPECT_EQ(budget.used(), 0u);
  }
}

TEST(BodySink, RefusesDamagedCutAndForeignStreams) {
  const std::string text = sample_text(10'000);
  for (const auto& [encoding, whole] : {Encoded{"gzip", gzip(text)}, Encoded{"zstd", zstd(text)}}) {
    std::string damaged = whole;
    damaged[whole.size() / 2] = static_cast<char>(damaged[whole.size() / 2] ^ 0x55);
    for (const std::string& bytes : {damaged, whole.substr(0, whole.size() - 3), whole.substr(0, 5),
                                     whole + "tail", std::string("plain")}) {
      ByteBudget budget(1 << 20);
      BodySink sink(1 << 20, budget);
      ASSERT_TRUE(sink.set_encoding(encoding));
      EXPECT_FALSE(sink.append(bytes) && sink.finish()) << encoding << " " << bytes.size();
      EXPECT_EQ(sink.fault(), BodySink::Fault::kMalformed);
    }
  }
}

TEST(BodySink, AllocatesAnAnnouncedBodyOnlyAsItArrives) {
  const std::string text = sample_text(100'000);
  ByteBudget budget(1 << 20);
  BodySink sink(1 << 20, budget);
  sink.expect(text.size(), 1000);
  EXPECT_EQ(sink.window_size(), 1000u);
  std::size_t at = 0;
  while (sink.remaining() > 0) {
    const std::size_t step = std::min<std::size_t>(sink.window_size(), 777);
    ASSERT_GT(step, 0u);
    ASSERT_LE(sink.window_size(), std::max<std::size_t>(1000, at));
    std::memcpy(sink.window(), text.data() + at, step);
    at += step;
    ASSERT_TRUE(sink.filled(step));
  }
  EXPECT_EQ(sink.take(), text);
}

TEST(BodySink, StopsWhenTheBudgetOfAllRequestsIsUsedUp) {
  ByteBudget budget(1000);
  ASSERT_TRUE(budget.try_take(600));
  BodySink sink(1 << 20, budget);
  EXPECT_TRUE(sink.append(std::string(400, 'x')));
  EXPECT_FALSE(sink.append("x"));
  EXPECT_EQ(sink.fault(), BodySink::Fault::kOverloaded);
}

TEST(BodySink, KnowsNoOtherEncodings) {
  ByteBudget budget(1000);
  BodySink sink(1000, budget);
  EXPECT_FALSE(sink.set_encoding("br"));
  EXPECT_FALSE(sink.set_encoding("gzip, gzip"));
}

}  // namespace
}  // namespace naru::net
