// Which generation of which file some bytes belong to. Pure: the caller reads the bytes.
//
// A generation has a source of its own (contracts.md 1). Device and inode find it again after a rename; the
// hash of its first bytes and of the bytes before the checkpoint tell a file that was rewritten, or whose
// inode was given to another file, from the same one grown; so does another time of birth. The two hashes
// also find its copies.
#pragma once

#include <cstdint>
#include <string_view>

namespace naru::agent {

inline constexpr std::size_t kFingerprintBytesMax = 1'024;

// XXH3-64 over `size` bytes.
struct Fingerprint {
  std::uint32_t size = 0;
  std::uint64_t hash = 0;
  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
};
Fingerprint fingerprint(std::string_view bytes);
// Whether the first `expected.size` bytes of `bytes` are those; false when there are fewer.
bool begins_with(std::string_view bytes, const Fingerprint& expected);

struct Inode {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  friend auto operator<=>(const Inode&, const Inode&) = default;
};

// A generation as the checkpoint knows it.
struct KnownFile {
  Inode inode;
  std::uint64_t born = 0;    // when the inode was made, ns; 0: the file system does not say
  std::uint64_t offset = 0;  // bytes before it are records already
  Fingerprint prefix;        // from 0
  Fingerprint window;        // the bytes that end at `offset`
};

// A file as it is found now.
struct SeenFile {
  Inode inode;
  std::uint64_t born = 0;
  std::uint64_t size = 0;
  std::string_view head;    // its first bytes, at most kFingerprintBytesMax
  std::string_view before;  // the known.window.size bytes that end at known.offset; fewer if it is too short
};

enum class Match {
  kSame,       // this generation, perhaps grown
  kRewritten,  // this inode, but other content: a new generation; the rest of the old one may be in a copy
  kCopy,       // another inode that holds everything up to the checkpoint
  kUnrelated,
};
Match compare(const KnownFile& known, const SeenFile& seen);

}  // namespace naru::agent
