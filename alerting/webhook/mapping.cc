#include "alerting/webhook/mapping.h"

#include <fmt/format.h>
#include <re2/re2.h>

namespace naru::alerting {
namespace {

bool is_pattern(std::string_view text) {
  return text.size() >= 2 && text.starts_with('/') && text.ends_with('/');
}

bool fits(const std::string& wanted, std::string_view value) {
  if (!is_pattern(wanted)) {
    return wanted == value;
  }
  return re2::RE2::FullMatch(re2::StringPiece(value.data(), value.size()),
                             wanted.substr(1, wanted.size() - 2));
}

// Labels are not known before an alert comes, so any name is.
Result<rules::LabelText> parse_target(const std::string& text, const rules::Labels& labels) {
  std::vector<std::string> known;
  std::size_t at = 0;
  constexpr std::string_view kLabel = "$labels.";
  while ((at = text.find(kLabel, at)) != std::string::npos) {
    at += kLabel.size();
    const std::size_t end = text.find_first_of(" }|", at);
    known.push_back(text.substr(at, end == std::string::npos ? end : end - at));
  }
  for (const auto& [name, value] : labels) {
    known.push_back(name);
  }
  return rules::LabelText::parse(text, known);
}

}  // namespace

Result<void> check_mapping(const MappingConfig& mapping) {
  for (const auto& [label, text] : mapping.match) {
    if (is_pattern(text)) {
      const re2::RE2 pattern(text.substr(1, text.size() - 2), re2::RE2::Quiet);
      if (!pattern.ok()) {
        return fail(ErrorCode::kInvalidArgument, fmt::format("match.{}: {}", label, pattern.error()));
      }
    }
  }
  for (const auto& [text, level] : mapping.levels) {
    if (!rules::parse_level(level)) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("levels.{}: \"{}\" is none of HEALTHY, CAUTION, CRITICAL", text, level));
    }
  }
  if (const auto parsed = parse_target(mapping.target, {}); !parsed) {
    return fail(parsed.error().with_context("target"));
  }
  return {};
}

Result<Mapping> Mapping::compile(const std::vector<MappingConfig>& config) {
  Mapping out;
  out.entries_ = config;
  if (config.empty()) {
    out.entries_.emplace_back();
  }
  for (std::size_t i = 0; i < out.entries_.size(); ++i) {
    if (Result<void> checked = check_mapping(out.entries_[i]); !checked) {
      return fail(checked.error().with_context(fmt::format("webhooks.mappings[{}]", i)));
    }
  }
  return out;
}

std::optional<Mapped> Mapping::map(const Alert& alert) const {
  if (!alert.target.empty()) {
    return Mapped{alert.target, rules::parse_level(alert.level).value_or(Status::kCritical)};
  }
  for (const MappingConfig& entry : entries_) {
    const bool all = std::ranges::all_of(entry.match, [&](const auto& condition) {
      const auto label = alert.labels.find(condition.first);
      return fits(condition.second, label == alert.labels.end() ? std::string_view() : label->second);
    });
    if (!all) {
      continue;
    }
    if (entry.ignore) {
      return std::nullopt;
    }
    Mapped out;
    if (entry.level) {
      out.level = *entry.level;
    } else {
      const auto label = alert.labels.find(entry.level_label);
      const auto named = label == alert.labels.end() ? entry.levels.end() : entry.levels.find(label->second);
      // What nobody declared serious must not switch anything.
      out.level = named == entry.levels.end() ? Status::kCaution : *rules::parse_level(named->second);
    }
    const bool named_by_alert = entry.target.empty() && alert.labels.contains("target");
    const std::string text = !entry.target.empty() ? entry.target
                             : named_by_alert      ? "{{ $labels.target }}"
                                                   : "{{ $labels.alertname }}";
    const auto target = parse_target(text, alert.labels);
    out.target = target ? target->render(alert.labels).substr(0, 249) : std::string();
    if (out.target.empty() || out.level == Status::kHealthy) {
      return std::nullopt;
    }
    return out;
  }
  return std::nullopt;
}

}  // namespace naru::alerting
