#include "core/rules/label_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace naru::rules {
namespace {

constexpr std::string_view kLabels = "$labels.";
constexpr std::string_view kValue = "$value";

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') {
    text.remove_prefix(1);
  }
  while (!text.empty() && text.back() == ' ') {
    text.remove_suffix(1);
  }
  return text;
}

std::string clean(std::string_view text) {
  std::string out(text);
  std::ranges::replace_if(out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '_');
  return out;
}

}  // namespace

Result<LabelText> LabelText::parse(std::string_view text, const std::vector<std::string>& known) {
  LabelText out;
  while (!text.empty()) {
    const std::size_t open = text.find("{{");
    if (open != 0) {
      out.parts_.push_back({Part::Kind::kText, std::string(text.substr(0, open))});
      text.remove_prefix(std::min(open, text.size()));
      continue;
    }
    const std::size_t close = text.find("}}");
    if (close == std::string_view::npos) {
      return fail(ErrorCode::kInvalidArgument, "a {{ has no }}");
    }
    const std::string_view whole = trimmed(text.substr(2, close - 2));
    text.remove_prefix(close + 2);
    std::string_view what = whole, function;
    if (const std::size_t bar = whole.find('|'); bar != std::string_view::npos) {
      what = trimmed(whole.substr(0, bar));
      function = trimmed(whole.substr(bar + 1));
    } else if (const std::size_t space = whole.find(' '); space != std::string_view::npos) {
      function = whole.substr(0, space);
      what = trimmed(whole.substr(space));
    }
    Part part{Part::Kind::kValue, {}};
    if (function == "humanize") {
      part.format = Format::kHumanize;
    } else if (function == "humanizePercentage") {
      part.format = Format::kPercentage;
    } else if (function == "humanizeDuration") {
      part.format = Format::kDuration;
    } else if (!function.empty()) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("there is no function '{}'; there are humanize, humanizePercentage and "
                              "humanizeDuration",
                              function));
    }
    if (what.starts_with(kLabels)) {
      part.kind = Part::Kind::kLabel;
      part.text = what.substr(kLabels.size());
      if (std::ranges::find(known, part.text) == known.end()) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("there is no label '{}'; `by` and `labels` give {}", part.text,
                                known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", "))));
      }
    } else if (what != kValue) {
      return fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is neither $labels.NAME nor $value", what));
    }
    out.parts_.push_back(std::move(part));
  }
  return out;
}

std::string LabelText::render(const Labels& labels, double value) const {
  std::string out;
  for (const Part& part : parts_) {
    if (part.kind == Part::Kind::kText) {
      out += part.text;
    } else if (part.kind == Part::Kind::kLabel) {
      const auto found = labels.find(part.text);
      out += found == labels.end() || found->second.empty() ? "unknown" : clean(found->second);
    } else {
      switch (part.format) {
        case Format::kPlain: out += fmt::format("{}", value); break;
        case Format::kHumanize: out += humanize(value); break;
        case Format::kPercentage: out += humanize_percentage(value); break;
        case Format::kDuration: out += humanize_duration(value); break;
      }
    }
  }
  return out;
}

std::string humanize(double value) {
  static constexpr std::array kPrefixes = {"", "k", "M", "G", "T", "P"};
  std::size_t prefix = 0;
  while (std::abs(value) >= 1000 && prefix + 1 < kPrefixes.size()) {
    value /= 1000;
    ++prefix;
  }
  return fmt::format("{:.4g}{}", value, kPrefixes[prefix]);
}

std::string humanize_percentage(double value) {
  return fmt::format("{:.4g}%", value * 100);
}

std::string humanize_duration(double seconds) {
  if (std::abs(seconds) < 60) {
    return seconds != 0 && std::abs(seconds) < 1 ? fmt::format("{:.4g}ms", seconds * 1000)
                                                 : fmt::format("{:.4g}s", seconds);
  }
  const auto whole = static_cast<std::int64_t>(std::abs(seconds));
  std::string out = seconds < 0 ? "-" : "";
  if (whole >= 86'400) {
    out += fmt::format("{}d ", whole / 86'400);
  }
  if (whole >= 3'600) {
    out += fmt::format("{}h ", whole / 3'600 % 24);
  }
  return out + fmt::format("{}m {}s", whole / 60 % 60, whole % 60);
}

}  // namespace naru::rules
