#include "agent/ship/outcome.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <ctime>

#include "core/otlp/wire.h"

namespace naru::agent {
namespace {

constexpr std::size_t kReasonBytesMax = 300;

struct PartialSuccess {
  std::int64_t rejected = 0;
  std::string_view message;
};

// ExportLogsServiceResponse { partial_success = 1 { rejected_log_records = 1, error_message = 2 } }. What
// cannot be parsed counts as a full success: 200 says that the records are taken.
PartialSuccess parse_response(std::string_view body) {
  PartialSuccess out;
  otlp::Reader response(body);
  while (response.next()) {
    if (!response.is(1, otlp::WireType::kBytes)) {
      continue;
    }
    otlp::Reader partial(response.bytes());
    while (partial.next()) {
      if (partial.is(1, otlp::WireType::kVarint)) {
        out.rejected = static_cast<std::int64_t>(partial.scalar());
      } else if (partial.is(2, otlp::WireType::kBytes)) {
        out.message = partial.bytes();
      }
    }
  }
  return out;
}

// google.rpc.Status { message = 2 } in protobuf, or any text.
std::string error_text(const net::HttpResponse& response) {
  std::string_view text = response.body;
  if (response.headers.get("Content-Type").starts_with("application/x-protobuf")) {
    otlp::Reader status(response.body);
    text = {};
    while (status.next()) {
      if (status.is(2, otlp::WireType::kBytes)) {
        text = status.bytes();
      }
    }
  }
  return std::string(text.substr(0, kReasonBytesMax));
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view text, UnixNanos now) {
  std::uint32_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc() && end == text.data() + text.size()) {
    return std::min(kRetryAfterMax, std::chrono::milliseconds(seconds * std::int64_t{1000}));
  }
  std::tm civil{};
  const std::string date(text);
  const char* behind = ::strptime(date.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &civil);
  if (behind == nullptr || *behind != '\0') {
    return std::nullopt;
  }
  const auto at_ms = static_cast<std::int64_t>(::timegm(&civil)) * 1000;
  const auto now_ms = static_cast<std::int64_t>(now / kNanosPerMilli);
  return std::clamp(std::chrono::milliseconds(at_ms - now_ms), std::chrono::milliseconds(0), kRetryAfterMax);
}

Outcome classify(const Result<net::HttpResponse>& answer, UnixNanos now) {
  Outcome outcome;
  if (!answer) {
    outcome.reason = answer.error().message();
    return outcome;
  }
  if (answer->status == 200) {
    const PartialSuccess partial = parse_response(answer->body);
    outcome.verdict = Verdict::kDelivered;
    outcome.rejected = partial.rejected > 0 ? static_cast<std::uint64_t>(partial.rejected) : 0;
    outcome.reason = std::string(partial.message.substr(0, kReasonBytesMax));
    return outcome;
  }
  outcome.reason = fmt::format("it answered {} {}", answer->status, error_text(*answer));
  outcome.retry_after = parse_retry_after(answer->headers.get("Retry-After"), now);
  switch (answer->status) {
    case 429:
    case 502:
    case 503:
    case 504: outcome.verdict = Verdict::kAgain; break;
    case 400:
    case 413:
    case 422: outcome.verdict = Verdict::kSmaller; break;
    default: outcome.verdict = Verdict::kBlocked;
  }
  return outcome;
}

}  // namespace naru::agent
