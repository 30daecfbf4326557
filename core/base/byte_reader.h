// Reads little-endian numbers, varints and texts from bytes, and remembers whether it ever ran out. Pure.
#pragma once

#include <concepts>
#include <cstdint>
#include <string_view>

#include "core/base/bytes.h"

namespace naru {

// After a read beyond the end every value is 0 or empty and ok() is false: check once, at the end.
class ByteReader {
 public:
  explicit ByteReader(std::string_view in) : in_(in) {}

  template <std::unsigned_integral T>
  T number() {
    if (in_.size() < sizeof(T)) {
      ok_ = false;
      return 0;
    }
    const T value = load_le<T>(in_.data());
    in_.remove_prefix(sizeof(T));
    return value;
  }
  // LEB128, at most 64 bits.
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !in_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(in_.front());
      in_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) {
        return value;
      }
    }
    ok_ = false;
    return 0;
  }
  // How many things of at least one byte each follow.
  std::size_t count() {
    const std::uint64_t n = varint();
    if (n > in_.size()) {
      ok_ = false;
      return 0;
    }
    return static_cast<std::size_t>(n);
  }
  std::string_view bytes(std::uint64_t size) {
    if (!ok_ || size > in_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view value = in_.substr(0, size);
    in_.remove_prefix(size);
    return value;
  }

  bool ok() const { return ok_; }
  bool empty() const { return in_.empty(); }
  bool finished() const { return ok_ && in_.empty(); }

 private:
  std::string_view in_;
  bool ok_ = true;
};

}  // namespace naru
