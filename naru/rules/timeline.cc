#include "naru/rules/timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <tuple>

#include "core/base/json_text.h"
#include "core/otlp/json.h"
#include "naru/rules/replay.h"

namespace naru::timeline {
namespace {

using namespace std::chrono_literals;

// When tests begin; any whole second serves.
constexpr UnixNanos kBegin = 1'767'225'600 * kNanosPerSecond;
constexpr std::uint64_t kRecordsMax = 5'000'000;

std::string value_json(const std::string& text) {
  std::int64_t whole = 0;
  double real = 0;
  const char* const end = text.data() + text.size();
  if (!text.empty() && std::from_chars(text.data(), end, whole).ptr == end) {
    return fmt::format(R"({{"intValue":"{}"}})", whole);
  }
  if (!text.empty() && std::from_chars(text.data(), end, real).ptr == end) {
    return fmt::format(R"({{"doubleValue":{}}})", real);
  }
  std::string out = R"({"stringValue":)";
  append_json_string(out, text);
  return out + "}";
}

std::string attributes_json(const std::map<std::string, std::string>& attributes) {
  std::string out = "[";
  for (const auto& [key, value] : attributes) {
    out += out.size() > 1 ? ",{\"key\":" : "{\"key\":";
    append_json_string(out, key);
    out += ",\"value\":" + value_json(value) + "}";
  }
  return out + "]";
}

// A request of `records.count` records, its scope numbered like an agent's so that it can be sent again.
std::string request_json(const Records& records, UnixNanos time, std::uint64_t source, std::uint64_t base) {
  std::string one;
  switch (records.signal) {
    case otlp::Signal::kLogs:
      one = fmt::format(R"({{"timeUnixNano":"{}","severityNumber":{},"body":{{"stringValue":)", time,
                        records.severity);
      append_json_string(one, records.body);
      one += "},\"attributes\":" + attributes_json(records.attributes) + "}";
      break;
    case otlp::Signal::kTraces:
      one = R"({"traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0001020304050607","kind":2,"name":)";
      append_json_string(one, records.name);
      one += fmt::format(
          R"(,"startTimeUnixNano":"{}","endTimeUnixNano":"{}","status":{{"code":{}}},"attributes":{}}})",
          time - to_nanos(records.duration), time, records.status_code, attributes_json(records.attributes));
      break;
    case otlp::Signal::kMetrics:
      one = R"({"name":)";
      append_json_string(one, records.name);
      one += fmt::format(
          R"(,"gauge":{{"dataPoints":[{{"timeUnixNano":"{}","asDouble":{},"attributes":{}}}]}}}})", time,
          records.value, attributes_json(records.attributes));
      break;
  }
  std::string all;
  for (std::uint32_t i = 0; i < records.count; ++i) {
    all += (i == 0 ? "" : ",") + one;
  }
  const char* const outer = records.signal == otlp::Signal::kLogs     ? "Logs"
                            : records.signal == otlp::Signal::kTraces ? "Spans"
                                                                      : "Metrics";
  const char* const inner = records.signal == otlp::Signal::kLogs     ? "logRecords"
                            : records.signal == otlp::Signal::kTraces ? "spans"
                                                                      : "metrics";
  std::string stamp(16, '\0');
  store_le(stamp.data(), source);
  return fmt::format(
      R"({{"resource{0}":[{{"resource":{{"attributes":{1}}},"scope{0}":[{{"scope":{{"attributes":[)"
      R"({{"key":"naru.source","value":{{"bytesValue":"{2}"}}}},{{"key":"naru.base","value":{{"intValue":"{3}"}}}}]}},)"
      R"("{4}":[{5}]}}]}}]}})",
      outer, attributes_json(records.resource), to_base64(stamp), base, inner, all);
}

std::string show(std::chrono::milliseconds at, std::string_view target, rules::Level status) {
  return fmt::format("{}s {} {}", at.count() / 1'000, target, to_string(status));
}

}  // namespace

void describe(config::Schema<Records>& s) {
  s.choice("signal", &Records::signal, "What they are.",
           {{"logs", otlp::Signal::kLogs},
            {"metrics", otlp::Signal::kMetrics},
            {"traces", otlp::Signal::kTraces}});
  s.field("at", &Records::at, "When the first comes.");
  s.field("every", &Records::every, "How long after it the next.").min(1ms);
  s.field("times", &Records::times, "How often.").min(1);
  s.field("count", &Records::count, "Records together each time.").min(1).max(100'000);
  s.field("ahead", &Records::ahead, "How far the sender's clock runs ahead.");
  s.field("behind", &Records::behind, "How far it runs behind.");
  s.field("sent", &Records::sent, "How often the same records are sent.").min(1).max(100);
  s.field("resource", &Records::resource, "Attributes of the resource.");
  s.field("attributes", &Records::attributes, "Attributes of the record.");
  s.field("severity", &Records::severity, "logs: severity number.").min(0).max(24);
  s.field("body", &Records::body, "logs: body.");
  s.field("name", &Records::name, "traces, metrics: name.");
  s.field("duration", &Records::duration, "traces: how long the span took.");
  s.field("status_code", &Records::status_code, "traces: 0 unset, 1 ok, 2 error.").min(0).max(2);
  s.field("value", &Records::value, "metrics: value of the point.");
}

void describe(config::Schema<Expected>& s) {
  s.field("at", &Expected::at, "The second in which it is decided.").required();
  s.field("target", &Expected::target, "Whose status changes.").required();
  s.choice("status", &Expected::status, "To what.",
           {{"HEALTHY", rules::Level::kHealthy},
            {"CAUTION", rules::Level::kCaution},
            {"CRITICAL", rules::Level::kCritical}})
      .required();
}

void describe(config::Schema<Test>& s) {
  s.field("name", &Test::name, "What the test shows.").required();
  s.field("lasts", &Test::lasts, "How long it is looked at.").min(1s).max(24h);
  s.field("records", &Test::records, "What comes.");
  s.field("expect", &Test::expect, "Every change of a status, in order.");
}

void describe(config::Schema<Tests>& s) {
  s.field("tests", &Tests::tests, "Tests.").required().min(1);
}

Result<std::string> run(const Test& test, const std::shared_ptr<const rules::RuleSet>& rules,
                        const std::shared_ptr<const prepper::PipelineSet>& pipelines) {
  NARU_TRY(const auto replay, Replay::make(rules, pipelines, kBegin));
  struct Due {
    UnixNanos at;
    const Records* records;
    std::uint64_t source, base;
  };
  std::vector<Due> due;
  std::uint64_t total = 0, source = 0;
  for (const Records& records : test.records) {
    ++source;
    total += std::uint64_t{records.times} * records.count * records.sent;
    if (total > kRecordsMax) {
      return fail(ErrorCode::kInvalidArgument, fmt::format("more than {} records", kRecordsMax));
    }
    for (std::uint32_t i = 0; i < records.times; ++i) {
      due.push_back({kBegin + to_nanos(records.at) + i * to_nanos(records.every), &records, source,
                     std::uint64_t{i} * records.count});
    }
  }
  std::ranges::sort(due, {}, [](const Due& one) { return std::tuple(one.at, one.source, one.base); });
  for (const Due& one : due) {
    const UnixNanos time = one.at + to_nanos(one.records->ahead) - to_nanos(one.records->behind);
    NARU_TRY(
        const std::string request,
        otlp::request_from_json(one.records->signal, request_json(*one.records, time, one.source, one.base)));
    for (std::uint32_t sent = 0; sent < one.records->sent; ++sent) {
      replay->take(one.records->signal, request, one.at);
    }
  }
  replay->advance(kBegin + to_nanos(test.lasts));
  std::vector<std::string> wanted, got;
  for (const Expected& expected : test.expect) {
    wanted.push_back(show(expected.at, expected.target, expected.status));
  }
  for (const Replay::Change& change : replay->changes()) {
    got.push_back(
        show(std::chrono::milliseconds((change.at - kBegin) / kNanosPerMilli), change.target, change.status));
  }
  std::string out;
  for (std::size_t i = 0; i < std::max(wanted.size(), got.size()); ++i) {
    if (i < wanted.size() && i < got.size() && wanted[i] == got[i]) {
      continue;
    }
    out += i < wanted.size() ? fmt::format("    - {}\n", wanted[i]) : "";
    out += i < got.size() ? fmt::format("    + {}  ({})\n", got[i], replay->changes()[i].reason) : "";
  }
  return out;
}

}  // namespace naru::timeline
