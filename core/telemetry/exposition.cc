#include "core/telemetry/exposition.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace naru::telemetry {
namespace {

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == ':';
}

void skip_blanks(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
}

std::string_view take_name(std::string_view& text) {
  const auto end = std::ranges::find_if_not(text, is_name_char);
  const std::string_view name = text.substr(0, static_cast<std::size_t>(end - text.begin()));
  text.remove_prefix(name.size());
  return name;
}

// What follows an opening quote, up to and with the closing one.
std::optional<std::string> take_quoted(std::string_view& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') {
      text.remove_prefix(i + 1);
      return out;
    }
    if (text[i] == '\\' && i + 1 < text.size()) {
      ++i;
      out += text[i] == 'n' ? '\n' : text[i];
    } else {
      out += text[i];
    }
  }
  return std::nullopt;
}

// What follows an opening brace, up to and with the closing one.
bool take_labels(std::string_view& text, Labels& out) {
  while (true) {
    skip_blanks(text);
    if (text.starts_with('}')) {
      text.remove_prefix(1);
      return true;
    }
    const std::string_view name = take_name(text);
    skip_blanks(text);
    if (name.empty() || !text.starts_with('=')) {
      return false;
    }
    text.remove_prefix(1);
    skip_blanks(text);
    if (!text.starts_with('"')) {
      return false;
    }
    text.remove_prefix(1);
    std::optional<std::string> value = take_quoted(text);
    if (!value) {
      return false;
    }
    out.insert_or_assign(std::string(name), std::move(*value));
    skip_blanks(text);
    if (text.starts_with(',')) {
      text.remove_prefix(1);
    } else if (!text.starts_with('}')) {
      return false;
    }
  }
}

std::optional<double> take_value(std::string_view& text) {
  skip_blanks(text);
  std::string_view word = text.substr(0, text.find_first_of(" \t"));
  text.remove_prefix(word.size());
  if (word.starts_with('+')) {
    word.remove_prefix(1);
  }
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (word.empty() || error != std::errc() || end != word.data() + word.size()) {
    return std::nullopt;
  }
  return value;
}

std::optional<MetricSample> parse_sample(std::string_view line) {
  MetricSample out;
  out.name = take_name(line);
  skip_blanks(line);
  if (out.name.empty()) {
    return std::nullopt;
  }
  if (line.starts_with('{')) {
    line.remove_prefix(1);
    if (!take_labels(line, out.labels)) {
      return std::nullopt;
    }
  }
  const std::optional<double> value = take_value(line);
  if (!value) {
    return std::nullopt;
  }
  out.value = *value;
  skip_blanks(line);
  if (line.starts_with('#') || line.empty() || take_value(line)) {  // an exemplar, nothing, a time stamp
    return out;
  }
  return std::nullopt;
}

}  // namespace

Result<Exposition> parse_exposition(std::string_view text, std::string_view prefix) {
  Exposition out;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    skip_blanks(line);
    if (line.empty() || line.starts_with('#')) {
      continue;
    }
    std::optional<MetricSample> sample = parse_sample(line);
    if (!sample) {
      ++out.bad_lines;
    } else if (sample->name.starts_with(prefix)) {
      if (out.samples.size() == kExpositionSamplesMax) {
        return fail(ErrorCode::kTooLarge,
                    fmt::format("the page has more than {} samples", kExpositionSamplesMax));
      }
      out.samples.push_back(std::move(*sample));
    }
  }
  return out;
}

}  // namespace naru::telemetry
