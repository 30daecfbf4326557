// Memory for what processors make of one record: freed all at once, kept for the next record.
//
// Not thread-safe. Views into it live until reset().
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <string_view>
#include <vector>

namespace naru::prepper {

// A record grew over its limit; the pipeline's runner turns it into a dead letter.
class RecordGrew : public std::exception {
 public:
  const char* what() const noexcept override { return "the record grew over limits.record_bytes_max"; }
};

class Arena {
 public:
  // `bytes_max`: of one record. What is kept between records is one block of the usual size, and blocks up to
  // `bytes_max` after a record that needed them, until shrink().
  explicit Arena(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  // Throws RecordGrew.
  char* allocate(std::size_t bytes) { return take(bytes, bytes_max_); }
  // A few bytes, of the limit or not: for reads, which must not fail.
  char* allocate_small(std::size_t bytes) { return take(bytes, SIZE_MAX); }
  std::string_view copy(std::string_view text) {
    if (text.empty()) {
      return {};
    }
    char* const out = allocate(text.size());
    std::memcpy(out, text.data(), text.size());
    return {out, text.size()};
  }
  void reset() {
    used_before_ = 0;
    current_ = 0;
    if (!blocks_.empty()) {
      at_ = blocks_[0].bytes.get();
      end_ = at_ + blocks_[0].size;
    }
  }
  // Frees all blocks but the first: after a record of unusual size.
  void shrink() {
    if (blocks_.size() > 1) {
      blocks_.resize(1);
      reset();
    }
  }
  bool oversized() const { return blocks_.size() > 1; }

  static constexpr std::size_t kBlockBytes = 64u << 10;

 private:
  struct Block {
    std::unique_ptr<char[]> bytes;
    std::size_t size;
  };

  char* take(std::size_t bytes, std::size_t bytes_max) {
    if (static_cast<std::size_t>(end_ - at_) < bytes) [[unlikely]] {
      open_block(bytes, bytes_max);
    }
    char* const out = at_;
    at_ += bytes;
    return out;
  }

  void open_block(std::size_t bytes, std::size_t bytes_max) {
    if (!blocks_.empty()) {
      used_before_ += blocks_[current_].size;
    }
    if (bytes > bytes_max || used_before_ > bytes_max - bytes) {
      throw RecordGrew();
    }
    const std::size_t next = blocks_.empty() ? 0 : current_ + 1;
    if (next < blocks_.size() && blocks_[next].size < bytes) {
      blocks_.resize(next);
    }
    if (next >= blocks_.size()) {
      const std::size_t size = std::max(bytes, kBlockBytes << std::min<std::size_t>(next, 4));
      blocks_.push_back({std::make_unique_for_overwrite<char[]>(size), size});
    }
    current_ = next;
    at_ = blocks_[next].bytes.get();
    end_ = at_ + blocks_[next].size;
  }

  std::size_t bytes_max_;
  std::vector<Block> blocks_;
  std::size_t current_ = 0;
  std::size_t used_before_ = 0;  // in the blocks before the current one
  char* at_ = nullptr;
  char* end_ = nullptr;
};

}  // namespace naru::prepper
