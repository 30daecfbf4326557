// The mapping contract of one concrete index: which promoted fields it knows, and with which types.
//
// Compiled from the index's mapping (live, or of the template), so a document never holds a field that its
// index does not know. Immutable after compile(); safe to share between threads.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/otlp/otlp.h"
#include "prepper/contract/promoted.h"
#include "prepper/process/json_out.h"

namespace naru::prepper {

class Contract {
 public:
  struct Slot {
    std::string from;
    FieldType type;
    std::string member;  // `,"service_name":`
  };

  // `mapping`: the answer of GET <index>/_mapping, or an index template (its template.mappings), or a bare
  // {"properties": ...}. A registry entry whose field the mapping lacks, or has with a type that cannot be
  // promoted to, is left out. kInvalidArgument: no mapping in there.
  static Result<std::shared_ptr<const Contract>> compile(std::string_view mapping,
                                                         std::span<const Promoted> registry);

  std::span<const Slot> slots() const { return slots_; }
  // The slot that attribute `name` is promoted to, or -1.
  int find(std::string_view name) const {
    if (name.empty() || table_.empty()) {
      return -1;
    }
    for (std::size_t at = hash(name);; ++at) {
      const std::int16_t slot = table_[at & mask_];
      if (slot < 0 || slots_[static_cast<std::size_t>(slot)].from == name) {
        return slot;
      }
    }
  }

 private:
  static std::size_t hash(std::string_view name) {
    const auto byte = [&](std::size_t i) {
      return static_cast<std::size_t>(static_cast<unsigned char>(name[i]));
    };
    return name.size() * 0x9E5 + byte(0) * 0x61 + byte(name.size() / 2) * 0x1F + byte(name.size() - 1) * 7;
  }
  std::vector<Slot> slots_;
  std::vector<std::int16_t> table_;  // open addressing, -1 is free, never full
  std::size_t mask_ = 0;
};

// Why a value was not promoted. It stays in its bag.
enum class Refusal : std::uint8_t { kNone, kWrongType, kTooLong };

// Writes `value` as the slot's type (`,"name":value`), or nothing and says why.
// Long: integers, integral doubles, decimal texts. Double: numbers and numeric texts. Keyword: text, numbers
// and booleans as text. Boolean: booleans, "true", "false". Ip and date: texts of that form only.
Refusal write_promoted(JsonOut& out, const Contract::Slot& slot, const otlp::AnyValue& value);

}  // namespace naru::prepper
