#include "agent/journald/journal_record.h"

#include <simdjson.h>

#include <array>
#include <charconv>
#include <optional>

#include "agent/tail/lines.h"
#include "core/otlp/otlp.h"
#include "core/otlp/severity.h"

namespace naru::agent {
namespace {

constexpr std::uint32_t kDroppedAttributesCount = 7;  // field of LogRecord

struct Known {
  std::string_view field;
  std::string_view key;
  bool number = false;
};
constexpr std::array kKnown = {
    Known{"_SYSTEMD_UNIT", "systemd.unit"},
    Known{"_SYSTEMD_USER_UNIT", "systemd.user_unit"},
    Known{"_TRANSPORT", "journald.transport"},
    Known{"_PID", "process.pid", true},
    Known{"_COMM", "process.executable.name"},
    Known{"SYSLOG_IDENTIFIER", "syslog.identifier"},
    Known{"SYSLOG_FACILITY", "syslog.facility", true},
};

std::optional<std::int64_t> number_of(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

}  // namespace

void JournalRecord::begin(UnixNanos realtime) {
  realtime_ = realtime;
  priority_ = -1;
  cut_bytes_ = 0;
  left_out_ = 0;
  message_.clear();
  attributes_.clear();
}

void JournalRecord::attribute(std::string_view key, std::string_view value) {
  if (attributes_.size() + key.size() + value.size() > kAttributeBytesMax) {
    ++left_out_;
  } else if (simdjson::validate_utf8(value.data(), value.size())) {
    otlp::append_string_attribute(attributes_, otlp::kLogAttributes, key, value);
  } else {
    otlp::append_bytes_attribute(attributes_, otlp::kLogAttributes, key, value);
  }
}

void JournalRecord::field(std::string_view assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos) {
    return;
  }
  const std::string_view name = assignment.substr(0, equals);
  const std::string_view value = assignment.substr(equals + 1);
  if (name == "MESSAGE") {
    message_.assign(value.substr(0, kept_bytes(value, message_bytes_max_)));
    cut_bytes_ = value.size() - message_.size();
    return;
  }
  if (name == "PRIORITY") {
    priority_ = value.size() == 1 && value[0] >= '0' && value[0] <= '7' ? value[0] - '0' : -1;
    return;
  }
  for (const Known& known : kKnown) {
    if (known.field != name) {
      continue;
    }
    if (const auto number = known.number ? number_of(value) : std::nullopt) {
      otlp::append_int_attribute(attributes_, otlp::kLogAttributes, known.key, *number);
    } else {
      attribute(known.key, value);
    }
    return;
  }
  if (name == "_HOSTNAME") {
    if (value != own_host_) {
      attribute("journald.hostname", value);
    }
    return;
  }
  // SYSLOG_PID repeats _PID, SYSLOG_RAW the message, SYSLOG_TIMESTAMP the time.
  if (name.starts_with('_') || name == "SYSLOG_PID" || name == "SYSLOG_RAW" || name == "SYSLOG_TIMESTAMP") {
    return;
  }
  key_.assign("journald.");
  for (const char c : name) {
    key_.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
  }
  attribute(key_, value);
}

void JournalRecord::add_to(otlp::LogsBuilder& builder, UnixNanos observed) {
  if (cut_bytes_ > 0) {
    otlp::append_int_attribute(attributes_, otlp::kLogAttributes, "naru.truncated_bytes",
                               static_cast<std::int64_t>(cut_bytes_));
  }
  if (left_out_ > 0) {
    otlp::append_varint_field(attributes_, kDroppedAttributesCount, left_out_);
  }
  const auto priority = static_cast<unsigned>(priority_);
  const std::int32_t severity = priority_ < 0 ? 0 : otlp::severity_of_syslog(priority);
  const std::string_view severity_text =
      priority_ < 0 ? std::string_view() : otlp::name_of_syslog_severity(priority);
  if (simdjson::validate_utf8(message_)) {
    builder.add(realtime_, observed, message_, severity, severity_text, attributes_);
  } else {
    builder.add_bytes(realtime_, observed, message_, severity, severity_text, attributes_);
  }
}

}  // namespace naru::agent
