#include "prepper/deadletter/dead_letter.h"

#include <fmt/format.h>

#include "core/bus/dead_letter.h"
#include "core/otlp/build.h"
#include "core/otlp/wire.h"

namespace naru::prepper {
namespace {

using otlp::Reader;
using otlp::WireType;

constexpr std::uint32_t kGroups = 1;   // request
constexpr std::uint32_t kScopes = 2;   // resource group
constexpr std::uint32_t kScope = 1;    // scope group
constexpr std::uint32_t kRecords = 2;  // scope group
constexpr std::uint32_t kPoints = 1;   // metric data

// Copies the fields of `message` to `out` except those of number `field`, unchanged.
bool copy_without(std::string& out, std::string_view message, std::uint32_t field) {
  Reader in(message);
  const char* begin = message.data();
  while (in.next()) {
    if (in.field() != field) {
      out.append(begin, in.position());
    }
    begin = in.position();
  }
  return in.ok();
}

// The scope with naru.base + `index`, so that base + 0 is the record's position.
void write_scope(std::string& out, std::string_view scope, std::uint64_t index) {
  const otlp::ScopeIdentity identity = otlp::scope_identity(scope);
  const std::size_t mark = otlp::begin_message_field(out, kScope);
  Reader in(scope);
  const char* begin = scope.data();
  while (in.next()) {
    otlp::KeyValue entry;
    const bool is_base = in.is(otlp::kScopeAttributes, WireType::kBytes) && otlp::parse(in.bytes(), entry) &&
                         entry.key == otlp::kBaseKey;
    if (is_base && identity.present) {
      otlp::append_int_attribute(out, otlp::kScopeAttributes, otlp::kBaseKey,
                                 static_cast<std::int64_t>(identity.base + index));
    } else {
      out.append(begin, in.position());
    }
    begin = in.position();
  }
  if (identity.present && identity.base == 0 && index > 0 &&
      !otlp::Attributes(scope, otlp::kScopeAttributes).find(otlp::kBaseKey).has_value()) {
    otlp::append_int_attribute(out, otlp::kScopeAttributes, otlp::kBaseKey, static_cast<std::int64_t>(index));
  }
  otlp::end_message_field(out, mark);
}

void write_point(std::string& out, std::string_view encoded_metric, std::string_view point) {
  otlp::Metric metric;
  otlp::parse(encoded_metric, metric);
  const std::size_t mark = otlp::begin_message_field(out, kRecords);
  Reader in(encoded_metric);
  const char* begin = encoded_metric.data();
  while (in.next()) {
    const bool is_data = in.type() == WireType::kBytes && in.bytes().data() == metric.data.data() &&
                         in.bytes().size() == metric.data.size();
    if (is_data) {
      const std::size_t data = otlp::begin_message_field(out, in.field());
      copy_without(out, metric.data, kPoints);
      otlp::append_bytes_field(out, kPoints, point);
      otlp::end_message_field(out, data);
    } else {
      out.append(begin, in.position());
    }
    begin = in.position();
  }
  otlp::end_message_field(out, mark);
}

// Where a record stands in its request.
struct Place {
  std::string_view group;
  std::string_view scope_group;
  std::string_view record;  // log record, span or metric
  std::string_view point;   // metrics only
  std::uint64_t index = 0;  // of the record in its scope group
};

Result<Place> find_record(otlp::Signal signal, std::string_view request, std::uint32_t ordinal) {
  std::uint32_t at = 0;
  Place place;
  otlp::Messages groups(request, kGroups);
  while (groups.next()) {
    place.group = groups.bytes();
    otlp::Messages scopes(place.group, kScopes);
    while (scopes.next()) {
      place.scope_group = scopes.bytes();
      place.index = 0;
      otlp::Messages records(place.scope_group, kRecords);
      for (; records.next(); ++place.index) {
        place.record = records.bytes();
        if (signal != otlp::Signal::kMetrics) {
          if (at++ == ordinal) {
            return place;
          }
          continue;
        }
        otlp::Metric metric;
        if (!otlp::parse(place.record, metric)) {
          return fail(ErrorCode::kInvalidArgument, "a metric of the request is malformed");
        }
        otlp::Messages points = metric.points();
        while (points.next()) {
          place.point = points.bytes();
          if (at++ == ordinal) {
            return place;
          }
        }
      }
    }
  }
  return fail(ErrorCode::kNotFound, fmt::format("the request has no record {}", ordinal));
}

}  // namespace

Result<std::string> single_record(otlp::Signal signal, std::string_view request, std::uint32_t ordinal) {
  NARU_TRY(const Place place, find_record(signal, request, ordinal));
  std::string out;
  const std::size_t group = otlp::begin_message_field(out, kGroups);
  copy_without(out, place.group, kScopes);
  const std::size_t scope_group = otlp::begin_message_field(out, kScopes);
  otlp::ScopeGroup scopes;
  otlp::parse(place.scope_group, scopes);
  if (!scopes.scope.empty()) {
    write_scope(out, scopes.scope, place.index);
  }
  std::string rest;
  copy_without(rest, place.scope_group, kRecords);
  Reader in(rest);
  const char* begin = rest.data();
  while (in.next()) {
    if (in.field() != kScope) {
      out.append(begin, in.position());
    }
    begin = in.position();
  }
  if (signal == otlp::Signal::kMetrics) {
    write_point(out, place.record, place.point);
  } else {
    otlp::append_bytes_field(out, kRecords, place.record);
  }
  otlp::end_message_field(out, scope_group);
  otlp::end_message_field(out, group);
  return out;
}

bus::OutRecord make_dead_letter(const DeadLetterContext& context, const SourceMessage& message,
                                std::uint32_t ordinal, std::string_view id, const DeadLetterCause& cause,
                                UnixNanos now) {
  bus::OutRecord out;
  out.topic = context.topic;
  out.key = id;
  if (ordinal != kWholeMessage) {
    if (Result<std::string> single = single_record(message.signal, message.record.value, ordinal)) {
      out.value = std::move(*single);
    }
  }
  if (out.value.empty()) {
    out.value = message.record.value;
  }
  out.timestamp_ms = message.record.timestamp_ms;
  const UnixNanos first = cause.first_failed_at != 0 ? cause.first_failed_at : now;
  out.headers =
      bus::dead_letter_headers({.kind = std::string(otlp::to_string(message.signal)),
                                .type = cause.type,
                                .reason = cause.reason,
                                .status = cause.status,
                                .index = cause.index,
                                .attempts = cause.attempts,
                                .source = fmt::format("{}/{}/{}", message.record.topic,
                                                      message.record.partition, message.record.offset),
                                .config_hash = context.config_hash,
                                .first_failed_at = first,
                                .failed_at = now,
                                .pipeline = context.pipeline});
  bus::Origin origin = bus::origin_of(
      message.record, message.cluster_id != nullptr ? *message.cluster_id : context.cluster_id);
  if (ordinal != kWholeMessage) {
    origin.index += ordinal;
  }
  out.headers.push_back({std::string(bus::kOriginHeader), bus::format_origin(origin)});
  return out;
}

}  // namespace naru::prepper
