#include "core/rules/counts.h"

#include <fmt/format.h>

#include <charconv>

#include "core/base/byte_reader.h"
#include "core/base/bytes.h"

namespace naru::rules {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kHeadBytes = 1 + 1 + 3 * 8;

void append_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

std::uint64_t zigzag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}

std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}

void append_group(std::string& out, std::uint64_t rule, const GroupCount& group) {
  append_le(out, rule);
  append_varint(out, group.labels.size());
  for (const std::string& label : group.labels) {
    append_varint(out, label.size());
    out += label;
  }
  append_varint(out, group.seconds.size());
  for (const SecondCount& at : group.seconds) {
    append_varint(out, zigzag(at.second));
    append_varint(out, at.certain);
    append_varint(out, at.possible);
    append_varint(out, at.share);
    append_varint(out, at.sketch.size());
    for (const auto& [key, n] : at.sketch) {
      append_varint(out, zigzag(key));
      append_varint(out, n);
    }
  }
}

std::string head_of(const Counts& counts) {
  std::string out;
  append_le(out, kVersion);
  append_le(out, static_cast<std::uint8_t>(counts.last ? 1 : 0));
  append_le(out, static_cast<std::uint64_t>(counts.from));
  append_le(out, static_cast<std::uint64_t>(counts.to));
  append_le(out, counts.caught_up_to);
  return out;
}

}  // namespace

std::string format_feed(const Feed& feed) {
  return fmt::format("{}/{}/{}", feed.cluster_id, feed.topic, feed.partition);
}

Result<Feed> parse_feed(std::string_view key) {
  const std::size_t first = key.find('/');
  const std::size_t last = key.rfind('/');
  Feed feed;
  if (first != std::string_view::npos && last > first + 1) {
    feed.cluster_id = key.substr(0, first);
    feed.topic = key.substr(first + 1, last - first - 1);
    const std::string_view number = key.substr(last + 1);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), feed.partition);
    // One name for one partition: -0 and 007 are none.
    const bool canonical = number == "0" || (!number.empty() && number[0] >= '1' && number[0] <= '9');
    if (error == std::errc() && end == number.data() + number.size() && canonical) {
      return feed;
    }
  }
  return fail(ErrorCode::kCorrupt, fmt::format("'{}' names no partition that was counted", key));
}

std::vector<std::string> encode(const Counts& counts, std::size_t bytes_max) {
  Counts head = counts;
  std::vector<std::string> out;
  head.last = false;
  std::string value = head_of(head);
  std::string group_bytes;
  for (const RuleCount& rule : counts.rules) {
    for (const GroupCount& group : rule.groups) {
      group_bytes.clear();
      append_group(group_bytes, rule.rule, group);
      if (value.size() + group_bytes.size() > bytes_max && value.size() > kHeadBytes) {
        out.push_back(std::move(value));
        value = head_of(head);
      }
      value += group_bytes;
    }
  }
  value[1] = 1;  // `last`
  out.push_back(std::move(value));
  return out;
}

Result<Counts> parse_counts(std::string_view value) {
  ByteReader in(value);
  Counts out;
  const auto version = in.number<std::uint8_t>();
  if (in.ok() && version > kVersion) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("rule counts of version {}; update this program", version));
  }
  out.last = in.number<std::uint8_t>() != 0;
  out.from = static_cast<std::int64_t>(in.number<std::uint64_t>());
  out.to = static_cast<std::int64_t>(in.number<std::uint64_t>());
  out.caught_up_to = in.number<std::uint64_t>();
  bool ok = in.ok() && version == kVersion && out.from <= out.to && out.from >= 0;
  while (ok && !in.empty()) {
    const auto rule = in.number<std::uint64_t>();
    if (out.rules.empty() || out.rules.back().rule != rule) {
      out.rules.push_back({rule, {}});
    }
    GroupCount& group = out.rules.back().groups.emplace_back();
    for (std::size_t left = in.count(); left > 0 && in.ok(); --left) {
      group.labels.emplace_back(in.bytes(in.varint()));
    }
    for (std::size_t left = in.count(); left > 0 && in.ok(); --left) {
      SecondCount& at = group.seconds.emplace_back();
      at.second = unzigzag(in.varint());
      at.certain = in.varint();
      at.possible = in.varint();
      at.share = in.varint();
      for (std::size_t entries = in.count(); entries > 0 && in.ok(); --entries) {
        const auto key = static_cast<std::int32_t>(unzigzag(in.varint()));
        at.sketch.emplace_back(key, static_cast<std::uint32_t>(in.varint()));
      }
    }
    ok = in.ok();
  }
  if (!ok) {
    return fail(ErrorCode::kCorrupt, "these are no rule counts");
  }
  return out;
}

}  // namespace naru::rules
