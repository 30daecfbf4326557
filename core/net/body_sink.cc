#include "core/net/body_sink.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "core/base/check.h"

namespace naru::net {
namespace {

constexpr std::size_t kFirstOutputBytes = 64u << 10;
// RFC 8878 3.1.1.1.2 asks decoders for 8 MiB; more would let a small frame claim a large window.
constexpr int kZstdWindowLogMax = 23;

// Grows without writing zeros first. The size that libstdc++ 12 hands to the callback may be larger than
// asked.
void resize_unset(std::string& text, std::size_t size) {
  text.resize_and_overwrite(size, [size](char*, std::size_t) { return size; });
}

enum class Step : std::uint8_t { kMore, kEnd, kBad };

}  // namespace

bool ByteBudget::try_take(std::size_t bytes) {
  const std::size_t before = used_.fetch_add(bytes, std::memory_order_relaxed);
  if (before + bytes > bytes_max_) {
    give_back(bytes);
    return false;
  }
  return true;
}

// One compressed stream. decode() consumes from `in` and writes at most `out_size` bytes.
class BodySink::Decoder {
 public:
  virtual ~Decoder() = default;
  virtual Step decode(std::string_view& in, char* out, std::size_t out_size, std::size_t& produced) = 0;
  bool at_end = false;  // the last member or frame ended and no byte followed
};

namespace {

// gzip (several members too) and zlib, told apart by their headers.
class ZlibDecoder : public BodySink::Decoder {
 public:
  ZlibDecoder() { NARU_CHECK(inflateInit2(&stream_, 15 + 32) == Z_OK, "zlib without memory"); }
  ~ZlibDecoder() override { inflateEnd(&stream_); }

  Step decode(std::string_view& in, char* out, std::size_t out_size, std::size_t& produced) override {
    if (at_end && !in.empty()) {
      inflateReset(&stream_);
      at_end = false;
    }
    // zlib counts in 32 bits; callers give at most a read buffer and a growth step, both far below.
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(out_size);
    const int code = inflate(&stream_, Z_NO_FLUSH);
    in.remove_prefix(in.size() - stream_.avail_in);
    produced = out_size - stream_.avail_out;
    if (code == Z_STREAM_END) {
      at_end = true;
      return Step::kEnd;
    }
    return code == Z_OK || code == Z_BUF_ERROR ? Step::kMore : Step::kBad;
  }

 private:
  z_stream stream_{};
};

class ZstdDecoder : public BodySink::Decoder {
 public:
  ZstdDecoder() : context_(ZSTD_createDCtx()) {
    NARU_CHECK(context_ != nullptr, "zstd without memory");
    ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, kZstdWindowLogMax);
  }
  ~ZstdDecoder() override { ZSTD_freeDCtx(context_); }

  Step decode(std::string_view& in, char* out, std::size_t out_size, std::size_t& produced) override {
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    ZSTD_outBuffer output{out, out_size, 0};
    const std::size_t code = ZSTD_decompressStream(context_, &output, &input);
    in.remove_prefix(input.pos);
    produced = output.pos;
    if (ZSTD_isError(code) != 0) {
      return Step::kBad;
    }
    at_end = code == 0;
    return at_end ? Step::kEnd : Step::kMore;
  }

 private:
  ZSTD_DCtx* context_;
};

}  // namespace

BodySink::BodySink(std::size_t bytes_max, ByteBudget& budget) : bytes_max_(bytes_max), budget_(budget) {}

BodySink::~BodySink() {
  budget_.give_back(charged_);
}

bool BodySink::set_encoding(std::string_view content_encoding) {
  if (content_encoding.empty() || content_encoding == "identity") {
    return true;
  }
  if (content_encoding == "gzip" || content_encoding == "x-gzip" || content_encoding == "deflate") {
    decoder_ = std::make_unique<ZlibDecoder>();
    return true;
  }
  if (content_encoding == "zstd") {
    decoder_ = std::make_unique<ZstdDecoder>();
    return true;
  }
  return false;
}

void BodySink::expect(std::size_t size, std::size_t allocated) {
  expected_ = size;
  resize_unset(body_, std::min(size, allocated));
}

bool BodySink::filled(std::size_t bytes) {
  filled_ += bytes;
  if (!budget_.try_take(bytes)) {
    return set_fault(Fault::kOverloaded);
  }
  charged_ += bytes;
  if (filled_ == body_.size() && filled_ < expected_) {
    resize_unset(body_, std::min(expected_, 2 * body_.size()));
  }
  return true;
}

bool BodySink::append(std::string_view bytes) {
  if (decoder_ == nullptr) {
    if (bytes.size() > bytes_max_ - body_.size()) {
      return set_fault(Fault::kTooLarge);
    }
    body_.append(bytes);
    return filled(bytes.size());
  }
  // Bytes may remain inside the decoder although the input is used up, so ask again while the output is full.
  bool full = false;
  while (!bytes.empty() || full) {
    if (filled_ == body_.size()) {
      // One byte over the limit tells "too large" from "exactly full".
      const std::size_t target =
          std::min(bytes_max_ + 1, std::max(kFirstOutputBytes, body_.size() + body_.size() / 2));
      resize_unset(body_, target);
    }
    std::size_t produced = 0;
    const Step step = decoder_->decode(bytes, window(), window_size(), produced);
    full = produced == window_size();
    if (!filled(produced)) {
      return false;
    }
    if (filled_ > bytes_max_) {
      return set_fault(Fault::kTooLarge);
    }
    if (step == Step::kBad || (step == Step::kMore && produced == 0 && !bytes.empty())) {
      return set_fault(Fault::kMalformed);
    }
    if (step == Step::kEnd) {
      full = false;
    }
  }
  return true;
}

bool BodySink::finish() {
  if (decoder_ != nullptr) {
    const bool empty_body = filled_ == 0 && charged_ == 0 && body_.empty();
    if (!decoder_->at_end && !empty_body) {
      return set_fault(Fault::kMalformed);
    }
    body_.resize(filled_);
    decoder_.reset();
  }
  return true;
}

}  // namespace naru::net
