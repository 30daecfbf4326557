// Reads a gzip file (RFC 1952, several members too) from its beginning on. Holds one inflate window and one
// input buffer, whatever the file's size. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/tail/followed.h"
#include "core/base/result.h"

namespace naru::agent {

// Whether a file that begins with these bytes may be one.
bool looks_like_gzip(std::string_view head);

class Gunzip {
 public:
  explicit Gunzip(File file);
  Gunzip(Gunzip&&) noexcept;
  Gunzip& operator=(Gunzip&&) noexcept;
  ~Gunzip();

  // The next `size` bytes; fewer only at the end. kCorrupt: not gzip, or cut off, perhaps still being
  // written.
  Result<std::string> read(std::size_t size);
  std::uint64_t offset() const { return offset_; }  // of the next byte
  bool at_end() const { return at_end_; }

 private:
  struct Stream;
  File file_;
  std::unique_ptr<Stream> stream_;
  std::uint64_t input_at_ = 0;
  std::uint64_t offset_ = 0;
  bool at_end_ = false;
};

// From the beginning of a file that is open. nullopt: not to be read, or not gzip.
std::optional<Gunzip> open_gzip(const File& file);
// Reads on up to `offset`; returns the bytes, at most kFingerprintBytesMax, that end there, the last of
// `before` among them. Fewer when the stream ends before.
Result<std::string> skip_to(Gunzip& stream, std::uint64_t offset, std::string before);
// The first bytes of what is packed in a file, if it holds everything that was read of the generation.
// kNotFound: it does not, or not yet.
Result<std::string> unpacked_head(const File& file, const KnownFile& known);

}  // namespace naru::agent
