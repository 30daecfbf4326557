// Which terms may be in a block: a split-block Bloom filter (32-byte blocks, 8 bits per term).
//
// About 0.3 % of absent terms are answered "maybe" at kBitsPerTerm. A term is a 64-bit hash of a field and a
// value (term_hash below); the same functions serve writer and reader and are part of the disk format.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/hash.h"

namespace naru::store {

inline constexpr std::uint32_t kBitsPerTerm = 14;

inline std::uint64_t mix(std::uint64_t value) {  // the finaliser of SplitMix64
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ull;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBull;
  return value ^ (value >> 31);
}
inline std::uint64_t value_hash(std::string_view value) {
  return xxh3_64(value);
}
// `path`: hash of the full path of the field (for a flat_object its leaf).
inline std::uint64_t term_hash(std::uint64_t path, std::uint64_t value) {
  return mix(path * 0x9E3779B97F4A7C15ull + value);
}
// The path of a leaf of a flat_object.
inline std::uint64_t flat_leaf_hash(std::uint64_t path, std::string_view leaf) {
  return mix(path + value_hash(leaf));
}
inline std::uint64_t exists_hash(std::uint64_t path) {
  return mix(path ^ 0x5851F42D4C957F2Dull);
}

// The filter of a large block is stored in pieces, by term, so that a look-up reads little.
inline constexpr std::uint8_t kFilterPieces = 8;
inline constexpr std::size_t kTermsOfOneFilter = 4096;
inline std::size_t filter_piece(std::uint64_t term, std::uint8_t pieces) {
  return (term + (term == 0)) % pieces;
}

// Appends a filter over `terms` to `out`.
void append_filter(std::string& out, const std::vector<std::uint64_t>& terms, std::uint32_t bits_per_term);

// A view of a stored filter; `bytes` is a multiple of 32 and outlives it. An empty filter holds nothing.
class FilterView {
 public:
  explicit FilterView(std::string_view bytes) : bytes_(bytes) {}
  bool may_contain(std::uint64_t term) const;

 private:
  std::string_view bytes_;
};

// Collects distinct 64-bit terms. Clearing keeps the memory.
class TermSet {
 public:
  TermSet();
  void add(std::uint64_t term) {
    term += term == 0;
    std::size_t slot = term & mask_;
    while (slots_[slot] != term) {
      if (slots_[slot] == 0) {
        slots_[slot] = term;
        terms_.push_back(term);
        if (terms_.size() * 2 > slots_.size()) [[unlikely]] {
          grow();
        }
        return;
      }
      slot = (slot + 1) & mask_;
    }
  }
  const std::vector<std::uint64_t>& terms() const { return terms_; }
  void clear();

 private:
  void grow();
  std::vector<std::uint64_t> slots_;
  std::vector<std::uint64_t> terms_;
  std::size_t mask_;
};

}  // namespace naru::store
