// What the encoder looks for while a bag of attributes is written: nothing is walked twice for it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/otlp/otlp.h"
#include "prepper/contract/contract.h"
#include "prepper/contract/value_writer.h"
#include "prepper/process/encoder.h"

namespace naru::prepper {

// Leaves the scope attributes out that carry identity.
class IdentityFilter : public BagVisitor {
 public:
  bool visit(const BagEntry& entry) override {
    return entry.key != otlp::kSourceKey && entry.key != otlp::kBaseKey;
  }
};

// Notes the values of promoted fields (the first of each name) and the record's own identity, and leaves
// naru.pos out.
class Encoder::RecordVisitor : public BagVisitor {
 public:
  RecordVisitor(const Contract& contract, std::uint64_t& mask,
                std::array<otlp::AnyValue, kPromotedMax>& values, std::string_view& uid,
                std::optional<std::uint64_t>& position)
      : contract_(contract), mask_(mask), values_(values), uid_(uid), position_(position) {}

  bool visit(const BagEntry& entry) override {
    if (const int slot = contract_.find(entry.key); slot >= 0) {
      const std::uint64_t bit = std::uint64_t{1} << slot;
      if ((mask_ & bit) == 0) {
        mask_ |= bit;
        values_[static_cast<std::size_t>(slot)] = entry.value;
      }
    }
    if (entry.key == otlp::kUidKey) {
      uid_ = uid_.empty() ? entry.encoded : uid_;
    } else if (entry.key == otlp::kPositionKey) {
      if (entry.value.kind == otlp::AnyValue::Kind::kInt) {
        position_ = static_cast<std::uint64_t>(entry.value.integer);
      }
      return false;
    }
    return true;
  }

 private:
  const Contract& contract_;
  std::uint64_t& mask_;
  std::array<otlp::AnyValue, kPromotedMax>& values_;
  std::string_view& uid_;
  std::optional<std::uint64_t>& position_;
};

}  // namespace naru::prepper
