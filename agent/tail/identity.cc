#include "agent/tail/identity.h"

#include "core/base/hash.h"

namespace naru::agent {

Fingerprint fingerprint(std::string_view bytes) {
  return {static_cast<std::uint32_t>(bytes.size()), bytes.empty() ? 0 : xxh3_64(bytes)};
}

bool begins_with(std::string_view bytes, const Fingerprint& expected) {
  return bytes.size() >= expected.size && fingerprint(bytes.substr(0, expected.size)) == expected;
}

Match compare(const KnownFile& known, const SeenFile& seen) {
  const bool same_content = seen.size >= known.offset && begins_with(seen.head, known.prefix) &&
                            fingerprint(seen.before) == known.window;
  if (seen.inode == known.inode) {
    const bool other_birth = seen.born != 0 && known.born != 0 && seen.born != known.born;
    return same_content && !other_birth ? Match::kSame : Match::kRewritten;
  }
  // Nothing is known of the content of a file that was empty, so nothing can be its copy.
  return same_content && known.prefix.size > 0 ? Match::kCopy : Match::kUnrelated;
}

}  // namespace naru::agent
