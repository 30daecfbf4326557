#include "prepper/process/encoder.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <limits>
#include <set>

#include "core/base/bytes.h"
#include "prepper/deadletter/dead_letter.h"
#include "tests/unit/prepper/encoding.h"
#include "tests/unit/prepper/otlp_text.h"

namespace naru::prepper {
namespace {

using otlp::Signal;

constexpr std::string_view kTimeText = "2026-11-21T01:02:03.123456789Z";

std::string resource() {
  return attribute(1, "service.name", text("shop")) + attribute(1, "host.name", text("web-1"));
}

// A string member of a JSON document (RFC 6901 pointer).
std::string at(const std::string& json, std::string_view pointer) {
  simdjson::dom::parser parser;
  simdjson::dom::element value;
  if (parser.parse(json).at_pointer(pointer).get(value) != simdjson::SUCCESS) {
    return "<absent>";
  }
  std::string_view out;
  return value.get(out) == simdjson::SUCCESS ? std::string(out) : simdjson::minify(value);
}

std::string log_json(std::string_view record, EncoderConfig config = {}) {
  Encoding run(std::move(config));
  run.encode(Signal::kLogs, request(resource(), stamped_scope(100), {std::string(record)}));
  const std::vector<Document> documents = run.documents();
  return documents.size() == 1 ? documents[0].json : "<" + std::to_string(documents.size()) + " documents>";
}

TEST(LogDocument, HasEveryFieldInItsPlace) {
  Encoding run;
  const std::string scope = bytes_field(1, "lib") + bytes_field(2, "1.2") + stamped_scope(100) +
                            attribute(3, "kind", text("auto")) + varint_field(4, 3);
  const std::string record =
      fixed64_field(1, kTestTime) + varint_field(2, 17) + bytes_field(3, "ERROR") +
      bytes_field(5, text("disk \"full\"\n")) + attribute(6, "http.request.method", text("GET")) +
      attribute(6, "http.response.status_code", integer(507)) + attribute(6, "ratio", real(0.5)) +
      varint_field(7, 2) + fixed32_field(8, 0x101) + bytes_field(9, "0123456789ABCDEF") +
      bytes_field(10, "01234567") + fixed64_field(11, kTestTime + 1) + bytes_field(12, "disk.full");
  run.encode(Signal::kLogs, request(resource(), scope, {record}));
  const std::vector<Document> documents = run.documents();
  ASSERT_EQ(documents.size(), 1u);
  EXPECT_EQ(documents[0].index, "logs-otel-v1-default-2026.11.21");
  EXPECT_EQ(
      documents[0].json,
      R"({"@timestamp":"2026-11-21T01:02:03.123456789Z","time":"2026-11-21T01:02:03.123456789Z",)"
      R"("observedTime":"2026-11-21T01:02:03.123456790Z","severity":{"number":17,"text":"ERROR"},)"
      R"("body":"disk \"full\"\n","eventName":"disk.full","traceId":"30313233343536373839414243444546",)"
      R"("spanId":"3031323334353637","flags":1,"droppedAttributesCount":2,)"
      R"("resource":{"attributes":{"service.name":"shop","host.name":"web-1"}},)"
      R"("instrumentationScope":{"name":"lib","version":"1.2","droppedAttributesCount":3,"attributes":{"kind":"auto"}},)"
      R"("attributes":{"http.request.method":"GET","http.response.status_code":507,"ratio":0.5},)"
      R"("service_name":"shop","host_name":"web-1","http_request_method":"GET","http_response_status_code":507})");
}

TEST(LogDocument, IsSmallWhenTheRecordIs) {
  Encoding run;
  run.encode(Signal::kLogs, request("", "", {log_record(text("x"))}));
  EXPECT_EQ(run.documents().at(0).json,
            R"({"@timestamp":"2026-11-21T01:02:03.123456789Z","time":"2026-11-21T01:02:03.123456789Z",)"
            R"("observedTime":"2026-11-21T01:02:03.123456789Z","body":"x","resource":{"attributes":{}}})");
}

TEST(LogDocument, KeepsAttributesOfEveryKind) {
  const std::string json = log_json(log_record(
      text("x"), join({attribute(6, "none", ""), attribute(6, "yes", boolean(true)),
                       attribute(6, "low", integer(INT64_MIN)), attribute(6, "whole", real(2)),
                       attribute(6, "nan", real(std::numeric_limits<double>::quiet_NaN())),
                       attribute(6, "inf", real(-std::numeric_limits<double>::infinity())),
                       attribute(6, "list", list({integer(1), text("a"), list({})})),
                       attribute(6, "map", map({{"a.b", integer(1)}, {"a", map({{"b", text("\t")}})}})),
                       attribute(6, "raw", binary(std::string("\xff\x00", 2)))})));
  simdjson::dom::parser parser;
  EXPECT_EQ(at(json, "/attributes"),
            R"({"none":null,"yes":true,"low":-9223372036854775808,"whole":2.0,"nan":"NaN","inf":"-Infinity",)"
            R"("list":[1,"a",[]],"map":{"a.b":1,"a":{"b":"\t"}},"raw":"/wA="})");
}

TEST(LogDocument, StoresBodiesThatAreNoTextAsCompactJson) {
  EXPECT_EQ(
      at(log_json(log_record(map({{"a", integer(1)}, {"b", list({boolean(false), real(1)})}}))), "/body"),
      R"({"a":1,"b":[false,1.0]})");
  EXPECT_EQ(at(log_json(log_record(integer(-5))), "/body"), "-5");
  EXPECT_EQ(at(log_json(log_record("")), "/body"), "<absent>");
}

TEST(LogDocument, KeepsTheBytesOfABodyThatIsNotUtf8) {
  const std::string line = "ab\xff\xc3(z\xe2\x82";  // two lone bytes, a broken sequence, a cut one
  for (const std::string& value : {text(line), binary(line)}) {
    const std::string json = log_json(log_record(value));
    EXPECT_EQ(at(json, "/body"), "ab\xef\xbf\xbd\xef\xbf\xbd(z\xef\xbf\xbd\xef\xbf\xbd");
    EXPECT_EQ(from_base64(at(json, "/attributes/log.record.original_bytes")), line);
  }
}

TEST(LogDocument, TakesBytesThatAreUtf8AsText) {
  const std::string json = log_json(log_record(binary("가나다 🚢")));
  EXPECT_EQ(at(json, "/body"), "가나다 🚢");
  EXPECT_EQ(at(json, "/attributes"), "<absent>");
}

TEST(LogDocument, SplitsLongOriginalBytesIntoLeavesThatFit) {
  std::string line;
  for (int i = 0; i < 60'000; ++i) {
    line += static_cast<char>(i % 251);
  }
  const std::string json = log_json(log_record(binary(line)));
  std::string joined;
  for (int i = 0; i < 3; ++i) {
    const std::string chunk = at(json, "/attributes/log.record.original_bytes/" + std::to_string(i));
    EXPECT_LE(chunk.size(), 32'000u);
    joined += from_base64(chunk).value_or("");
  }
  EXPECT_EQ(joined, line);
}

TEST(LogDocument, EscapesEveryByteOfEveryAlignment) {
  for (std::size_t size = 0; size < 100; ++size) {
    for (const char special : {'"', '\\', '\n', '\x01', '\x1f', '\x7f'}) {
      std::string line(size, 'x');
      line += special;
      line += "tail";
      ASSERT_EQ(at(log_json(log_record(text(line))), "/body"), line) << size;
    }
  }
}

TEST(LogTime, FallsBackToObservedAndThenToReceived) {
  const std::string observed = log_json(log_record(text("x"), "", 0, kTestTime));
  EXPECT_EQ(at(observed, "/@timestamp"), kTimeText);
  EXPECT_EQ(at(observed, "/time"), "<absent>");
  const std::string received = log_json(log_record(text("x"), "", 0, 0));
  EXPECT_EQ(at(received, "/@timestamp"), "2026-11-21T01:02:04.000000000Z");
  EXPECT_EQ(at(received, "/observedTime"), "<absent>");
  EXPECT_EQ(at(received, "/time_out_of_range"), "<absent>");
}

TEST(LogTime, IsReplacedAndMarkedWhenOutOfRange) {
  constexpr UnixNanos kWeek = 7 * kNanosPerDay;
  struct Case {
    UnixNanos time;
    bool replaced;
  };
  for (const Case& c :
       {Case{kTestTime - kWeek, false}, Case{kTestTime - kWeek - 1, true},
        Case{kTestTime + 600 * kNanosPerSecond, false}, Case{kTestTime + 600 * kNanosPerSecond + 1, true},
        Case{1, true}, Case{std::numeric_limits<UnixNanos>::max(), true}}) {
    const std::string json = log_json(log_record(text("x"), "", c.time));
    EXPECT_EQ(at(json, "/@timestamp"), c.replaced ? std::string(kTimeText) : format_rfc3339(c.time));
    EXPECT_EQ(at(json, "/time_out_of_range"), c.replaced ? "true" : "<absent>");
    EXPECT_EQ(at(json, "/attributes/naru.original_time"), c.replaced ? format_rfc3339(c.time) : "<absent>");
  }
}

TEST(LogTime, UsesTheReceiveTimeWhenTheObservedOneCannotBeStored) {
  const std::string json = log_json(log_record(text("x"), "", kTestTime, ~std::uint64_t{0}));
  EXPECT_EQ(at(json, "/@timestamp"), kTimeText);
  EXPECT_EQ(at(json, "/observedTime"), "<absent>");
  EXPECT_EQ(at(json, "/attributes/naru.original_observed_time"), "2554-07-21T23:34:33.709551615Z");
}

TEST(Bag, RenamesKeysThatOccurTwice) {
  const std::string json =
      log_json(log_record(text("x"), attribute(6, "a", integer(1)) + attribute(6, "a#2", integer(2)) +
                                         attribute(6, "a", integer(3)) +
                                         attribute(6, "a", map({{"b", integer(4)}, {"b", integer(5)}}))));
  EXPECT_EQ(at(json, "/attributes"), R"({"a":1,"a#2":2,"a#3":3,"a#4":{"b":4,"b#2":5}})");
}

TEST(Bag, RepairsKeysThatAreNotUtf8) {
  const std::string json =
      log_json(log_record(text("x"), attribute(6, "\xff", integer(1)) + attribute(6, "\xfe", integer(2))));
  EXPECT_EQ(at(json, "/attributes"), "{\"\xef\xbf\xbd\":1,\"\xef\xbf\xbd#2\":2}");
}

TEST(Bag, CutsLeavesAtTheTermLimitAndSaysSo) {
  std::string value(40'000, 'v');
  value.replace(32'700, 3, "한");  // a character across no cut must stay whole
  const std::string json = log_json(log_record(text("x"), attribute(6, "long", text(value))));
  const std::string kept = at(json, "/attributes/long");
  EXPECT_EQ(kept.size(), 32'766u - std::string_view("attributes.attributes.long=").size());
  EXPECT_EQ(at(json, "/attributes/naru.cut_leaves"), "1");

  std::string edge(32'766 - 27 - 1, 'v');
  edge += "한";  // would end beyond the limit
  const std::string cut =
      at(log_json(log_record(text("x"), attribute(6, "long", text(edge)))), "/attributes/long");
  EXPECT_EQ(cut, std::string(32'738, 'v'));
}

TEST(Bag, CountsTheCutsOfItsResourceInEveryDocument) {
  Encoding run;
  run.encode(Signal::kLogs, request(attribute(1, "r", text(std::string(50'000, 'r'))), "",
                                    {log_record(text("1")), log_record(text("2"))}));
  for (const Document& document : run.documents()) {
    EXPECT_EQ(at(document.json, "/attributes/naru.cut_leaves"), "1");
  }
  EXPECT_EQ(run.encoder.take_stats().cut_leaves, 1u);
}

TEST(Bag, PutsWhatIsOverTheLeafCountIntoOneText) {
  EncoderConfig config;
  config.bag.leaves_max = 3;
  const std::string json =
      log_json(log_record(text("x"), attribute(6, "a", integer(1)) +
                                         attribute(6, "b", list({integer(1), integer(2), integer(3)})) +
                                         attribute(6, "c", text("\"c\""))),
               config);
  EXPECT_EQ(at(json, "/attributes/a"), "1");
  EXPECT_EQ(at(json, "/attributes/c"), "\"c\"");
  EXPECT_EQ(at(json, "/attributes/naru.overflow"), R"({"b":[1,2,3]})");
}

TEST(Bag, EndsDeepNestingInBase64) {
  std::string value = integer(1);
  for (int i = 0; i < 5'000; ++i) {
    value = list({value});
  }
  const std::string json = log_json(log_record(text("x"), attribute(6, "deep", value)));
  std::string pointer = "/attributes/deep";
  for (int i = 0; i < 31; ++i) {
    pointer += "/0";
  }
  EXPECT_TRUE(from_base64(at(json, pointer)).has_value());
  EXPECT_TRUE(from_base64(at(log_json(log_record(value)), "/body").substr(33, 100)).has_value());
}

TEST(Bag, KeepsPathsShortEnoughForAnyLeaf) {
  std::string value = integer(1);
  for (int i = 0; i < 30; ++i) {
    value = map({{std::string(1'000, 'k'), value}});
  }
  const std::string json = log_json(log_record(text("x"), attribute(6, "deep", value)));
  std::string pointer = "/attributes/deep";
  std::size_t objects = 0;
  while (at(json, pointer).starts_with("{")) {
    pointer += "/" + at(json, pointer).substr(2, at(json, pointer).find("\":") - 2);
    ++objects;
  }
  EXPECT_GT(objects, 14u);
  EXPECT_LT(pointer.size(), 16'600u);
  EXPECT_TRUE(from_base64(at(json, pointer)).has_value());
}

TEST(Bag, TakesTheIdentityOutAndNothingElse) {
  Encoding run;
  run.encode(Signal::kLogs,
             request("", stamped_scope(1) + attribute(3, "naru.other", integer(1)),
                     {log_record(text("x"), attribute(6, "naru.pos", integer(9)) +
                                                attribute(6, "naru.truncated_bytes", integer(3)))}));
  const std::string json = run.documents().at(0).json;
  EXPECT_EQ(at(json, "/instrumentationScope"), R"({"attributes":{"naru.other":1}})");
  EXPECT_EQ(at(json, "/attributes"), R"({"naru.truncated_bytes":3})");
}

TEST(Bag, RenamesWhatAClientCalledLikeAMark) {
  const std::string json =
      log_json(log_record(binary("\xff"), attribute(6, "log.record.original_bytes", text("forged")) +
                                              attribute(6, "other", integer(1))));
  EXPECT_EQ(at(json, "/attributes"),
            R"({"log.record.original_bytes#2":"forged","other":1,"log.record.original_bytes":"/w=="})");
}

TEST(Promotion, PrefersTheRecordAndCoercesByType) {
  const std::string json = log_json(log_record(
      text("x"), attribute(6, "service.name", text("inner")) +
                     attribute(6, "http.response.status_code", text("404")) +
                     attribute(6, "duration_ms", integer(12)) + attribute(6, "process.pid", real(7))));
  EXPECT_EQ(at(json, "/service_name"), "inner");
  EXPECT_EQ(at(json, "/http_response_status_code"), "404");
  EXPECT_EQ(at(json, "/duration_ms"), "12");
  EXPECT_EQ(at(json, "/process_pid"), "7");
  EXPECT_EQ(at(json, "/host_name"), "web-1");
}

TEST(Promotion, LeavesTheWrongTypeInTheBagAndCountsIt) {
  Encoding run;
  run.encode(Signal::kLogs,
             request("", "",
                     {log_record(text("x"), attribute(6, "http.response.status_code", text("4xx")) +
                                                attribute(6, "duration_ms", text("NaN")) +
                                                attribute(6, "host.name", list({text("a")})) +
                                                attribute(6, "url.path", text(std::string(2000, 'p'))))}));
  const std::string json = run.documents().at(0).json;
  for (const char* field : {"/http_response_status_code", "/duration_ms", "/host_name", "/url_path"}) {
    EXPECT_EQ(at(json, field), "<absent>") << field;
  }
  EXPECT_EQ(at(json, "/attributes/http.response.status_code"), "4xx");
  const EncodeStats stats = run.encoder.take_stats();
  EXPECT_EQ(stats.refused_type, 3u);
  EXPECT_EQ(stats.refused_length, 1u);
}

TEST(Index, FollowsTheDataSetAndThePeriod) {
  EncoderConfig config;
  config.datasets.datasets["hourly"].period = Period::kHour;
  config.datasets.datasets["monthly"].period = Period::kMonth;
  Encoding run(config);
  for (const char* dataset : {"hourly", "monthly", "Web_1", "no.dots", ""}) {
    run.encode(Signal::kLogs,
               request(attribute(1, "data_stream.dataset", text(dataset)), "", {log_record(text("x"))}));
  }
  std::vector<std::string> names;
  for (const Document& document : run.documents()) {
    names.push_back(document.index);
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{"logs-otel-v1-hourly-2026.11.21.01", "logs-otel-v1-monthly-2026.11",
                                      "logs-otel-v1-web_1-2026.11.21", "logs-otel-v1-default-2026.11.21",
                                      "logs-otel-v1-default-2026.11.21"}));
  EXPECT_EQ(run.encoder.take_stats().dataset_replaced, 2u);
}

TEST(Index, ChangesAtMidnightByTheRecordsTime) {
  Encoding run;
  constexpr UnixNanos kMidnight = kTestTime - kTestTime % kNanosPerDay;
  run.encode(
      Signal::kLogs,
      request("", "", {log_record(text("a"), "", kMidnight - 1), log_record(text("b"), "", kMidnight)}));
  const std::vector<Document> documents = run.documents();
  EXPECT_EQ(documents.at(0).index, "logs-otel-v1-default-2026.11.20");
  EXPECT_EQ(documents.at(1).index, "logs-otel-v1-default-2026.11.21");
}

TEST(Identity, PrefersTheClientsIdThenTheSourceThenTheBusPosition) {
  Encoding run;
  otlp::IdentityHasher hasher;
  const auto as_text = [](const otlp::DocumentId& id) { return std::string(id.data(), id.size()); };
  const std::string with_uid = log_record(text("x"), attribute(6, "log.record.uid", text("u-1")));
  run.encode(Signal::kLogs, request(resource(), stamped_scope(100),
                                    {log_record(text("x")), with_uid,
                                     log_record(text("x"), attribute(6, "naru.pos", integer(5)))}));
  run.encode(Signal::kLogs, request(resource(), "", {log_record(text("y")), log_record(text("x"))}), 8);
  const std::vector<Document> documents = run.documents();
  std::array<unsigned char, 16> source;
  std::memcpy(source.data(), "0123456789abcdef", 16);
  otlp::AttributeSorter sorter;
  const Hash128 hash = *otlp::hash_attributes({resource(), 1}, sorter);
  EXPECT_EQ(documents[0].id, as_text(hasher.source_log(source, 100, text("x"), kTestTime, "default")));
  EXPECT_EQ(documents[1].id, as_text(hasher.client_log(hash, text("u-1"), text("x"), kTestTime, "default")));
  EXPECT_EQ(documents[2].id, as_text(hasher.source_log(source, 5, text("x"), kTestTime, "default")));
  EXPECT_EQ(documents[4].id, as_text(hasher.foreign("test-cluster", "otlp_logs", 2, 8, 1, "default")));
}

// A dead letter goes back to the bus as a value of its own, at another offset.
TEST(Identity, OfAForeignRecordIsKeptThroughDeadLettersAndTheirReplays) {
  Encoding first;
  const auto message =
      first.encode(Signal::kLogs, request(resource(), "", {log_record(text("a")), log_record(text("b"))}), 8);
  const std::string id = first.documents().at(1).id;
  DeadLetterContext context;
  context.cluster_id = "test-cluster";
  const bus::OutRecord letter = make_dead_letter(context, *message, 1, id, {.type = "late", .reason = ""}, 1);
  ASSERT_EQ(letter.headers.back().key, "naru.origin");
  EXPECT_EQ(letter.headers.back().value, "test-cluster/otlp_logs/2/8/1");

  Encoding replay;
  const auto again = replay.encode(Signal::kLogs, letter.value, 4711, &letter.headers);
  EXPECT_EQ(replay.documents().at(0).id, id);
  // And when it fails again.
  context.cluster_id = "another-cluster";
  const bus::OutRecord second = make_dead_letter(context, *again, 0, id, {.type = "late", .reason = ""}, 1);
  EXPECT_EQ(second.headers.back().value, "test-cluster/otlp_logs/2/8/1");

  const std::vector<bus::Header> broken = {{"naru.origin", "test-cluster/otlp_logs/2/8"}};
  Encoding unread;
  unread.encode(Signal::kLogs, letter.value, 4711, &broken);
  EXPECT_NE(unread.documents().at(0).id, id);
}

TEST(Identity, OfAnUndecodableMessageIsKeptThroughItsReplay) {
  Encoding first, replay;
  first.encode(Signal::kLogs, "\xff", 8);
  const std::vector<bus::Header> headers = {{"naru.origin", "test-cluster/otlp_logs/2/8/0"}};
  replay.encode(Signal::kLogs, "\xff", 4711, &headers);
  EXPECT_EQ(first.sink.letters.at(0).id, replay.sink.letters.at(0).id);
}

TEST(Origin, ReadsOnlyItsOwnForm) {
  const bus::Origin origin{
      .cluster_id = "c-1", .topic = "a.b", .partition = 3, .offset = 1LL << 40, .index = 9};
  const auto read = bus::parse_origin(bus::format_origin(origin));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(bus::format_origin(*read), "c-1/a.b/3/1099511627776/9");
  for (const char* text : {"", "c/t/1/2", "c/t/1/2/", "c/t/1/x/3", "c/t/-1/2/3", "c/t/1/-2/3", "c/t/1/2/-3",
                           "/t/1/2/3", "c//1/2/3", "c/t/u/1/2/3", "c/t/1/2/4294967296", "c/t/1/2/3 "}) {
    EXPECT_FALSE(bus::parse_origin(text).has_value()) << text;
  }
}

TEST(Identity, IsTheSameWhenTheSameMessageComesAgain) {
  const std::string value =
      request(resource(), stamped_scope(1), {log_record(text("a")), log_record(text("b"))});
  Encoding first, second;
  first.encode(Signal::kLogs, value, 1);
  second.encode(Signal::kLogs, value, 999);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(first.documents()[i].id, second.documents()[i].id);
  }
}

TEST(SpanDocument, OfARootHasItsTraceGroup) {
  Encoding run;
  const std::string event =
      fixed64_field(1, kTestTime + 5) + bytes_field(2, "retry") + attribute(3, "n", integer(1));
  const std::string link =
      bytes_field(1, "FEDCBA9876543210") + bytes_field(2, "76543210") + bytes_field(3, "s=1");
  const std::string span = bytes_field(1, "0123456789ABCDEF") + bytes_field(2, "01234567") +
                           bytes_field(3, "k=v") + bytes_field(5, "GET /cart") + varint_field(6, 2) +
                           fixed64_field(7, kTestTime) + fixed64_field(8, kTestTime + 1'500'000) +
                           attribute(9, "http.response.status_code", integer(500)) + bytes_field(11, event) +
                           varint_field(12, 4) + bytes_field(13, link) +
                           bytes_field(15, bytes_field(2, "timed out") + varint_field(3, 2));
  run.encode(Signal::kTraces, request(resource(), bytes_field(1, "lib"), {span}));
  const Document document = run.documents().at(0);
  EXPECT_EQ(document.index, "otel-v1-apm-span-default-2026.11.21");
  EXPECT_EQ(
      document.json,
      R"({"@timestamp":"2026-11-21T01:02:03.123456789Z","time":"2026-11-21T01:02:03.123456789Z",)"
      R"("traceId":"30313233343536373839414243444546","spanId":"3031323334353637","parentSpanId":"","name":"GET /cart",)"
      R"("kind":"SPAN_KIND_SERVER","traceState":"k=v","startTime":"2026-11-21T01:02:03.123456789Z",)"
      R"("endTime":"2026-11-21T01:02:03.124956789Z","durationInNanos":1500000,)"
      R"("status":{"code":2,"message":"timed out"},"traceGroup":"GET /cart",)"
      R"("traceGroupFields":{"statusCode":2,"endTime":"2026-11-21T01:02:03.124956789Z","durationInNanos":1500000},)"
      R"("droppedEventsCount":4,)"
      R"("events":[{"name":"retry","time":"2026-11-21T01:02:03.123456794Z","attributes":{"n":1}}],)"
      R"("links":[{"traceId":"46454443424139383736353433323130","spanId":"3736353433323130","traceState":"s=1","attributes":{}}],)"
      R"("resource":{"attributes":{"service.name":"shop","host.name":"web-1"}},"instrumentationScope":{"name":"lib"},)"
      R"("attributes":{"http.response.status_code":500},)"
      R"("serviceName":"shop","host_name":"web-1","http_response_status_code":500})");
  EXPECT_EQ(document.id, [] {
    otlp::IdentityHasher hasher;
    otlp::Span parsed;
    parsed.trace_id = "0123456789ABCDEF";
    parsed.span_id = "01234567";
    parsed.name = "GET /cart";
    parsed.kind = 2;
    parsed.start = kTestTime;
    parsed.end = kTestTime + 1'500'000;
    const otlp::DocumentId id = hasher.span(parsed, "default");
    return std::string(id.data(), id.size());
  }());
}

TEST(SpanDocument, OfAChildHasNone) {
  Encoding run;
  const std::string span = bytes_field(1, "0123456789ABCDEF") + bytes_field(2, "01234567") +
                           bytes_field(4, "89012345") + fixed64_field(7, kTestTime);
  run.encode(Signal::kTraces, request("", "", {span}));
  const std::string json = run.documents().at(0).json;
  EXPECT_EQ(at(json, "/parentSpanId"), "3839303132333435");
  EXPECT_EQ(at(json, "/traceGroup"), "<absent>");
  EXPECT_EQ(at(json, "/durationInNanos"), "<absent>");
  EXPECT_EQ(at(json, "/kind"), "SPAN_KIND_UNSPECIFIED");
}

TEST(SpanDocument, OfAChildHasTheGroupOfARootOfItsMessageOrOfOneBefore) {
  const auto span = [](std::string_view trace, std::string_view id, std::string_view parent,
                       std::string_view name) {
    return bytes_field(1, trace) + bytes_field(2, id) + (parent.empty() ? "" : bytes_field(4, parent)) +
           bytes_field(5, name) + fixed64_field(7, kTestTime) + fixed64_field(8, kTestTime + 1500);
  };
  Encoding encoding;
  encoding.encode(otlp::Signal::kTraces,
                  request("", "",
                          {span("0123456789ABCDEF", "childAAA", "rootAAAA", "child"),
                           span("0123456789ABCDEF", "rootAAAA", "", "GET /cart"),
                           span("FEDCBA9876543210", "strayAAA", "rootBBBB", "stray")}));
  encoding.encode(otlp::Signal::kTraces,
                  request("", "", {span("0123456789ABCDEF", "laterAAA", "rootAAAA", "later")}), 8);
  const auto documents = encoding.documents();
  ASSERT_EQ(documents.size(), 4u);
  const std::string group = R"("traceGroup":"GET /cart","traceGroupFields":{"statusCode":0,"endTime":)";
  EXPECT_NE(documents[0].json.find(group), std::string::npos);
  EXPECT_EQ(documents[2].json.find("traceGroup"), std::string::npos);
  EXPECT_NE(documents[3].json.find(group), std::string::npos);
}

TEST(SpanDocument, HasNoMoreNestedObjectsThanAllowed) {
  EncoderConfig config;
  config.nested_max = 2;
  Encoding run(config);
  std::string span =
      bytes_field(1, "0123456789ABCDEF") + bytes_field(2, "01234567") + fixed64_field(7, kTestTime);
  for (int i = 0; i < 5; ++i) {
    span += bytes_field(11, bytes_field(2, "e"));
  }
  run.encode(Signal::kTraces, request("", "", {span}));
  EXPECT_EQ(at(run.documents().at(0).json, "/events/1/name"), "e");
  EXPECT_EQ(at(run.documents().at(0).json, "/events/2/name"), "<absent>");
  EXPECT_EQ(run.encoder.take_stats().nested_cut, 3u);
}

std::string metric(std::uint32_t kind_field, std::string_view data) {
  return bytes_field(1, "m") + bytes_field(2, "what it is") + bytes_field(3, "ms") +
         bytes_field(kind_field, data);
}
std::string point_head() {
  return fixed64_field(2, kTestTime - 1'000'000'000) + fixed64_field(3, kTestTime);
}
std::string packed(std::initializer_list<std::uint64_t> words) {
  std::string out;
  for (const std::uint64_t word : words) {
    append_le(out, word);
  }
  return out;
}
std::string metric_json(std::string_view encoded) {
  Encoding run;
  run.encode(Signal::kMetrics, request(resource(), "", {std::string(encoded)}));
  const std::vector<Document> documents = run.documents();
  EXPECT_EQ(documents.size(), 1u);
  return documents.empty() ? "" : documents[0].json;
}
constexpr std::string_view kMetricHead =
    R"({"@timestamp":"2026-11-21T01:02:03.123456789Z","time":"2026-11-21T01:02:03.123456789Z",)"
    R"("startTime":"2026-11-21T01:02:02.123456789Z","name":"m","description":"what it is","unit":"ms",)";
constexpr std::string_view kMetricTail =
    R"(,"resource":{"attributes":{"service.name":"shop","host.name":"web-1"}},"attributes":{"k":"v"},)"
    R"("serviceName":"shop","host_name":"web-1"})";

TEST(MetricDocument, OfAGauge) {
  const std::string point = point_head() + double_field(4, 1.25) + attribute(7, "k", text("v"));
  EXPECT_EQ(metric_json(metric(5, bytes_field(1, point))),
            std::string(kMetricHead) + R"("kind":"GAUGE","value":1.25)" + std::string(kMetricTail));
}

TEST(MetricDocument, OfASumWithAnExemplar) {
  const std::string exemplar = fixed64_field(2, kTestTime) + double_field(3, 2.5) +
                               bytes_field(4, "01234567") + bytes_field(5, "0123456789ABCDEF") +
                               attribute(7, "e", integer(1));
  const std::string point = point_head() + fixed64_field(6, 9'007'199'254'740'993) +
                            attribute(7, "k", text("v")) + bytes_field(5, exemplar);
  EXPECT_EQ(
      metric_json(metric(7, bytes_field(1, point) + varint_field(2, 2) + varint_field(3, 1))),
      std::string(kMetricHead) +
          R"("kind":"SUM","aggregationTemporality":"AGGREGATION_TEMPORALITY_CUMULATIVE","isMonotonic":true,)"
          R"("value":9007199254740993,"exemplars":[{"traceId":"30313233343536373839414243444546",)"
          R"("spanId":"3031323334353637","time":"2026-11-21T01:02:03.123456789Z","value":2.5,"attributes":{"e":1}}])" +
          std::string(kMetricTail));
}

TEST(MetricDocument, OfAHistogram) {
  const std::string point =
      point_head() + fixed64_field(4, 6) + double_field(5, 10.5) + bytes_field(6, packed({1, 2, 3})) +
      bytes_field(7, packed({std::bit_cast<std::uint64_t>(0.5), std::bit_cast<std::uint64_t>(5.0)})) +
      attribute(9, "k", text("v")) + double_field(11, 0.1) + double_field(12, 7);
  EXPECT_EQ(
      metric_json(metric(9, bytes_field(1, point) + varint_field(2, 1))),
      std::string(kMetricHead) +
          R"("kind":"HISTOGRAM","aggregationTemporality":"AGGREGATION_TEMPORALITY_DELTA","count":6,"sum":10.5,)"
          R"("min":0.1,"max":7,"bucketsCount":3,)"
          R"("buckets":[{"count":1,"max":0.5},{"count":2,"min":0.5,"max":5},{"count":3,"min":5}])" +
          std::string(kMetricTail));
}

TEST(MetricDocument, OfAnExponentialHistogram) {
  const std::string point =
      attribute(1, "k", text("v")) + point_head() + fixed64_field(4, 5) + double_field(5, 3) +
      varint_field(6, 3) + fixed64_field(7, 1) +
      bytes_field(8, varint_field(1, 4) + bytes_field(2, std::string("\x01\xac\x02", 3))) +
      bytes_field(9, varint_field(1, 1) + varint_field(2, 9)) + double_field(14, 0.25);
  EXPECT_EQ(
      metric_json(metric(10, bytes_field(1, point) + varint_field(2, 2))),
      std::string(kMetricHead) +
          R"("kind":"EXPONENTIAL_HISTOGRAM","aggregationTemporality":"AGGREGATION_TEMPORALITY_CUMULATIVE",)"
          R"("count":5,"sum":3,"scale":-2,"zeroCount":1,"zeroThreshold":0.25,"positive":[1,300],"positiveOffset":2,)"
          R"("negative":[9],"negativeOffset":-1)" +
          std::string(kMetricTail));
}

TEST(MetricDocument, OfASummary) {
  const std::string point =
      point_head() + fixed64_field(4, 2) + double_field(5, 3) +
      bytes_field(6, double_field(1, 0.5) + double_field(2, 1.5)) +
      bytes_field(6, double_field(1, 1) + double_field(2, std::numeric_limits<double>::quiet_NaN())) +
      attribute(7, "k", text("v"));
  EXPECT_EQ(
      metric_json(metric(11, bytes_field(1, point))),
      std::string(kMetricHead) +
          R"("kind":"SUMMARY","count":2,"sum":3,"quantiles":[{"quantile":0.5,"value":1.5},{"quantile":1}])" +
          std::string(kMetricTail));
}

TEST(MetricDocument, KeepsNumbersThatJsonLacksAsText) {
  const std::string point = point_head() + double_field(4, std::numeric_limits<double>::infinity());
  const std::string json = metric_json(metric(5, bytes_field(1, point)));
  EXPECT_EQ(at(json, "/value"), "<absent>");
  EXPECT_EQ(at(json, "/attributes/naru.original_value"), "Infinity");
}

TEST(MetricDocument, ClampsCountsThatALongCannotHold) {
  const std::string point =
      point_head() + fixed64_field(4, ~std::uint64_t{0}) + bytes_field(6, packed({1, ~std::uint64_t{0}}));
  const std::string json = metric_json(metric(9, bytes_field(1, point)));
  EXPECT_EQ(at(json, "/count"), "9223372036854775807");
  EXPECT_EQ(at(json, "/buckets/1/count"), "9223372036854775807");
  EXPECT_EQ(at(json, "/attributes/naru.clamped_counts"), "2");
}

TEST(MetricDocument, IsOnePerPointWithAnIdOfItsOwn) {
  Encoding run;
  const std::string a = point_head() + double_field(4, 1) + attribute(7, "k", text("a"));
  const std::string b = point_head() + double_field(4, 1) + attribute(7, "k", text("b"));
  const auto message =
      run.encode(Signal::kMetrics,
                 request(resource(), "",
                         {metric(5, bytes_field(1, a) + bytes_field(1, b)), metric(5, bytes_field(1, a))}));
  const std::vector<Document> documents = run.documents();
  ASSERT_EQ(documents.size(), 3u);
  EXPECT_NE(documents[0].id, documents[1].id);
  EXPECT_EQ(documents[0].id, documents[2].id);  // the same point again is the same document
  EXPECT_EQ(message->records, 3u);
}

TEST(Encoder, MakesOneDeadLetterOfAValueThatIsNoRequest) {
  for (const std::string& value :
       {std::string("\xff\xff\xff"), std::string("{\"resourceLogs\":[]}"), bytes_field(1, "\x0a\xff")}) {
    Encoding run;
    const auto message = run.encode(Signal::kLogs, value);
    ASSERT_EQ(run.sink.letters.size(), 1u);
    EXPECT_EQ(run.sink.letters[0].ordinal, kWholeMessage);
    EXPECT_EQ(run.sink.letters[0].cause.type, "undecodable");
    EXPECT_EQ(message->records, 1u);
    EXPECT_TRUE(run.sink.done.empty());
    finish(message, 1);
    EXPECT_EQ(run.sink.done.size(), 1u);
  }
}

TEST(Encoder, FinishesAnEmptyMessageAtOnce) {
  Encoding run;
  run.encode(Signal::kLogs, "");
  run.encode(Signal::kLogs, request(resource(), "", {}));
  EXPECT_TRUE(run.sink.letters.empty());
  EXPECT_EQ(run.sink.done.size(), 2u);
}

TEST(Encoder, KeepsAMalformedRecordAsADeadLetterAndWritesTheOthers) {
  Encoding run;
  const auto message = run.encode(
      Signal::kLogs, request(resource(), stamped_scope(10),
                             {log_record(text("a")), log_record("\x0a\x7f"), log_record(text("c"))}));
  ASSERT_EQ(run.sink.letters.size(), 1u);
  EXPECT_EQ(run.sink.letters[0].ordinal, 1u);
  const std::vector<Document> documents = run.documents();
  ASSERT_EQ(documents.size(), 2u);
  EXPECT_EQ(at(documents[1].json, "/body"), "c");
  EXPECT_EQ(message->records, 3u);
  EXPECT_EQ(message->letters, 1u);
  EXPECT_EQ(message->pending.load(), 3u);
}

TEST(Encoder, HandsBatchesOverInsideAMessageAndHoldsEveryDocument) {
  EncoderConfig config;
  config.batch_bytes = 2'000;
  Encoding run(config);
  std::string records;
  std::vector<std::string> many;
  std::string scope_group;
  for (int i = 0; i < 50; ++i) {
    scope_group += bytes_field(2, log_record(text("line " + std::to_string(i))));
  }
  const auto message = run.encode(Signal::kLogs, bytes_field(1, bytes_field(2, scope_group)));
  run.encoder.flush();
  EXPECT_GT(run.sink.batches.size(), 5u);
  std::size_t documents = 0;
  for (const BulkBatch& batch : run.sink.batches) {
    ASSERT_EQ(batch.sources.size(), 1u);
    EXPECT_LT(batch.body.size(), 2'600u);
    EXPECT_TRUE(batch.body.ends_with("}\n"));
    documents += batch.entries.size();
    finish(message, static_cast<std::uint32_t>(batch.entries.size()));
  }
  EXPECT_EQ(documents, 50u);
  EXPECT_EQ(run.sink.done.size(), 1u);
}

TEST(Encoder, ExtractsDocumentsIntoBatchesOfTheirOwn) {
  Encoding run;
  run.encode(Signal::kLogs, request("", "", {log_record(text("a")), log_record(text("b"))}), 1);
  run.encode(Signal::kTraces, request("", "", {fixed64_field(7, kTestTime)}), 2);
  run.encode(Signal::kLogs, request("", "", {log_record(text("c"))}), 3);
  run.encoder.flush();
  const BulkBatch& batch = run.sink.batches.at(0);
  const std::uint32_t chosen[] = {1, 3};
  const BulkBatch part = extract(batch, chosen);
  ASSERT_EQ(part.entries.size(), 2u);
  EXPECT_EQ(part.body, std::string(batch.text(1)) + std::string(batch.text(3)));
  EXPECT_EQ(part.id(1), batch.id(3));
  EXPECT_EQ(part.targets.size(), 1u);
  EXPECT_EQ(part.sources.at(part.entries[1].source)->record.offset, 3);
  EXPECT_EQ(part.entries[0].ordinal, 1u);
}

}  // namespace
}  // namespace naru::prepper
