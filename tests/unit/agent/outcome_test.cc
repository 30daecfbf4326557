#include "agent/ship/outcome.h"

#include <gtest/gtest.h>

#include "core/otlp/wire.h"

namespace naru::agent {
namespace {

using std::chrono::milliseconds;
constexpr UnixNanos kNow = 1'795'240'923 * kNanosPerSecond;  // 2026-11-21T06:02:03Z

net::HttpResponse response(int status, std::string body = {}) {
  net::HttpResponse out;
  out.status = status;
  out.body = std::move(body);
  return out;
}

TEST(Outcome, TellsWhatEachStatusMeans) {
  const std::pair<int, Verdict> cases[] = {
      {200, Verdict::kDelivered}, {429, Verdict::kAgain},   {502, Verdict::kAgain},
      {503, Verdict::kAgain},     {504, Verdict::kAgain},   {400, Verdict::kSmaller},
      {413, Verdict::kSmaller},   {422, Verdict::kSmaller}, {401, Verdict::kBlocked},
      {403, Verdict::kBlocked},   {404, Verdict::kBlocked}, {500, Verdict::kBlocked},
      {301, Verdict::kBlocked},   {204, Verdict::kBlocked}};
  for (const auto& [status, verdict] : cases) {
    EXPECT_EQ(classify(response(status), kNow).verdict, verdict) << status;
  }
}

TEST(Outcome, NoAnswerIsTriedAgain) {
  for (const ErrorCode code : {ErrorCode::kUnavailable, ErrorCode::kTimeout, ErrorCode::kIo}) {
    const Outcome outcome = classify(fail(code, "gone"), kNow);
    EXPECT_EQ(outcome.verdict, Verdict::kAgain);
    EXPECT_EQ(outcome.reason, "gone");
  }
}

TEST(Outcome, ReadsAPartialSuccess) {
  std::string body;
  const std::size_t mark = otlp::begin_message_field(body, 1);
  otlp::append_varint_field(body, 1, 3);
  otlp::append_bytes_field(body, 2, "too old");
  otlp::end_message_field(body, mark);
  const Outcome outcome = classify(response(200, body), kNow);
  EXPECT_EQ(outcome.verdict, Verdict::kDelivered);
  EXPECT_EQ(outcome.rejected, 3U);
  EXPECT_EQ(outcome.reason, "too old");
  EXPECT_EQ(classify(response(200, "\xff"), kNow).rejected, 0U);
}

TEST(Outcome, HonoursRetryAfter) {
  net::HttpResponse busy = response(503);
  busy.headers.set("Retry-After", "7");
  EXPECT_EQ(classify(busy, kNow).retry_after, milliseconds(7'000));
  EXPECT_EQ(parse_retry_after("Sat, 21 Nov 2026 06:02:13 GMT", kNow), milliseconds(10'000));
  EXPECT_EQ(parse_retry_after("Sat, 21 Nov 2026 06:00:00 GMT", kNow), milliseconds(0));
  EXPECT_EQ(parse_retry_after("86400", kNow), kRetryAfterMax);
  EXPECT_EQ(parse_retry_after("soon", kNow), std::nullopt);
  EXPECT_EQ(parse_retry_after("-1", kNow), std::nullopt);
  EXPECT_EQ(parse_retry_after("", kNow), std::nullopt);
}

TEST(Outcome, ShowsTheMessageOfAStatusBody) {
  std::string body;
  otlp::append_bytes_field(body, 2, "who are you");
  net::HttpResponse refused = response(401, body);
  refused.headers.set("Content-Type", "application/x-protobuf");
  EXPECT_NE(classify(refused, kNow).reason.find("401 who are you"), std::string::npos);
}

}  // namespace
}  // namespace naru::agent
