// Reads a gzip file (RFC 1952, several members too) from its beginning on. Holds one inflate window and one
// input buffer, whatever the file's size. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
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

}  // namespace naru::agent
