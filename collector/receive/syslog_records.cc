#include "collector/receive/syslog_records.h"

#include <simdjson.h>

#include <algorithm>
#include <numeric>
#include <tuple>
#include <vector>

#include "core/otlp/build.h"
#include "core/otlp/severity.h"
#include "core/syslog/syslog.h"

namespace naru::collector {
namespace {

using syslog::SyslogMessage;

std::string resource_of(const SyslogMessage& message) {
  std::string out;
  if (!message.host.empty()) {
    otlp::append_string_attribute(out, otlp::kResourceAttributes, "host.name", message.host);
  }
  if (!message.app.empty()) {
    otlp::append_string_attribute(out, otlp::kResourceAttributes, "service.name", message.app);
  }
  return out;
}

void append_attributes(std::string& out, const SyslogMessage& message) {
  const auto text = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) {
      otlp::append_string_attribute(out, otlp::kLogAttributes, key, value);
    }
  };
  otlp::append_int_attribute(out, otlp::kLogAttributes, "syslog.facility", message.facility);
  text("syslog.procid", message.process_id);
  text("syslog.msgid", message.message_id);
  std::string key;
  syslog::for_each_parameter(message.structured_data,
                             [&](std::string_view id, std::string_view name, std::string_view value) {
                               key.assign("syslog.structured_data.").append(id).append(".").append(name);
                               text(key, value);
                             });
}

// A header that is not UTF-8 is no header: the whole message is then the text.
bool is_utf8(std::string_view bytes) {
  return simdjson::validate_utf8(bytes.data(), bytes.size());
}

SyslogMessage read(std::string_view raw, const SyslogBatch& batch) {
  SyslogMessage message = syslog::parse_syslog(raw, batch.observed);
  const auto header_size = static_cast<std::size_t>(message.text.data() - raw.data());
  if (!is_utf8(raw.substr(0, header_size))) {
    SyslogMessage plain;
    plain.facility = message.facility;
    plain.severity = message.severity;
    plain.text = raw;
    message = plain;
  }
  if (message.host.empty()) {
    message.host = batch.fallback_host;
  }
  return message;
}

}  // namespace

std::string encode_syslog(const SyslogBatch& batch) {
  std::vector<SyslogMessage> messages;
  messages.reserve(batch.messages.size());
  for (const std::string& raw : batch.messages) {
    messages.push_back(read(raw, batch));
  }
  std::vector<std::size_t> order(messages.size());
  std::iota(order.begin(), order.end(), 0);
  const auto resource_key = [&](std::size_t i) { return std::tie(messages[i].host, messages[i].app); };
  // The index last, so that messages of one resource keep their order.
  std::ranges::sort(order, {}, [&](std::size_t i) { return std::tuple_cat(resource_key(i), std::tuple(i)); });

  otlp::LogsBuilder builder;
  std::string attributes;
  for (std::size_t position = 0; position < order.size(); ++position) {
    const SyslogMessage& message = messages[order[position]];
    if (position == 0 || resource_key(order[position]) != resource_key(order[position - 1])) {
      builder.begin_resource(resource_of(message));
      builder.begin_scope(batch.source, position);
    }
    attributes.clear();
    append_attributes(attributes, message);
    const auto add = is_utf8(message.text) ? &otlp::LogsBuilder::add : &otlp::LogsBuilder::add_bytes;
    (builder.*add)(message.time, batch.observed, message.text, otlp::severity_of_syslog(message.severity),
                   otlp::name_of_syslog_severity(message.severity), attributes);
  }
  return builder.take();
}

}  // namespace naru::collector
