#include "core/otlp/identity.h"

#include <algorithm>

namespace naru::otlp {
namespace {

enum Kind : std::uint8_t {
  kSourceLog = 1,
  kClientLog = 2,
  kSpan = 3,
  kMetricPoint = 4,
  kAggregate = 5,
  kForeign = 6
};

std::string_view view(const std::array<unsigned char, 16>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void append_part(std::string& out, std::string_view bytes) {
  append_le(out, static_cast<std::uint32_t>(bytes.size()));
  out.append(bytes);
}

}  // namespace

Result<Hash128> hash_attributes(const Attributes& attributes, AttributeSorter& scratch) {
  scratch.entries.clear();
  scratch.bytes.clear();
  if (!attributes.for_each([&](const KeyValue& entry) { scratch.entries.push_back(entry); })) {
    return fail(ErrorCode::kInvalidArgument, "the attributes are no valid OTLP protobuf message");
  }
  std::ranges::sort(scratch.entries, [](const KeyValue& a, const KeyValue& b) {
    return a.key != b.key ? a.key < b.key : a.value < b.value;
  });
  for (const KeyValue& entry : scratch.entries) {
    append_part(scratch.bytes, entry.key);
    append_part(scratch.bytes, entry.value);
  }
  return xxh3_128(scratch.bytes);
}

void IdentityHasher::begin(std::uint8_t kind) {
  scratch_.clear();
  scratch_.push_back(static_cast<char>(kind));
}

void IdentityHasher::part(std::string_view bytes) {
  append_part(scratch_, bytes);
}

DocumentId IdentityHasher::end(std::string_view output, std::uint32_t ordinal) {
  part(output);
  append_le(scratch_, ordinal);
  const Hash128 hash = xxh3_128(scratch_);
  unsigned char bytes[16];
  std::ranges::copy(hash, bytes);
  DocumentId id;
  write_id22(bytes, id.data());
  return id;
}

DocumentId IdentityHasher::source_log(const std::array<unsigned char, 16>& source, std::uint64_t position,
                                      std::string_view encoded_body, UnixNanos time, std::string_view output,
                                      std::uint32_t ordinal) {
  begin(kSourceLog);
  scratch_.append(view(source));
  append_le(scratch_, position);
  part(encoded_body);
  append_le(scratch_, time);
  return end(output, ordinal);
}

DocumentId IdentityHasher::client_log(const Hash128& resource, std::string_view encoded_uid,
                                      std::string_view encoded_body, UnixNanos time, std::string_view output,
                                      std::uint32_t ordinal) {
  begin(kClientLog);
  scratch_.append(as_bytes(resource));
  part(encoded_uid);
  part(encoded_body);
  append_le(scratch_, time);
  return end(output, ordinal);
}

DocumentId IdentityHasher::span(const Span& span, std::string_view output, std::uint32_t ordinal) {
  begin(kSpan);
  scratch_.append(span.trace_id);
  scratch_.append(span.span_id);
  part(span.name);
  append_le(scratch_, static_cast<std::uint32_t>(span.kind));
  append_le(scratch_, span.start);
  append_le(scratch_, span.end);
  return end(output, ordinal);
}

DocumentId IdentityHasher::metric_point(const Hash128& resource, std::string_view scope_name,
                                        std::string_view metric_name, const Hash128& point_attributes,
                                        UnixNanos time, std::string_view encoded_point,
                                        std::string_view output, std::uint32_t ordinal) {
  begin(kMetricPoint);
  scratch_.append(as_bytes(resource));
  part(scope_name);
  part(metric_name);
  scratch_.append(as_bytes(point_attributes));
  append_le(scratch_, time);
  part(encoded_point);
  return end(output, ordinal);
}

DocumentId IdentityHasher::aggregate(std::string_view metric, std::string_view encoded_key,
                                     UnixNanos window_begin, std::uint64_t first, std::uint64_t count,
                                     std::string_view output) {
  begin(kAggregate);
  part(metric);
  part(encoded_key);
  append_le(scratch_, window_begin);
  append_le(scratch_, first);
  append_le(scratch_, count);
  return end(output, 0);
}

DocumentId IdentityHasher::foreign(std::string_view cluster_id, std::string_view topic,
                                   std::int32_t partition, std::int64_t offset, std::uint32_t index,
                                   std::string_view output, std::uint32_t ordinal) {
  begin(kForeign);
  part(cluster_id);
  part(topic);
  append_le(scratch_, static_cast<std::uint32_t>(partition));
  append_le(scratch_, static_cast<std::uint64_t>(offset));
  append_le(scratch_, index);
  return end(output, ordinal);
}

}  // namespace naru::otlp
