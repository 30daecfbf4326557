// Random bytes from the operating system (getrandom). Blocks only before the kernel's pool is ready.
#pragma once

#include <array>
#include <cstddef>

namespace naru {

// 16 bytes that no other caller, process or host draws.
std::array<unsigned char, 16> random_16();
void fill_random(void* out, std::size_t size);

}  // namespace naru
