// The protobuf wire format, read in place and written to strings, without generated code and without
// exceptions.
//
// Source: protobuf encoding specification. Groups (wire types 3 and 4) are refused, as in proto3.
// Reader never allocates; all views point into the bytes it was given.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "core/base/bytes.h"

namespace naru::otlp {

enum class WireType : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

// Walks the fields of one message: `while (in.next()) { switch (in.field()) ... }`, then `in.ok()`.
// A field that the caller does not read is skipped by the next call of next().
class Reader {
 public:
  Reader() = default;
  explicit Reader(std::string_view message) : at_(message.data()), end_(message.data() + message.size()) {}

  // False at the end, and after an error (then ok() is false).
  bool next() {
    if (at_ == end_ || !ok_) {
      return false;
    }
    std::uint64_t tag = 0;
    if (!read_varint(tag) || tag > 0xFFFFFFFFULL || (tag >> 3) == 0) {
      return set_bad();
    }
    field_ = static_cast<std::uint32_t>(tag >> 3);
    type_ = static_cast<WireType>(tag & 7);
    switch (type_) {
      case WireType::kVarint: return read_varint(scalar_) || set_bad();
      case WireType::kFixed64: return read_fixed<std::uint64_t>() || set_bad();
      case WireType::kFixed32: return read_fixed<std::uint32_t>() || set_bad();
      case WireType::kBytes: {
        std::uint64_t size = 0;
        if (!read_varint(size) || size > static_cast<std::uint64_t>(end_ - at_)) {
          return set_bad();
        }
        bytes_ = std::string_view(at_, static_cast<std::size_t>(size));
        at_ += size;
        return true;
      }
    }
    return set_bad();
  }

  bool ok() const { return ok_; }
  std::uint32_t field() const { return field_; }
  WireType type() const { return type_; }
  bool is(std::uint32_t field, WireType type) const { return field_ == field && type_ == type; }
  // Length-delimited payload. Only after next() with kBytes.
  std::string_view bytes() const { return bytes_; }
  // Varint, fixed64 or fixed32 value, unsigned.
  std::uint64_t scalar() const { return scalar_; }
  double real() const { return std::bit_cast<double>(scalar_); }
  // Where the next field begins.
  const char* position() const { return at_; }

 private:
  bool set_bad() {
    ok_ = false;
    return false;
  }

  bool read_varint(std::uint64_t& out) {
    if (at_ != end_ && static_cast<unsigned char>(*at_) < 0x80) [[likely]] {
      out = static_cast<unsigned char>(*at_++);
      return true;
    }
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && at_ != end_; shift += 7) {
      const auto byte = static_cast<unsigned char>(*at_++);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) {
        out = value;
        return true;
      }
    }
    return false;
  }

  template <class T>
  bool read_fixed() {
    if (end_ - at_ < static_cast<std::ptrdiff_t>(sizeof(T))) {
      return false;
    }
    scalar_ = load_le<T>(at_);
    at_ += sizeof(T);
    return true;
  }

  const char* at_ = nullptr;
  const char* end_ = nullptr;
  std::string_view bytes_;
  std::uint64_t scalar_ = 0;
  std::uint32_t field_ = 0;
  WireType type_ = WireType::kVarint;
  bool ok_ = true;
};

inline std::size_t varint_size(std::uint64_t value) {
  return (static_cast<std::size_t>(std::bit_width(value | 1)) + 6) / 7;
}

inline void append_varint(std::string& out, std::uint64_t value) {
  char buffer[10];
  std::size_t n = 0;
  while (value >= 0x80) {
    buffer[n++] = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  buffer[n++] = static_cast<char>(value);
  out.append(buffer, n);
}

inline void append_tag(std::string& out, std::uint32_t field, WireType type) {
  append_varint(out, static_cast<std::uint64_t>(field) << 3 | static_cast<std::uint64_t>(type));
}
inline void append_varint_field(std::string& out, std::uint32_t field, std::uint64_t value) {
  append_tag(out, field, WireType::kVarint);
  append_varint(out, value);
}
inline void append_bytes_field(std::string& out, std::uint32_t field, std::string_view value) {
  append_tag(out, field, WireType::kBytes);
  append_varint(out, value.size());
  out.append(value);
}
inline void append_fixed64_field(std::string& out, std::uint32_t field, std::uint64_t value) {
  append_tag(out, field, WireType::kFixed64);
  append_le(out, value);
}
inline void append_fixed32_field(std::string& out, std::uint32_t field, std::uint32_t value) {
  append_tag(out, field, WireType::kFixed32);
  append_le(out, value);
}

// A length-delimited field whose size is known only at its end, written in one pass: the length takes five
// bytes, a padded varint, which every protobuf reader accepts. `begin` returns the mark that `end` needs.
inline std::size_t begin_message_field(std::string& out, std::uint32_t field) {
  append_tag(out, field, WireType::kBytes);
  out.append("\x80\x80\x80\x80\x00", 5);
  return out.size();
}
inline void end_message_field(std::string& out, std::size_t mark) {
  std::uint64_t size = out.size() - mark;
  for (std::size_t i = mark - 5; i < mark - 1; ++i) {
    out[i] = static_cast<char>(size | 0x80);
    size >>= 7;
  }
  out[mark - 1] = static_cast<char>(size);
}

}  // namespace naru::otlp
