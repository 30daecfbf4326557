#include "core/bus/dead_letter.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace naru::bus {
namespace {

constexpr std::string_view kKind = "naru.dl.kind";
constexpr std::string_view kType = "naru.dl.type";
constexpr std::string_view kReason = "naru.dl.reason";
constexpr std::string_view kStatus = "naru.dl.status";
constexpr std::string_view kIndex = "naru.dl.index";
constexpr std::string_view kAttempts = "naru.dl.attempts";
constexpr std::string_view kSource = "naru.dl.source";
constexpr std::string_view kConfigHash = "naru.dl.config_hash";
constexpr std::string_view kFirstFailedAt = "naru.dl.first_failed_at";
constexpr std::string_view kFailedAt = "naru.dl.failed_at";
constexpr std::string_view kPipeline = "naru.dl.pipeline";

template <class Number>
bool read_number(std::string_view text, Number& out) {
  const auto read = std::from_chars(text.data(), text.data() + text.size(), out);
  return read.ec == std::errc() && read.ptr == text.data() + text.size();
}

bool read_time(std::string_view text, UnixNanos& out) {
  const Result<UnixNanos> time = parse_rfc3339(text);
  out = time.value_or(0);
  return time.has_value();
}

}  // namespace

std::vector<Header> dead_letter_headers(const DeadLetterHead& head) {
  const auto header = [](std::string_view name, std::string value) {
    return Header{std::string(name), std::move(value)};
  };
  return {header(kKind, head.kind),
          header(kType, head.type),
          header(kReason, head.reason),
          header(kStatus, std::to_string(head.status)),
          header(kIndex, head.index),
          header(kAttempts, std::to_string(head.attempts)),
          header(kSource, head.source),
          header(kConfigHash, head.config_hash),
          header(kFirstFailedAt, format_rfc3339(head.first_failed_at)),
          header(kFailedAt, format_rfc3339(head.failed_at)),
          header(kPipeline, head.pipeline)};
}

ReadDeadLetterHead read_dead_letter_headers(std::span<const Header> headers) {
  ReadDeadLetterHead out;
  const auto note = [&](std::string_view name, std::string_view what) {
    out.problem += fmt::format("{}{} {}", out.problem.empty() ? "" : ", ", name, what);
  };
  const auto read = [&](std::string_view name, auto&& take) {
    const auto at = std::ranges::find(headers, name, &Header::key);
    if (at == headers.end()) {
      note(name, "is missing");
    } else if (!take(at->value)) {
      note(name, "cannot be read");
    }
  };
  const auto text = [](std::string& field) {
    return [&field](const std::string& value) {
      field = value;
      return true;
    };
  };
  DeadLetterHead& head = out.head;
  read(kKind, text(head.kind));
  read(kType, text(head.type));
  read(kReason, text(head.reason));
  read(kStatus, [&](const std::string& value) { return read_number(value, head.status); });
  read(kIndex, text(head.index));
  read(kAttempts, [&](const std::string& value) { return read_number(value, head.attempts); });
  read(kSource, text(head.source));
  read(kConfigHash, text(head.config_hash));
  read(kFirstFailedAt, [&](const std::string& value) { return read_time(value, head.first_failed_at); });
  read(kFailedAt, [&](const std::string& value) { return read_time(value, head.failed_at); });
  read(kPipeline, text(head.pipeline));
  return out;
}

Result<RecordPosition> parse_record_position(std::string_view text) {
  RecordPosition out;
  const std::size_t last = text.rfind('/');
  const std::size_t middle =
      last == std::string_view::npos || last == 0 ? std::string_view::npos : text.rfind('/', last - 1);
  if (middle == std::string_view::npos || middle == 0 ||
      !read_number(text.substr(middle + 1, last - middle - 1), out.partition) ||
      !read_number(text.substr(last + 1), out.offset) || out.partition < 0 || out.offset < -1) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is not topic/partition/offset", text));
  }
  out.topic = text.substr(0, middle);
  return out;
}

}  // namespace naru::bus
