// The fields of records that pipelines may name, and the numbers by which compiled pipelines know them.
//
// Names are those of the documents: `body`, `severity.number`, `attributes["http.route"]` (or
// attributes.http.route), `resource.attributes["service.name"]`. Which there are depends on the signal. Pure;
// not thread-safe while it is built, then shared by all threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
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

// Of its length and both ends: names that share these are compared in full.
inline std::uint32_t hash_name(std::string_view name) {
  const std::size_t size = name.size();
  std::uint64_t head = 0, tail = 0;
  if (size >= 8) {
    head = load_le<std::uint64_t>(name.data());
    tail = load_le<std::uint64_t>(name.data() + size - 8);
  } else {
    for (const char c : name) {
      head = head << 8 | static_cast<unsigned char>(c);
    }
  }
  const std::uint64_t mixed =
      (head ^ (size * 0x9E3779B97F4A7C15ULL)) * 0xff51afd7ed558ccdULL ^ tail * 0xc4ceb9fe1a85ec53ULL;
  return static_cast<std::uint32_t>(mixed >> 32 ^ mixed);
}

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
