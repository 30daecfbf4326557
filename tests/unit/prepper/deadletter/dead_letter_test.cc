#include "prepper/deadletter/dead_letter.h"

#include <gtest/gtest.h>

#include "tests/unit/prepper/encoding.h"
#include "tests/unit/prepper/otlp_text.h"

namespace naru::prepper {
namespace {

using otlp::Signal;

std::string resource() {
  return attribute(1, "service.name", text("shop"));
}

// Encoding the single record must give the document that the whole request gave.
void expect_same_documents(Signal signal, const std::string& whole) {
  Encoding all;
  all.encode(signal, whole);
  const std::vector<Document> documents = all.documents();
  for (std::uint32_t i = 0; i < documents.size(); ++i) {
    const Result<std::string> single = single_record(signal, whole, i);
    ASSERT_TRUE(single) << single.error().message();
    EXPECT_EQ(otlp::count_records(signal, *single).value_or(0), 1u);
    Encoding one;
    one.encode(signal, *single, 99);
    const std::vector<Document> again = one.documents();
    ASSERT_EQ(again.size(), 1u);
    EXPECT_EQ(again[0].json, documents[i].json);
    EXPECT_EQ(again[0].id, documents[i].id) << "record " << i;
    EXPECT_EQ(again[0].index, documents[i].index);
  }
  EXPECT_EQ(single_record(signal, whole, static_cast<std::uint32_t>(documents.size())).error().code(),
            ErrorCode::kNotFound);
}

TEST(SingleRecord, OfALogKeepsItsPlaceAndItsIdentity) {
  const std::string other = bytes_field(
      1, bytes_field(1, attribute(1, "service.name", text("other"))) +
             bytes_field(2, bytes_field(1, attribute(3, "naru.source", binary("fedcba9876543210"))) +
                                bytes_field(2, log_record(text("d"))) +
                                bytes_field(2, log_record(text("e"))) + bytes_field(3, "schema")) +
             bytes_field(3, "resource schema"));
  expect_same_documents(Signal::kLogs, request(resource(), stamped_scope(100) + bytes_field(1, "lib"),
                                               {log_record(text("a")),
                                                log_record(text("b"), attribute(6, "naru.pos", integer(3))),
                                                log_record(text("c"))}) +
                                           other);
}

TEST(SingleRecord, OfASpan) {
  const auto span = [](std::string_view id) {
    return bytes_field(1, "0123456789ABCDEF") + bytes_field(2, id) + bytes_field(5, id) +
           fixed64_field(7, kTestTime);
  };
  expect_same_documents(Signal::kTraces,
                        request(resource(), bytes_field(1, "lib"), {span("01234567"), span("76543210")}));
}

TEST(SingleRecord, OfADataPointKeepsItsMetric) {
  const auto point = [](double value, std::string_view key) {
    return bytes_field(1,
                       fixed64_field(3, kTestTime) + double_field(4, value) + attribute(7, key, text("v")));
  };
  const std::string sum =
      bytes_field(1, "requests") + bytes_field(3, "1") +
      bytes_field(7, point(1, "a") + varint_field(2, 2) + point(2, "b") + varint_field(3, 1));
  const std::string gauge = bytes_field(1, "load") + bytes_field(5, point(3, "c"));
  expect_same_documents(Signal::kMetrics, request(resource(), bytes_field(1, "lib"), {sum, gauge}));
}

TEST(DeadLetter, SaysWhereTheRecordCameFromAndWhy) {
  Encoding run;
  const auto message =
      run.encode(Signal::kLogs, request(resource(), stamped_scope(0), {log_record(text("a"))}), 42);
  const bus::OutRecord out = make_dead_letter(
      {.topic = "dead", .pipeline = "main", .config_hash = "abc", .cluster_id = "c"}, *message, 0, "the-id",
      {.type = "t", .reason = "r", .status = 400, .index = "i", .attempts = 3, .first_failed_at = kTestTime},
      kTestTime + kNanosPerSecond);
  EXPECT_EQ(out.topic, "dead");
  EXPECT_EQ(out.key, "the-id");
  EXPECT_EQ(out.timestamp_ms, message->record.timestamp_ms);
  std::string headers;
  for (const bus::Header& header : out.headers) {
    headers += header.key + "=" + header.value + "\n";
  }
  EXPECT_EQ(headers,
            "naru.dl.kind=logs\nnaru.dl.type=t\nnaru.dl.reason=r\nnaru.dl.status=400\nnaru.dl.index=i\n"
            "naru.dl.attempts=3\nnaru.dl.source=otlp_logs/2/42\nnaru.dl.config_hash=abc\n"
            "naru.dl.first_failed_at=2026-11-21T01:02:03.123456789Z\nnaru.dl.failed_at=2026-11-21T01:02:04."
            "123456789Z\n"
            "naru.dl.pipeline=main\nnaru.origin=c/otlp_logs/2/42/0\n");
}

TEST(DeadLetter, HoldsTheWholeValueOfWhatCannotBeDecoded) {
  Encoding run;
  const auto message = run.encode(Signal::kLogs, "\xff junk");
  EXPECT_EQ(
      make_dead_letter({}, *message, kWholeMessage, "id", {.type = "undecodable", .reason = ""}, 1).value,
      "\xff junk");
}

}  // namespace
}  // namespace naru::prepper
