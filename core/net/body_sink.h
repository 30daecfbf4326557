// Collects a request body, undoing its Content-Encoding on the way, so that a decompression bomb stops at
// the limit. For the .cc files of this module. Not thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace naru::net {

// Bytes held by all requests of a server together.
class ByteBudget {
 public:
  explicit ByteBudget(std::size_t bytes_max) : bytes_max_(bytes_max) {}
  bool try_take(std::size_t bytes);
  void give_back(std::size_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  bool has_room(std::size_t bytes) const { return bytes <= bytes_max_ && used() <= bytes_max_ - bytes; }
  std::size_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  const std::size_t bytes_max_;
  std::atomic<std::size_t> used_{0};
};

class BodySink {
 public:
  enum class Fault : std::uint8_t {
    kNone,
    kTooLarge,    // over `bytes_max` after decompression
    kOverloaded,  // the budget is used up
    kMalformed,   // not a complete gzip, zlib or zstd stream
  };

  // What it holds is given back to `budget` on destruction; `budget` must outlive it.
  BodySink(std::size_t bytes_max, ByteBudget& budget);
  ~BodySink();
  BodySink(const BodySink&) = delete;
  BodySink& operator=(const BodySink&) = delete;

  // "" and "identity", "gzip", "x-gzip", "deflate", "zstd". False: an encoding that is not known.
  bool set_encoding(std::string_view content_encoding);
  bool identity() const { return decoder_ == nullptr; }

  // False: see fault().
  bool append(std::string_view bytes);
  // Call after the last byte.
  bool finish();
  Fault fault() const { return fault_; }

  // For bodies without encoding whose size is known: writes go straight into the string, of which at first
  // `allocated` bytes exist, because a peer may announce much and send little.
  // Precondition: identity() and `size` <= bytes_max. window() is where the next bytes go, filled(n) says
  // that its first n bytes are now there; false: the budget is used up. Complete when remaining() is 0.
  void expect(std::size_t size, std::size_t allocated);
  char* window() { return body_.data() + filled_; }
  std::size_t window_size() const { return body_.size() - filled_; }
  std::size_t remaining() const { return expected_ - filled_; }
  bool filled(std::size_t bytes);

  std::string take() { return std::move(body_); }

  class Decoder;

 private:
  bool set_fault(Fault fault) {
    fault_ = fault;
    return false;
  }

  const std::size_t bytes_max_;
  ByteBudget& budget_;
  std::size_t charged_ = 0;
  std::size_t expected_ = 0;
  std::size_t filled_ = 0;  // bytes of body_ that are valid while decoding or expecting
  std::string body_;
  std::unique_ptr<Decoder> decoder_;
  Fault fault_ = Fault::kNone;
};

}  // namespace naru::net
