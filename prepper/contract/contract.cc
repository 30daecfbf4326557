#include "prepper/contract/contract.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <charconv>
#include <cmath>

#include "core/base/address.h"
#include "prepper/contract/mapping_json.h"

namespace naru::prepper {
namespace {

// Not indexed beyond this by `ignore_above: 256`, so a copy would only cost space (256 characters of at most
// four bytes).
constexpr std::size_t kKeywordBytesMax = 1024;

using simdjson::dom::element;
using simdjson::dom::object;

template <class Number>
bool parse_number(std::string_view text, Number& out) {
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, out);
  return error == std::errc() && at == end && !text.empty();
}

using Kind = otlp::AnyValue::Kind;

bool write_long(JsonOut& out, const otlp::AnyValue& value) {
  std::int64_t number = value.integer;
  if (value.kind == Kind::kDouble) {
    constexpr double kBound = 9223372036854775808.0;  // 2^63
    if (!(value.real >= -kBound && value.real < kBound) || std::trunc(value.real) != value.real) {
      return false;
    }
    number = static_cast<std::int64_t>(value.real);
  } else if (value.kind == Kind::kString) {
    if (!parse_number(value.bytes, number)) {
      return false;
    }
  } else if (value.kind != Kind::kInt) {
    return false;
  }
  out.integer(number);
  return true;
}

bool write_double(JsonOut& out, const otlp::AnyValue& value) {
  double number = value.real;
  if (value.kind == Kind::kInt) {
    out.integer(value.integer);
    return true;
  }
  if (value.kind == Kind::kString) {
    if (!parse_number(value.bytes, number)) {
      return false;
    }
  } else if (value.kind != Kind::kDouble) {
    return false;
  }
  if (!std::isfinite(number)) {
    return false;
  }
  out.real(number);
  return true;
}

bool write_keyword(JsonOut& out, const otlp::AnyValue& value) {
  switch (value.kind) {
    case Kind::kString: out.string(value.bytes); return true;
    case Kind::kInt:
      out.raw('"');
      out.integer(value.integer);
      out.raw('"');
      return true;
    case Kind::kDouble:
      if (!std::isfinite(value.real)) {
        return false;
      }
      out.raw('"');
      out.real(value.real);
      out.raw('"');
      return true;
    case Kind::kBool: out.raw(value.boolean ? "\"true\"" : "\"false\""); return true;
    default: return false;
  }
}

bool write_boolean(JsonOut& out, const otlp::AnyValue& value) {
  if (value.kind == Kind::kBool) {
    out.raw(value.boolean ? "true" : "false");
    return true;
  }
  if (value.kind == Kind::kString && (value.bytes == "true" || value.bytes == "false")) {
    out.raw(value.bytes);
    return true;
  }
  return false;
}

bool write_date(JsonOut& out, const otlp::AnyValue& value) {
  if (value.kind != Kind::kString) {
    return false;
  }
  const Result<UnixNanos> time = parse_rfc3339(value.bytes);
  constexpr UnixNanos kDateNanosMax = INT64_MAX;
  if (!time || *time > kDateNanosMax) {
    return false;
  }
  out.time(*time);
  return true;
}

bool write_typed(JsonOut& out, FieldType type, const otlp::AnyValue& value) {
  switch (type) {
    case FieldType::kKeyword: return write_keyword(out, value);
    case FieldType::kLong: return write_long(out, value);
    case FieldType::kDouble: return write_double(out, value);
    case FieldType::kBoolean: return write_boolean(out, value);
    case FieldType::kIp: return value.kind == Kind::kString && is_ip(value.bytes) && out.string(value.bytes);
    case FieldType::kDate: return write_date(out, value);
  }
  return false;
}

}  // namespace

Result<std::shared_ptr<const Contract>> Contract::compile(std::string_view mapping,
                                                          std::span<const Promoted> registry) {
  simdjson::dom::parser parser;
  element root;
  object properties;
  if (parser.parse(mapping.data(), mapping.size()).get(root) != simdjson::SUCCESS ||
      find_mapping(root)["properties"].get(properties) != simdjson::SUCCESS) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("no index mapping with properties in '{}'", mapping.substr(0, 120)));
  }
  auto out = std::make_shared<Contract>();
  for (const Promoted& entry : registry) {
    std::string_view type;
    if (properties[entry.field]["type"].get(type) != simdjson::SUCCESS) {
      continue;
    }
    const std::optional<FieldType> known = field_type(type);
    // Two entries may promote one attribute under different names; an index knows one of them.
    if (known.has_value() && out->slots_.size() < kPromotedMax &&
        std::ranges::none_of(out->slots_, [&](const Slot& slot) { return slot.from == entry.from; })) {
      out->slots_.push_back({entry.from, *known, fmt::format(",\"{}\":", entry.field)});
    }
  }
  out->mask_ = std::bit_ceil(out->slots_.size() * 4 + 1) - 1;
  out->table_.assign(out->mask_ + 1, -1);
  for (std::size_t i = 0; i < out->slots_.size(); ++i) {
    std::size_t at = hash(out->slots_[i].from);
    while (out->table_[at & out->mask_] >= 0) {
      ++at;
    }
    out->table_[at & out->mask_] = static_cast<std::int16_t>(i);
  }
  return out;
}

Refusal write_promoted(JsonOut& out, const Contract::Slot& slot, const otlp::AnyValue& value) {
  if (value.kind == Kind::kString && value.bytes.size() > kKeywordBytesMax) {
    return Refusal::kTooLong;
  }
  const std::size_t before = out.size();
  out.raw(slot.member);
  if (!write_typed(out, slot.type, value)) {
    out.rewind(before);
    return Refusal::kWrongType;
  }
  return Refusal::kNone;
}

}  // namespace naru::prepper
