// The fields of records that pipelines may name, and the numbers by which compiled pipelines know them.
//
// Names are those of the documents: `body`, `severity.number`, `attributes["http.route"]` (or
// attributes.http.route), `resource.attributes["service.name"]`. Which there are depends on the signal. Pure; not
// thread-safe while it is built, then shared by all threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/expr/expr.h"
#include "core/otlp/otlp.h"

namespace naru::prepper {

// What a field is inside a record.
enum class FieldKind : std::uint8_t {
  kAttribute,
  kResourceAttribute,
  kScopeName,
  kScopeVersion,
  kTime,
  kObservedTime,
  kBody,
  kSeverityNumber,
  kSeverityText,
  kEventName,
  kTraceId,
  kSpanId,
  kParentSpanId,
  kName,
  kDescription,
  kUnit,
  kKind,
  kStatusCode,
  kStatusMessage,
  kDuration,
  kValue,
};

// Whether the field is the same for all records of a resource's scope.
constexpr bool is_of_scope(FieldKind kind) {
  return kind == FieldKind::kResourceAttribute || kind == FieldKind::kScopeName ||
         kind == FieldKind::kScopeVersion;
}

std::uint32_t hash_name(std::string_view name);

struct FieldRef {
  FieldKind kind = FieldKind::kAttribute;
  std::string key;  // of attributes
  std::uint32_t hash = 0;
};

class FieldTable {
 public:
  // The number of the field, new or known; nullopt: the signal has no such field.
  std::optional<expr::KnownField> find(otlp::Signal signal, const expr::Field& field);
  std::uint32_t attribute(std::string_view key);
  const FieldRef& at(std::uint32_t ref) const { return fields_[ref]; }
  expr::Vocabulary vocabulary(otlp::Signal signal);
  // "body, severity.number, ...": for errors.
  static std::string names(otlp::Signal signal);
  // Whether processors may set it.
  static bool writable(FieldKind kind);

 private:
  std::uint32_t number_of(FieldKind kind, std::string_view key);
  std::vector<FieldRef> fields_;
};

}  // namespace naru::prepper
