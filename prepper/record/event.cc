#include "prepper/record/event.h"

#include "core/base/bytes.h"

namespace naru::prepper {
namespace {

using Kind = AnyValue::Kind;

constexpr std::int64_t kSeverityMax = 24;  // opentelemetry/proto/logs/v1: SEVERITY_NUMBER_FATAL4

std::optional<UnixNanos> time_of(const AnyValue& value) {
  if (value.kind == Kind::kInt && value.integer >= 0) {
    return static_cast<UnixNanos>(value.integer);
  }
  if (value.kind == Kind::kString) {
    if (const Result<UnixNanos> time = parse_rfc3339(value.bytes)) {
      return *time;
    }
  }
  return std::nullopt;
}

// A text field: false for what is no text.
bool set_text(std::string_view& out, const AnyValue& value) {
  if (value.kind == Kind::kString || value.kind == Kind::kEmpty) {
    out = value.kind == Kind::kString ? value.bytes : std::string_view();
    return true;
  }
  return false;
}

AnyValue text_or_empty(std::string_view text) {
  return text.empty() ? AnyValue{} : text_value(text);
}

}  // namespace

expr::Value to_expr(const AnyValue& value) {
  switch (value.kind) {
    case Kind::kString: return expr::Value(value.bytes);
    case Kind::kBool: return expr::Value(value.boolean);
    case Kind::kInt: return expr::Value(value.integer);
    case Kind::kDouble: return expr::Value(value.real);
    default: return {};
  }
}

AnyValue from_expr(const expr::Value& value) {
  switch (value.kind) {
    case expr::Value::Kind::kMissing: return {};
    case expr::Value::Kind::kBool: return bool_value(value.boolean);
    case expr::Value::Kind::kInt: return int_value(value.integer);
    case expr::Value::Kind::kDouble: return real_value(value.real);
    case expr::Value::Kind::kText: return text_value(value.text);
  }
  return {};
}

bool Event::begin_resource(const otlp::ResourceGroup& group) {
  resource_.clear();
  return group.attributes().for_each([&](const otlp::KeyValue& entry) {
    AnyValue value;
    if (otlp::parse(entry.value, value)) {
      resource_.add(entry.key, value);
    }
  });
}

void Event::begin_scope(const otlp::Scope& scope) {
  scope_ = scope;
}

bool Event::load_attributes(const otlp::Attributes& attributes) {
  if (arena_.oversized()) [[unlikely]] {
    arena_.shrink();
  }
  arena_.reset();
  attributes_.clear();
  uid_ = {};
  position_.reset();
  bool ok = true;
  const bool walked = attributes.for_each([&](const otlp::KeyValue& entry) {
    AnyValue value;
    if (!otlp::parse(entry.value, value)) {
      ok = false;
      return false;
    }
    if (entry.key == otlp::kPositionKey) {
      if (value.kind == Kind::kInt) {
        position_ = static_cast<std::uint64_t>(value.integer);
      }
      return true;
    }
    if (entry.key == otlp::kUidKey && uid_.empty()) {
      uid_ = entry.value;
    }
    attributes_.add(entry.key, value);
    return true;
  });
  return ok && walked;
}

bool Event::load(const otlp::LogRecord& record) {
  signal_ = otlp::Signal::kLogs;
  log_ = record;
  body_ = {};
  encoded_body_ = record.body;
  return (!record.has_body || otlp::parse(record.body, body_)) && load_attributes(record.attributes());
}

bool Event::load(const otlp::Span& span) {
  signal_ = otlp::Signal::kTraces;
  span_ = span;
  return load_attributes(span.attributes());
}

bool Event::load(const otlp::Metric& metric, const otlp::DataPoint& point) {
  signal_ = otlp::Signal::kMetrics;
  metric_ = metric;
  point_ = point;
  return load_attributes(point.attributes());
}

UnixNanos Event::time() const {
  switch (signal_) {
    case otlp::Signal::kLogs: return log_.time;
    case otlp::Signal::kTraces: return span_.start;
    case otlp::Signal::kMetrics: return point_.time;
  }
  return 0;
}

void Event::set_time(UnixNanos time) {
  switch (signal_) {
    case otlp::Signal::kLogs: log_.time = time; break;
    case otlp::Signal::kTraces: span_.start = time; break;
    case otlp::Signal::kMetrics: point_.time = time; break;
  }
}

std::string_view Event::time_text(UnixNanos time) const {
  char* const out = arena_.allocate_small(kRfc3339Size);
  write_rfc3339(time, out);
  return {out, kRfc3339Size};
}

std::string_view Event::hex_text(std::string_view id) const {
  char* const out = arena_.allocate_small(id.size() * 2);
  write_hex(id, out);
  return {out, id.size() * 2};
}

AnyValue Event::get(std::uint32_t ref) const {
  const FieldRef& field = fields_->at(ref);
  const bool is_span = signal_ == otlp::Signal::kTraces;
  const auto id = [&](std::string_view bytes) {
    return bytes.empty() ? AnyValue{} : text_value(hex_text(bytes));
  };
  const auto time = [&](UnixNanos at) { return at == 0 ? AnyValue{} : text_value(time_text(at)); };
  const auto found = [&](const AttributeList& list) {
    const std::ptrdiff_t at = list.find(field.key, field.hash);
    return at < 0 ? AnyValue{} : list[static_cast<std::size_t>(at)].value;
  };
  switch (field.kind) {
    case FieldKind::kAttribute: return found(attributes_);
    case FieldKind::kResourceAttribute: return found(resource_);
    case FieldKind::kScopeName: return text_or_empty(scope_.name);
    case FieldKind::kScopeVersion: return text_or_empty(scope_.version);
    case FieldKind::kTime: return time(this->time());
    case FieldKind::kObservedTime: return time(log_.observed_time);
    case FieldKind::kBody: return body_;
    case FieldKind::kSeverityNumber:
      return log_.severity_number == 0 ? AnyValue{} : int_value(log_.severity_number);
    case FieldKind::kSeverityText: return text_or_empty(log_.severity_text);
    case FieldKind::kEventName: return text_or_empty(log_.event_name);
    case FieldKind::kTraceId: return id(is_span ? span_.trace_id : log_.trace_id);
    case FieldKind::kSpanId: return id(is_span ? span_.span_id : log_.span_id);
    case FieldKind::kParentSpanId: return id(span_.parent_span_id);
    case FieldKind::kName: return text_or_empty(is_span ? span_.name : metric_.name);
    case FieldKind::kDescription: return text_or_empty(metric_.description);
    case FieldKind::kUnit: return text_or_empty(metric_.unit);
    case FieldKind::kKind:
      return text_value(is_span ? otlp::span_kind(span_.kind) : otlp::to_string(metric_.kind));
    case FieldKind::kStatusCode: return int_value(span_.status_code);
    case FieldKind::kStatusMessage: return text_or_empty(span_.status_message);
    case FieldKind::kDuration:
      return span_.start == 0 || span_.end == 0
                 ? AnyValue{}
                 : int_value(static_cast<std::int64_t>(span_.end - span_.start));
    case FieldKind::kValue:
      return point_.has_integer ? int_value(point_.integer)
             : point_.has_real  ? real_value(point_.real)
             : point_.has_sum   ? real_value(point_.sum)
                                : AnyValue{};
  }
  return {};
}

expr::Value Event::read(std::uint32_t ref) const {
  return to_expr(get(ref));
}

std::optional<std::string_view> Event::text(std::uint32_t ref) const {
  const AnyValue value = get(ref);
  return value.kind == Kind::kString ? std::optional(value.bytes) : std::nullopt;
}

bool Event::set_id(std::string_view& id, std::size_t bytes, const AnyValue& value) {
  if (value.kind == Kind::kEmpty) {
    id = {};
    return true;
  }
  if (value.kind != Kind::kString || value.bytes.size() != bytes * 2) {
    return false;
  }
  char* const out = arena_.allocate(bytes);
  bool all_zero = true;  // W3C trace context: no id
  for (std::size_t i = 0; i < bytes; ++i) {
    const int high = hex_value(value.bytes[2 * i]), low = hex_value(value.bytes[2 * i + 1]);
    if (high < 0 || low < 0) {
      return false;
    }
    out[i] = static_cast<char>(high << 4 | low);
    all_zero = all_zero && out[i] == 0;
  }
  if (!all_zero) {
    id = {out, bytes};
  }
  return !all_zero;
}

bool Event::set(std::uint32_t ref, const AnyValue& value) {
  const FieldRef& field = fields_->at(ref);
  const bool is_span = signal_ == otlp::Signal::kTraces;
  switch (field.kind) {
    case FieldKind::kAttribute:
      if (value.kind == Kind::kEmpty) {
        remove(ref);
      } else {
        attributes_.set(field.key, field.hash, value);
      }
      return true;
    case FieldKind::kBody:
      body_ = value;
      encoded_body_ = {};
      return true;
    case FieldKind::kTime:
      if (value.kind == Kind::kEmpty) {
        set_time(0);
        return true;
      }
      if (const std::optional<UnixNanos> time = time_of(value)) {
        set_time(*time);
        return true;
      }
      return false;
    case FieldKind::kSeverityNumber:
      if (value.kind == Kind::kEmpty) {
        log_.severity_number = 0;
        return true;
      }
      if (value.kind != Kind::kInt || value.integer < 0 || value.integer > kSeverityMax) {
        return false;
      }
      log_.severity_number = static_cast<std::int32_t>(value.integer);
      return true;
    case FieldKind::kSeverityText: return set_text(log_.severity_text, value);
    case FieldKind::kEventName: return set_text(log_.event_name, value);
    case FieldKind::kTraceId: return set_id(is_span ? span_.trace_id : log_.trace_id, 16, value);
    case FieldKind::kSpanId: return set_id(is_span ? span_.span_id : log_.span_id, 8, value);
    case FieldKind::kName: return set_text(is_span ? span_.name : metric_.name, value);
    case FieldKind::kStatusMessage: return set_text(span_.status_message, value);
    default: return false;
  }
}

void Event::remove(std::uint32_t ref) {
  const FieldRef& field = fields_->at(ref);
  if (field.kind != FieldKind::kAttribute) {
    set(ref, {});
    return;
  }
  attributes_.remove_named(field.key, field.hash);
}

}  // namespace naru::prepper
