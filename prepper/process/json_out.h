// A growing buffer that JSON text is written into, for documents on the hot path.
//
// Bytes are escaped 16 or 32 at a time while they are copied; UTF-8 is validated only for strings that have a
// byte above 0x7F. Nothing is zeroed first, nothing is written twice. Not thread-safe.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/clock.h"

namespace naru::prepper {

class JsonOut {
 public:
  JsonOut() = default;
  // Bytes written so far.
  std::size_t size() const { return size_; }
  std::string_view view() const { return {buffer_.data(), size_}; }
  // The bytes from `from` on; valid until the next write.
  std::string_view view_from(std::size_t from) const { return view().substr(from); }
  char* at(std::size_t position) { return buffer_.data() + position; }

  void clear() { size_ = 0; }
  // Forgets everything behind `size`.
  void rewind(std::size_t size) { size_ = size; }
  // Gives the text away and starts anew, expecting as much again.
  std::string take() {
    expected_ = buffer_.size();
    buffer_.resize(size_);
    size_ = 0;
    return std::exchange(buffer_, {});
  }
  // Room for `bytes` more without growing.
  void reserve(std::size_t bytes) {
    if (buffer_.size() - size_ < bytes) [[unlikely]] {
      grow(bytes);
    }
  }

  void raw(std::string_view text) {
    reserve(text.size());
    std::memcpy(buffer_.data() + size_, text.data(), text.size());
    size_ += text.size();
  }
  void raw(char c) {
    reserve(1);
    buffer_[size_++] = c;
  }

  // `text` as a JSON string with quotes. Each byte that is not part of valid UTF-8 becomes U+FFFD; then the
  // answer is false.
  bool string(std::string_view text);
  template <class Integer>
  void integer(Integer value) {
    reserve(24);
    char* const begin = buffer_.data() + size_;
    size_ += static_cast<std::size_t>(std::to_chars(begin, begin + 24, value).ptr - begin);
  }
  // The shortest text that reads back as the same double. `value` must be finite: JSON has no other.
  void real(double value) {
    reserve(32);
    char* const begin = buffer_.data() + size_;
    size_ += static_cast<std::size_t>(std::to_chars(begin, begin + 32, value).ptr - begin);
  }
  // RFC 3339 with nine digits and quotes.
  void time(UnixNanos time);
  void base64(std::string_view bytes);  // with quotes
  void hex(std::string_view bytes);     // with quotes

 private:
  void grow(std::size_t bytes);

  std::string buffer_;  // its size is the capacity in use; size_ says how much is written
  std::size_t size_ = 0;
  std::size_t expected_ = 0;
  // Most times of a batch share their second.
  UnixNanos cached_second_ = ~UnixNanos{0};
  char cached_text_[kRfc3339Size] = {};
};

// The longest prefix of `text` with at most `bytes_max` bytes that does not cut a UTF-8 sequence.
std::string_view cut_utf8(std::string_view text, std::size_t bytes_max);

}  // namespace naru::prepper
