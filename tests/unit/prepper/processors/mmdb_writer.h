// Writes small MaxMind databases (MaxMind DB file format 2.0) for tests: an IPv6 tree with 24-bit records,
// IPv4 below
// ::/96.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace naru::prepper {

class MmdbWriter {
 public:
  // Encoded values.
  static std::string text(std::string_view value) { return control(2, value.size()) + std::string(value); }
  static std::string real(double value) {
    return control(3, 8) + big_endian(__builtin_bit_cast(std::uint64_t, value), 8);
  }
  static std::string number(std::uint32_t value) { return control(6, 4) + big_endian(value, 4); }
  static std::string small(std::uint16_t value) { return control(5, 2) + big_endian(value, 2); }
  static std::string large(std::uint64_t value) { return control(9, 8) + big_endian(value, 8); }
  static std::string map(const std::vector<std::pair<std::string, std::string>>& entries) {
    std::string out = control(7, entries.size());
    for (const auto& [key, value] : entries) {
      out += text(key) + value;
    }
    return out;
  }
  static std::string list(const std::vector<std::string>& items) {
    std::string out = control(11, items.size());
    for (const std::string& item : items) {
      out += item;
    }
    return out;
  }

  MmdbWriter() { nodes_.push_back({}); }

  // All addresses of an IPv4 network.
  void add(std::uint32_t network, unsigned prefix, const std::string& value) {
    const auto data = static_cast<std::uint32_t>(data_.size());
    data_ += value;
    std::size_t node = 0;
    for (unsigned bit = 0; bit < 96 + prefix; ++bit) {
      const unsigned side = bit < 96 ? 0 : network >> (31 - (bit - 96)) & 1;
      if (bit + 1 == 96 + prefix) {
        nodes_[node][side] = {Kind::kData, data};
        return;
      }
      if (nodes_[node][side].kind != Kind::kNode) {
        nodes_[node][side] = {Kind::kNode, static_cast<std::uint32_t>(nodes_.size())};
        nodes_.push_back({});
      }
      node = nodes_[node][side].at;
    }
  }

  std::string finish(std::string_view type) const {
    std::string out;
    const auto count = static_cast<std::uint32_t>(nodes_.size());
    for (const auto& node : nodes_) {
      for (const Record& record : node) {
        out += big_endian(record.kind == Kind::kNone   ? count
                          : record.kind == Kind::kNode ? record.at
                                                       : count + 16 + record.at,
                          3);
      }
    }
    return out + std::string(16, '\0') + data_ + "\xAB\xCD\xEFMaxMind.com" +
           map({{"binary_format_major_version", small(2)},
                {"binary_format_minor_version", small(0)},
                {"build_epoch", large(1)},
                {"database_type", text(type)},
                {"description", map({{"en", text("test")}})},
                {"ip_version", small(6)},
                {"languages", list({text("en")})},
                {"node_count", number(count)},
                {"record_size", small(24)}});
  }

 private:
  enum class Kind { kNone, kNode, kData };
  struct Record {
    Kind kind = Kind::kNone;
    std::uint32_t at = 0;
  };

  static std::string big_endian(std::uint64_t value, int bytes) {
    std::string out;
    for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) {
      out += static_cast<char>(value >> shift);
    }
    return out;
  }
  // Type and size; sizes up to 284.
  static std::string control(unsigned type, std::size_t size) {
    const unsigned low = size < 29 ? static_cast<unsigned>(size) : 29;
    std::string out(1, static_cast<char>((type <= 7 ? type << 5 : 0) | low));
    if (type > 7) {
      out += static_cast<char>(type - 7);
    }
    if (size >= 29) {
      out += static_cast<char>(size - 29);
    }
    return out;
  }

  std::vector<std::array<Record, 2>> nodes_;
  std::string data_;
};

}  // namespace naru::prepper
