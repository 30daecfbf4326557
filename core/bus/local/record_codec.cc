#include "core/bus/local/record_codec.h"

#include "core/base/bytes.h"

namespace naru::bus::local {
namespace {

constexpr std::size_t kFixedSize = 16;
constexpr std::size_t kHeaderLengths = 8;

std::unexpected<Error> misfit() {
  return fail(ErrorCode::kCorrupt, "a record's lengths do not fit its payload");
}

}  // namespace

std::string encode_record_head(const OutRecord& record) {
  std::size_t headers_size = 0;
  for (const Header& header : record.headers) {
    headers_size += kHeaderLengths + header.key.size() + header.value.size();
  }
  std::string head;
  head.reserve(kFixedSize + record.key.size() + headers_size);
  append_le(head, static_cast<std::uint64_t>(record.timestamp_ms));
  append_le(head, static_cast<std::uint32_t>(record.key.size()));
  append_le(head, static_cast<std::uint32_t>(headers_size));
  head += record.key;
  for (const Header& header : record.headers) {
    append_le(head, static_cast<std::uint32_t>(header.key.size()));
    append_le(head, static_cast<std::uint32_t>(header.value.size()));
    head.append(header.key).append(header.value);
  }
  return head;
}

Result<RecordView> parse_record(std::string_view payload) {
  if (payload.size() < kFixedSize) {
    return misfit();
  }
  RecordView record;
  record.timestamp_ms = static_cast<UnixMillis>(load_le<std::uint64_t>(payload.data()));
  const std::uint64_t key_size = load_le<std::uint32_t>(payload.data() + 8);
  const std::uint64_t headers_size = load_le<std::uint32_t>(payload.data() + 12);
  payload.remove_prefix(kFixedSize);
  if (key_size + headers_size > payload.size()) {
    return misfit();
  }
  record.key = payload.substr(0, key_size);
  record.headers = payload.substr(key_size, headers_size);
  record.value = payload.substr(key_size + headers_size);
  return record;
}

Result<std::vector<Header>> parse_headers(std::string_view headers) {
  std::vector<Header> out;
  while (!headers.empty()) {
    if (headers.size() < kHeaderLengths) {
      return misfit();
    }
    const std::uint64_t key_size = load_le<std::uint32_t>(headers.data());
    const std::uint64_t value_size = load_le<std::uint32_t>(headers.data() + 4);
    headers.remove_prefix(kHeaderLengths);
    if (key_size + value_size > headers.size()) {
      return misfit();
    }
    out.push_back(
        {std::string(headers.substr(0, key_size)), std::string(headers.substr(key_size, value_size))});
    headers.remove_prefix(key_size + value_size);
  }
  return out;
}

}  // namespace naru::bus::local
