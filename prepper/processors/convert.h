// Values of one type made of another, as `convert`, grok and csv do it.
#pragma once

#include <optional>
#include <string_view>

#include "prepper/record/event.h"

namespace naru::prepper {

enum class Conversion : std::uint8_t { kText, kInteger, kDouble, kBoolean };
// "int", "integer", "long"; "float", "double"; "bool", "boolean"; "text", "string".
std::optional<Conversion> conversion(std::string_view name);
// nullopt: the value has no such form. Texts of numbers are decimal; 1, true, yes, on are true and 0, false,
// no, off are false, in any case. New text comes from the arena.
std::optional<AnyValue> convert(const AnyValue& value, Conversion to, Arena& arena);

}  // namespace naru::prepper
