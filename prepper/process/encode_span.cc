// Spans (opentelemetry/proto/trace/v1) as otel-v1-apm-span documents.
#include "core/base/bytes.h"
#include "prepper/process/encoder.h"
#include "prepper/process/record_visitor.h"

namespace naru::prepper {
namespace {

std::string_view span_kind(std::int32_t kind) {
  switch (kind) {
    case 1: return "\"SPAN_KIND_INTERNAL\"";
    case 2: return "\"SPAN_KIND_SERVER\"";
    case 3: return "\"SPAN_KIND_CLIENT\"";
    case 4: return "\"SPAN_KIND_PRODUCER\"";
    case 5: return "\"SPAN_KIND_CONSUMER\"";
    default: return "\"SPAN_KIND_UNSPECIFIED\"";
  }
}

}  // namespace

bool Encoder::write_nested_attributes(const otlp::Attributes& attributes, std::string_view path) {
  out_.raw(",\"attributes\":");
  const BagResult bag = values_.write_bag(out_, attributes, path.size());
  stats_.cut_leaves += bag.cut;
  stats_.overflowed_bags += bag.overflow ? 1 : 0;
  return bag.ok;
}

bool Encoder::write_events(const otlp::Span& span) {
  std::uint32_t count = 0;
  otlp::Messages events = span.events();
  while (events.next()) {
    if (count == config_.nested_max) {
      ++stats_.nested_cut;
      continue;
    }
    otlp::SpanEvent event;
    if (!otlp::parse(events.bytes(), event)) {
      return false;
    }
    out_.raw(count++ == 0 ? ",\"events\":[{\"name\":" : ",{\"name\":");
    out_.string(event.name);
    write_date(",\"time\":", "naru.original_event_time", event.time);
    if (event.dropped_attributes_count > 0) {
      out_.raw(",\"droppedAttributesCount\":");
      out_.integer(event.dropped_attributes_count);
    }
    if (!write_nested_attributes(event.attributes(), "events.attributes")) {
      return false;
    }
    out_.raw('}');
  }
  if (count > 0) {
    out_.raw(']');
  }
  return events.ok();
}

bool Encoder::write_links(const otlp::Span& span) {
  std::uint32_t count = 0;
  otlp::Messages links = span.links();
  while (links.next()) {
    if (count == config_.nested_max) {
      ++stats_.nested_cut;
      continue;
    }
    otlp::SpanLink link;
    if (!otlp::parse(links.bytes(), link)) {
      return false;
    }
    out_.raw(count++ == 0 ? ",\"links\":[{\"traceId\":" : ",{\"traceId\":");
    out_.hex(link.trace_id);
    out_.raw(",\"spanId\":");
    out_.hex(link.span_id);
    if (!link.trace_state.empty()) {
      out_.raw(",\"traceState\":");
      out_.string(link.trace_state);
    }
    if (link.dropped_attributes_count > 0) {
      out_.raw(",\"droppedAttributesCount\":");
      out_.integer(link.dropped_attributes_count);
    }
    if (!write_nested_attributes(link.attributes(), "links.attributes")) {
      return false;
    }
    out_.raw('}');
  }
  if (count > 0) {
    out_.raw(']');
  }
  return links.ok();
}

void Encoder::encode_span(std::string_view encoded) {
  otlp::Span span;
  const bool parsed = otlp::parse(encoded, span);
  const EventTime time = event_time(span.start, 0, received_, config_.time);
  begin_document(time.time);
  if (!parsed) {
    abandon_document("span");
    return;
  }
  const bool has_duration = span.start != 0 && span.end != 0;
  const auto duration = static_cast<std::int64_t>(span.end - span.start);
  write_event_time(time);
  const auto id_member = [&](std::string_view member, std::string_view id) {
    if (!id.empty()) {
      out_.raw(member);
      out_.hex(id);
    }
  };
  const auto text_member = [&](std::string_view member, std::string_view text) {
    if (!text.empty()) {
      out_.raw(member);
      out_.string(text);
    }
  };
  const auto count_member = [&](std::string_view member, std::uint32_t count) {
    if (count > 0) {
      out_.raw(member);
      out_.integer(count);
    }
  };
  const auto write_duration = [&] {
    if (has_duration) {
      out_.raw(",\"durationInNanos\":");
      out_.integer(duration);
    }
  };
  id_member(",\"traceId\":", span.trace_id);
  id_member(",\"spanId\":", span.span_id);
  id_member(",\"parentSpanId\":", span.parent_span_id);
  out_.raw(",\"name\":");
  out_.string(span.name);
  out_.raw(",\"kind\":");
  out_.raw(span_kind(span.kind));
  text_member(",\"traceState\":", span.trace_state);
  write_date(",\"startTime\":", "naru.original_start_time", span.start);
  write_date(",\"endTime\":", "naru.original_end_time", span.end);
  write_duration();
  out_.raw(",\"status\":{\"code\":");
  out_.integer(span.status_code);
  text_member(",\"message\":", span.status_message);
  out_.raw('}');
  if (span.parent_span_id.empty()) {
    out_.raw(",\"traceGroup\":");
    out_.string(span.name);
    out_.raw(",\"traceGroupFields\":{\"statusCode\":");
    out_.integer(span.status_code);
    if (span.end != 0 && span.end <= kDateNanosMax) {
      out_.raw(",\"endTime\":");
      out_.time(span.end);
    }
    write_duration();
    out_.raw('}');
  }
  constexpr std::uint32_t kTraceFlagsMask = 0xff;
  count_member(",\"flags\":", span.flags & kTraceFlagsMask);
  count_member(",\"droppedAttributesCount\":", span.dropped_attributes_count);
  count_member(",\"droppedEventsCount\":", span.dropped_events_count);
  count_member(",\"droppedLinksCount\":", span.dropped_links_count);
  if (!write_events(span) || !write_links(span)) {
    abandon_document("span's events or links");
    return;
  }
  out_.raw(resource_text_.view());
  out_.raw(scope_text_.view());
  if (!write_attributes(span.attributes(), true)) {
    abandon_document("span's attributes");
    return;
  }
  write_promoted_fields();
  if (span.trace_id.empty() || span.span_id.empty()) {
    end_document(foreign_id(dataset_->name));
  } else {
    end_document(ids_.span(span, dataset_->name));
  }
}

}  // namespace naru::prepper
