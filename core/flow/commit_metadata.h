// What travels with a committed offset: which records above it are finished too, and the counts of all that
// are (docs/formats/commit-metadata.md).
//
// Pure. Nothing here trusts what it reads: a group's metadata can come from another program, from another
// cluster through mirroring, or from a topic of the same name that was deleted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/flow/ack_tracker.h"

namespace naru::flow {

inline constexpr std::size_t kCommitMetadataMax = 4096;  // Kafka's default offset.metadata.max.bytes
inline constexpr std::size_t kCommitCountsMax = 512;     // of the counts

// What metadata must agree with to be believed.
struct CommitPlace {
  std::string_view cluster_id;
  std::string_view topic_id;
  std::int64_t offset = 0;  // the committed one
};

struct CommitMetadata {
  std::vector<OffsetRun> runs;  // finished, above the committed offset, ascending and apart
  std::string counts;           // the owner's; printable ASCII without '|', at most kCommitCountsMax
};

// Takes runs away from the end until the text of what is left fits with any counts. The caller leaves what
// was taken away out of its counts, before it encodes.
void fit_runs(const CommitPlace& place, std::vector<OffsetRun>& runs);

// At most kCommitMetadataMax bytes when fit_runs() was asked. Empty when a name holds a '|' or is too long:
// then there is nothing that could be believed later.
std::string encode_commit_metadata(const CommitPlace& place, const CommitMetadata& metadata);

// nullopt: not ours, of another place, or damaged in any way; then all of it is ignored.
std::optional<CommitMetadata> parse_commit_metadata(std::string_view text, const CommitPlace& place);

}  // namespace naru::flow
