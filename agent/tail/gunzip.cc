#include "agent/tail/gunzip.h"

#include <zlib.h>

#include <algorithm>

#include "core/base/check.h"

namespace naru::agent {
namespace {

constexpr std::size_t kInputBytes = 64u << 10;
constexpr std::size_t kSkipBytes = 256u << 10;
constexpr int kGzipOnly = 15 + 16;

}  // namespace

bool looks_like_gzip(std::string_view head) {
  return head.starts_with("\x1f\x8b");
}

struct Gunzip::Stream {
  Stream() { NARU_CHECK(inflateInit2(&z, kGzipOnly) == Z_OK, "zlib without memory"); }
  ~Stream() { inflateEnd(&z); }
  z_stream z{};
  std::string input;
  bool between_members = true;  // the file may end here
};

Gunzip::Gunzip(File file) : file_(std::move(file)), stream_(std::make_unique<Stream>()) {}
Gunzip::Gunzip(Gunzip&&) noexcept = default;
Gunzip& Gunzip::operator=(Gunzip&&) noexcept = default;
Gunzip::~Gunzip() = default;

Result<std::string> Gunzip::read(std::size_t size) {
  std::string out(size, '\0');
  std::size_t have = 0;
  z_stream& z = stream_->z;
  while (have < size && !at_end_) {
    if (z.avail_in == 0) {
      NARU_TRY(stream_->input, file_.read(input_at_, kInputBytes));
      input_at_ += stream_->input.size();
      z.next_in = reinterpret_cast<Bytef*>(stream_->input.data());
      z.avail_in = static_cast<uInt>(stream_->input.size());
      if (z.avail_in == 0) {
        if (!stream_->between_members || offset_ + have == 0) {
          return fail(ErrorCode::kCorrupt, "a gzip file ends in the middle");
        }
        at_end_ = true;
        break;
      }
    }
    if (stream_->between_members) {
      inflateReset(&z);
      stream_->between_members = false;
    }
    z.next_out = reinterpret_cast<Bytef*>(out.data() + have);
    z.avail_out = static_cast<uInt>(size - have);
    const int code = inflate(&z, Z_NO_FLUSH);
    have = size - z.avail_out;
    if (code == Z_STREAM_END) {
      stream_->between_members = true;
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      return fail(ErrorCode::kCorrupt, "a gzip file is damaged");
    }
  }
  out.resize(have);
  offset_ += have;
  return out;
}

std::optional<Gunzip> open_gzip(const File& file) {
  const Result<std::string> magic = file.read(0, 2);
  if (!magic || !looks_like_gzip(*magic)) {
    return std::nullopt;
  }
  Result<File> own = file.again();
  return own ? std::optional(Gunzip(std::move(*own))) : std::nullopt;
}

Result<std::string> skip_to(Gunzip& stream, std::uint64_t offset, std::string before) {
  while (stream.offset() < offset && !stream.at_end()) {
    const auto want = std::min<std::uint64_t>(kSkipBytes, offset - stream.offset());
    NARU_TRY(const std::string bytes, stream.read(want));
    before += bytes;
    if (before.size() > kFingerprintBytesMax) {
      before.erase(0, before.size() - kFingerprintBytesMax);
    }
  }
  return before;
}

Result<std::string> unpacked_head(const File& file, const KnownFile& known) {
  std::optional<Gunzip> stream = known.prefix.size > 0 ? open_gzip(file) : std::nullopt;
  if (stream) {
    NARU_TRY(const std::string head, stream->read(kFingerprintBytesMax));
    if (begins_with(head, known.prefix)) {
      const std::string before = known.offset >= head.size()
                                     ? skip_to(*stream, known.offset, head).value_or(std::string())
                                     : head.substr(0, known.offset);
      if (stream->offset() >= known.offset && before.size() >= known.window.size &&
          fingerprint(std::string_view(before).substr(before.size() - known.window.size)) == known.window &&
          (known.window.size > 0 || known.offset == 0)) {
        return head;
      }
    }
  }
  return fail(ErrorCode::kNotFound, "it holds something else");
}

}  // namespace naru::agent
