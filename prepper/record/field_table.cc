#include "prepper/record/field_table.h"

#include <algorithm>
#include <array>

namespace naru::prepper {
namespace {

using expr::Type;
using otlp::Signal;

constexpr unsigned kLogs = 1, kSpans = 2, kPoints = 4, kAll = 7;

unsigned bit_of(Signal signal) {
  return signal == Signal::kLogs ? kLogs : signal == Signal::kTraces ? kSpans : kPoints;
}

struct Named {
  std::string_view name;
  FieldKind kind;
  Type type;
  unsigned signals;
  bool writable;
};
constexpr std::array kNamed = {
    Named{"body", FieldKind::kBody, Type::kAny, kLogs, true},
    Named{"time", FieldKind::kTime, Type::kText, kAll, true},
    Named{"observedTime", FieldKind::kObservedTime, Type::kText, kLogs, false},
    Named{"severity.number", FieldKind::kSeverityNumber, Type::kNumber, kLogs, true},
    Named{"severity.text", FieldKind::kSeverityText, Type::kText, kLogs, true},
    Named{"eventName", FieldKind::kEventName, Type::kText, kLogs, true},
    Named{"traceId", FieldKind::kTraceId, Type::kText, kLogs | kSpans, true},
    Named{"spanId", FieldKind::kSpanId, Type::kText, kLogs | kSpans, true},
    Named{"parentSpanId", FieldKind::kParentSpanId, Type::kText, kSpans, false},
    Named{"name", FieldKind::kName, Type::kText, kSpans | kPoints, true},
    Named{"description", FieldKind::kDescription, Type::kText, kPoints, false},
    Named{"unit", FieldKind::kUnit, Type::kText, kPoints, false},
    Named{"kind", FieldKind::kKind, Type::kText, kSpans | kPoints, false},
    Named{"status.code", FieldKind::kStatusCode, Type::kNumber, kSpans, false},
    Named{"status.message", FieldKind::kStatusMessage, Type::kText, kSpans, true},
    Named{"durationInNanos", FieldKind::kDuration, Type::kNumber, kSpans, false},
    Named{"value", FieldKind::kValue, Type::kNumber, kPoints, false},
    Named{"instrumentationScope.name", FieldKind::kScopeName, Type::kText, kAll, false},
    Named{"instrumentationScope.version", FieldKind::kScopeVersion, Type::kText, kAll, false},
};

constexpr std::string_view kAttributes = "attributes";
constexpr std::string_view kResourceAttributes = "resource.attributes";

// The key behind `bag` in `bag["key"]` or bag.key.
std::optional<std::string_view> key_in(const expr::Field& field, std::string_view bag) {
  if (field.name == bag && field.key) {
    return *field.key;
  }
  std::string_view name = field.name;
  if (!field.key && name.starts_with(bag) && name.size() > bag.size() + 1 && name[bag.size()] == '.') {
    return name.substr(bag.size() + 1);
  }
  return std::nullopt;
}

}  // namespace

std::uint32_t FieldTable::number_of(FieldKind kind, std::string_view key) {
  const auto known = std::ranges::find_if(
      fields_, [&](const FieldRef& field) { return field.kind == kind && field.key == key; });
  if (known != fields_.end()) {
    return static_cast<std::uint32_t>(known - fields_.begin());
  }
  fields_.push_back({kind, std::string(key), hash_name(key)});
  return static_cast<std::uint32_t>(fields_.size() - 1);
}

std::uint32_t FieldTable::attribute(std::string_view key) {
  return number_of(FieldKind::kAttribute, key);
}

std::optional<expr::KnownField> FieldTable::find(Signal signal, const expr::Field& field) {
  if (const auto key = key_in(field, kAttributes)) {
    return expr::KnownField{Type::kAny, number_of(FieldKind::kAttribute, *key)};
  }
  if (const auto key = key_in(field, kResourceAttributes)) {
    return expr::KnownField{Type::kAny, number_of(FieldKind::kResourceAttribute, *key)};
  }
  const auto named = std::ranges::find_if(kNamed, [&](const Named& one) {
    return !field.key && one.name == field.name && (one.signals & bit_of(signal)) != 0;
  });
  if (named == kNamed.end()) {
    return std::nullopt;
  }
  return expr::KnownField{named->type, number_of(named->kind, {})};
}

expr::Vocabulary FieldTable::vocabulary(Signal signal) {
  return [this, signal](const expr::Field& field) { return find(signal, field); };
}

std::string FieldTable::names(Signal signal) {
  std::string out;
  for (const Named& one : kNamed) {
    if ((one.signals & bit_of(signal)) != 0) {
      out += std::string(one.name) + ", ";
    }
  }
  return out + "attributes.NAME, resource.attributes.NAME";
}

bool FieldTable::writable(FieldKind kind) {
  return kind == FieldKind::kAttribute ||
         std::ranges::any_of(kNamed, [&](const Named& one) { return one.kind == kind && one.writable; });
}

}  // namespace naru::prepper
