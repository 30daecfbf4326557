// XXH3-128 (xxHash 0.8, seed 0) and CRC-32C (Castagnoli, RFC 3720 appendix B.4).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace naru {

// The canonical (big-endian) byte form of XXH3-128, as `xxh128sum` prints it.
using Hash128 = std::array<unsigned char, 16>;
Hash128 xxh3_128(std::string_view bytes);
std::uint64_t xxh3_64(std::string_view bytes);

inline std::string_view as_bytes(const Hash128& hash) {
  return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}

// CRC of `bytes` continued from `crc` (0 to start). Uses the SSE4.2 instruction where the machine has it.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t crc = 0);

}  // namespace naru
