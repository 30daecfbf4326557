#include "prepper/write/gzip.h"

#include <zlib.h>

#include "core/base/check.h"

namespace naru::prepper {

std::string gzip(std::string_view bytes) {
  constexpr int kGzipWindow = 15 + 16;  // zlib: +16 writes a gzip header
  z_stream stream{};
  NARU_CHECK(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) == Z_OK,
             "zlib initialises");
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  NARU_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END, "deflateBound() is enough for one pass");
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace naru::prepper
