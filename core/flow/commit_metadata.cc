#include "core/flow/commit_metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace naru::flow {
namespace {

constexpr std::string_view kVersion = "v1";
constexpr std::size_t kOffsetDigitsMax = 19;
constexpr char kSeparator = '|';

bool is_field(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~' && c != kSeparator; });
}

// A run behind another, or behind the committed offset, that ends at `before`.
void append_run(std::string& out, const OffsetRun& run, std::int64_t before) {
  if (!out.empty()) {
    out += ',';
  }
  fmt::format_to(std::back_inserter(out), "{}", run.begin - before);
  if (run.end - run.begin > 1) {
    fmt::format_to(std::back_inserter(out), "+{}", run.end - run.begin);
  }
}

std::size_t room_for_runs(const CommitPlace& place) {
  const std::size_t others = kVersion.size() + place.cluster_id.size() + place.topic_id.size() +
                             kOffsetDigitsMax + kCommitCountsMax + 5;  // and the separators
  return others < kCommitMetadataMax ? kCommitMetadataMax - others : 0;
}

// One positive decimal without sign, leading zeros or rest.
std::optional<std::int64_t> parse_positive(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value <= 0 || text.front() == '0') {
    return std::nullopt;
  }
  return value;
}

std::optional<std::vector<OffsetRun>> parse_runs(std::string_view text, std::int64_t offset) {
  std::vector<OffsetRun> out;
  std::int64_t before = offset;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    if (comma != std::string_view::npos && text.empty()) {
      return std::nullopt;  // a comma at the end
    }
    const std::size_t plus = item.find('+');
    const std::optional<std::int64_t> gap = parse_positive(item.substr(0, plus));
    const std::optional<std::int64_t> length =
        plus == std::string_view::npos ? 1 : parse_positive(item.substr(plus + 1));
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
    if (!gap || !length || *gap > kMost - before || *length > kMost - before - *gap) {
      return std::nullopt;
    }
    out.push_back({before + *gap, before + *gap + *length});
    before = out.back().end;
  }
  return out;
}

}  // namespace

void fit_runs(const CommitPlace& place, std::vector<OffsetRun>& runs) {
  const std::size_t room = room_for_runs(place);
  std::string text;
  std::int64_t before = place.offset;
  std::size_t kept = 0;
  for (; kept < runs.size(); ++kept) {
    append_run(text, runs[kept], before);
    if (text.size() > room) {
      break;
    }
    before = runs[kept].end;
  }
  runs.resize(kept);
}

std::string encode_commit_metadata(const CommitPlace& place, const CommitMetadata& metadata) {
  if (!is_field(place.cluster_id) || !is_field(place.topic_id) || room_for_runs(place) == 0) {
    return {};
  }
  std::string runs;
  std::int64_t before = place.offset;
  for (const OffsetRun& run : metadata.runs) {
    append_run(runs, run, before);
    before = run.end;
  }
  return fmt::format("{}|{}|{}|{}|{}|{}", kVersion, place.cluster_id, place.topic_id, place.offset, runs,
                     metadata.counts);
}

std::optional<CommitMetadata> parse_commit_metadata(std::string_view text, const CommitPlace& place) {
  if (text.size() > kCommitMetadataMax) {
    return std::nullopt;
  }
  std::array<std::string_view, 6> fields;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const std::size_t end = text.find(kSeparator);
    if ((end == std::string_view::npos) != (i + 1 == fields.size())) {
      return std::nullopt;
    }
    fields[i] = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  const auto& [version, cluster_id, topic_id, offset, runs, counts] = fields;
  if (version != kVersion || cluster_id != place.cluster_id || topic_id != place.topic_id ||
      offset != std::to_string(place.offset) || !is_field(counts) || counts.size() > kCommitCountsMax) {
    return std::nullopt;
  }
  std::optional<std::vector<OffsetRun>> parsed = parse_runs(runs, place.offset);
  if (!parsed) {
    return std::nullopt;
  }
  return CommitMetadata{std::move(*parsed), std::string(counts)};
}

}  // namespace naru::flow
