#include "store/token_filter.h"

#include <algorithm>
#include <cstring>

#include "core/base/bytes.h"

namespace naru::store {
namespace {

constexpr std::size_t kBlockBytes = 32;
constexpr std::uint32_t kSalts[8] = {0x47b6137bu, 0x44974d91u, 0x8824ad5bu, 0xa2b7289du,
                                     0x705495c7u, 0x2df1424bu, 0x9efc4947u, 0x5c6bfb31u};

std::size_t block_of(std::uint64_t term, std::size_t blocks) {
  return static_cast<std::size_t>(((term >> 32) * blocks) >> 32);
}

}  // namespace

void append_filter(std::string& out, const std::vector<std::uint64_t>& terms, std::uint32_t bits_per_term) {
  const std::size_t blocks = std::max<std::size_t>(1, (terms.size() * bits_per_term + 255) / 256);
  std::vector<std::uint32_t> lanes(blocks * 8);
  for (std::uint64_t term : terms) {
    std::uint32_t* block = lanes.data() + block_of(term, blocks) * 8;
    const auto low = static_cast<std::uint32_t>(term);
    for (int lane = 0; lane < 8; ++lane) {
      block[lane] |= 1u << ((low * kSalts[lane]) >> 27);
    }
  }
  out.append(reinterpret_cast<const char*>(lanes.data()), lanes.size() * sizeof(std::uint32_t));
}

bool FilterView::may_contain(std::uint64_t term) const {
  term += term == 0;
  const std::size_t blocks = bytes_.size() / kBlockBytes;
  if (blocks == 0) {
    return false;
  }
  const char* block = bytes_.data() + block_of(term, blocks) * kBlockBytes;
  const auto low = static_cast<std::uint32_t>(term);
  std::uint32_t missing = 0;
  for (int lane = 0; lane < 8; ++lane) {
    const std::uint32_t bit = 1u << ((low * kSalts[lane]) >> 27);
    missing |= bit & ~load_le<std::uint32_t>(block + lane * 4);
  }
  return missing == 0;
}

TermSet::TermSet() : slots_(1u << 15), mask_(slots_.size() - 1) {}

void TermSet::clear() {
  std::ranges::fill(slots_, 0);
  terms_.clear();
}

void TermSet::grow() {
  slots_.assign(slots_.size() * 2, 0);
  mask_ = slots_.size() - 1;
  for (std::uint64_t term : terms_) {
    std::size_t slot = term & mask_;
    while (slots_[slot] != 0) {
      slot = (slot + 1) & mask_;
    }
    slots_[slot] = term;
  }
}

}  // namespace naru::store
