// Record identity (contracts.md 1, docs/formats/identity.md): a document's _id is a pure function of the
// record.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/hash.h"
#include "core/otlp/otlp.h"

namespace naru::otlp {

// Hash of attributes sorted by key (then encoded value): the Kafka key of a resource, and part of identities.
// `scratch` is kept by the caller to spare allocations.
struct AttributeSorter {
  std::vector<KeyValue> entries;
  std::string bytes;
};
// kInvalidArgument: malformed.
Result<Hash128> hash_attributes(const Attributes& attributes, AttributeSorter& scratch);

// The 22 characters of a document's _id.
using DocumentId = std::array<char, kId22Size>;

// Computes ids. Keeps a scratch buffer, so one per thread.
class IdentityHasher {
 public:
  // kind 1: logs from an agent, or stamped by a collector.
  DocumentId source_log(const std::array<unsigned char, 16>& source, std::uint64_t position,
                        std::string_view encoded_body, UnixNanos time, std::string_view output,
                        std::uint32_t ordinal = 0);
  // kind 2: logs with a client's log.record.uid (encoded AnyValue, so that 1 and "1" differ).
  DocumentId client_log(const Hash128& resource, std::string_view encoded_uid, std::string_view encoded_body,
                        UnixNanos time, std::string_view output, std::uint32_t ordinal = 0);
  // kind 3: spans. Both ids must be present.
  DocumentId span(const Span& span, std::string_view output, std::uint32_t ordinal = 0);
  // kind 4: metric points.
  DocumentId metric_point(const Hash128& resource, std::string_view scope_name, std::string_view metric_name,
                          const Hash128& point_attributes, UnixNanos time, std::string_view encoded_point,
                          std::string_view output, std::uint32_t ordinal = 0);
  // kind 5: points made of `count` records of one message; `first`: XXH3-64 of the first one's id without an
  // output.
  DocumentId aggregate(std::string_view metric, std::string_view encoded_key, UnixNanos window_begin,
                       std::uint64_t first, std::uint64_t count, std::string_view output);
  // kind 6: undecodable or foreign records without any of these.
  DocumentId foreign(std::string_view cluster_id, std::string_view topic, std::int32_t partition,
                     std::int64_t offset, std::uint32_t index, std::string_view output,
                     std::uint32_t ordinal = 0);

 private:
  void begin(std::uint8_t kind);
  void part(std::string_view bytes);  // variable length: u32 LE size, then bytes
  DocumentId end(std::string_view output, std::uint32_t ordinal);
  std::string scratch_;
};

}  // namespace naru::otlp
