// Spans (opentelemetry/proto/trace/v1) as otel-v1-apm-span documents.
#include "core/base/bytes.h"
#include "prepper/process/encoder.h"
#include "prepper/process/record_visitor.h"

namespace naru::prepper {
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

// Before the spans themselves: children often stand before their root.
void Encoder::note_roots(const otlp::ScopeGroup& group) {
  if (roots_ == nullptr) {
    roots_ = std::make_unique<TraceRoots>();
  }
  for (otlp::Messages spans = otlp::records(group); spans.next();) {
    otlp::Span span;
    if (otlp::parse(spans.bytes(), span) && span.parent_span_id.empty() && !span.trace_id.empty()) {
      roots_->note(span);
    }
  }
}

void Encoder::write_trace_group(std::string_view name, std::int32_t status_code, UnixNanos start,
                                UnixNanos end) {
  out_.raw(",\"traceGroup\":");
  out_.string(name);
  out_.raw(",\"traceGroupFields\":{\"statusCode\":");
  out_.integer(status_code);
  if (end != 0 && end <= kDateNanosMax) {
    out_.raw(",\"endTime\":");
    out_.time(end);
  }
  if (start != 0 && end != 0) {
    out_.raw(",\"durationInNanos\":");
    out_.integer(static_cast<std::int64_t>(end - start));
  }
  out_.raw('}');
}

void Encoder::encode_span(std::string_view encoded) {
  if (!otlp::parse(encoded, span_)) {
    begin_document(event_time(span_.start, 0, received_, config_.time).time);
    abandon_document("span");
  } else {
    run_pipelines();
  }
  end_record();
}

bool Encoder::write_span(const Event* event) {
  const otlp::Span& span = event != nullptr ? event->span() : span_;
  const EventTime time = event_time(span.start, 0, received_, config_.time);
  begin_document(time.time);
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
  out_.raw(",\"parentSpanId\":");  // of a root empty and not absent: OpenSearch Dashboards asks for that
  out_.hex(span.parent_span_id);
  out_.raw(",\"name\":");
  out_.string(span.name);
  out_.raw(",\"kind\":");
  out_.string(otlp::span_kind(span.kind));
  text_member(",\"traceState\":", span.trace_state);
  write_date(",\"startTime\":", "naru.original_start_time", span.start);
  write_date(",\"endTime\":", "naru.original_end_time", span.end);
  write_duration();
  out_.raw(",\"status\":{\"code\":");
  out_.integer(span.status_code);
  text_member(",\"message\":", span.status_message);
  out_.raw('}');
  if (span.parent_span_id.empty()) {
    write_trace_group(span.name, span.status_code, span.start, span.end);
  } else {
    roots_->find(span, [&](const TraceRoots::Root& root) {
      write_trace_group(root.name, root.status_code, root.start, root.end);
    });
  }
  constexpr std::uint32_t kTraceFlagsMask = 0xff;
  count_member(",\"flags\":", span.flags & kTraceFlagsMask);
  count_member(",\"droppedAttributesCount\":", span.dropped_attributes_count);
  count_member(",\"droppedEventsCount\":", span.dropped_events_count);
  count_member(",\"droppedLinksCount\":", span.dropped_links_count);
  if (!write_events(span) || !write_links(span)) {
    return abandon_document("span's events or links");
  }
  out_.raw(resource_text_.view());
  out_.raw(scope_text_.view());
  if (!(event != nullptr ? write_attributes(event->attributes(), true)
                         : write_attributes(span.attributes(), true))) {
    return abandon_document("span's attributes");
  }
  write_promoted_fields();
  end_document(span_id(dataset_->name, output_ordinal()));
  return true;
}

// Of the span as it came.
otlp::DocumentId Encoder::span_id(std::string_view output, std::uint32_t ordinal) {
  return span_.trace_id.empty() || span_.span_id.empty() ? foreign_id(output, ordinal)
                                                         : ids_.span(span_, output, ordinal);
}

}  // namespace naru::prepper
