#include "alerting/rules/match.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <charconv>

namespace naru::alerting {
namespace {

constexpr std::int64_t kRegexMemoryMax = 8 << 20;

std::optional<double> to_number(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return number;
}

std::unique_ptr<re2::RE2> make_regex(const std::string& pattern) {
  re2::RE2::Options options(re2::RE2::Latin1);  // bodies may hold any bytes
  options.set_log_errors(false);
  options.set_max_mem(kRegexMemoryMax);
  return std::make_unique<re2::RE2>(pattern, options);
}

// The text of a string body; empty for every other kind.
std::string_view body_text(const otlp::LogRecord& record) {
  otlp::AnyValue body;
  if (!record.has_body || !otlp::parse(record.body, body) ||
      (body.kind != otlp::AnyValue::Kind::kString && body.kind != otlp::AnyValue::Kind::kBytes)) {
    return {};
  }
  return body.bytes;
}

void append_value(std::string& out, const std::optional<otlp::AnyValue>& value) {
  using Kind = otlp::AnyValue::Kind;
  const Kind kind = value ? value->kind : Kind::kEmpty;
  if ((kind == Kind::kString || kind == Kind::kBytes) && !value->bytes.empty()) {
    for (const char c : value->bytes.substr(0, TargetTemplate::kTargetBytesMax)) {
      const auto byte = static_cast<unsigned char>(c);
      out += byte < 0x20 || byte == 0x7f ? '_' : c;
    }
  } else if (kind == Kind::kBool) {
    out += value->boolean ? "true" : "false";
  } else if (kind == Kind::kInt) {
    out += fmt::format("{}", value->integer);
  } else if (kind == Kind::kDouble) {
    out += fmt::format("{}", value->real);
  } else {
    out += "unknown";
  }
}

}  // namespace

Result<ValueCondition> ValueCondition::parse(const std::string& text) {
  ValueCondition condition;
  condition.at_least_ = text.starts_with(">=");
  if (condition.at_least_) {
    std::string_view number = std::string_view(text).substr(2);
    number.remove_prefix(std::min(number.find_first_not_of(' '), number.size()));
    condition.number_ = to_number(number);
    if (!condition.number_) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("\"{}\" has no number behind >=; write one, such as \">=500\"", text));
    }
  } else {
    condition.text_ = text;
    condition.number_ = to_number(text);
  }
  return condition;
}

bool ValueCondition::matches(const otlp::AnyValue& value) const {
  using Kind = otlp::AnyValue::Kind;
  std::optional<double> number;
  switch (value.kind) {
    case Kind::kString:
    case Kind::kBytes:
      if (!at_least_) {
        return value.bytes == text_;
      }
      number = to_number(value.bytes);
      break;
    case Kind::kBool: return !at_least_ && text_ == (value.boolean ? "true" : "false");
    case Kind::kInt: number = static_cast<double>(value.integer); break;
    case Kind::kDouble: number = value.real; break;
    case Kind::kEmpty:
    case Kind::kArray:
    case Kind::kMap: return false;
  }
  return number && number_ && (at_least_ ? *number >= *number_ : *number == *number_);
}

Matcher::Matcher() = default;
Matcher::Matcher(Matcher&&) noexcept = default;
Matcher& Matcher::operator=(Matcher&&) noexcept = default;
Matcher::~Matcher() = default;

Result<std::vector<Matcher::Attribute>> Matcher::compile(
    const std::map<std::string, std::string>& conditions) {
  std::vector<Attribute> compiled;
  for (const auto& [key, text] : conditions) {
    Result<ValueCondition> condition = ValueCondition::parse(text);
    if (!condition) {
      return fail(condition.error().with_context(key));
    }
    compiled.push_back({key, std::move(*condition)});
  }
  return compiled;
}

Result<Matcher> Matcher::compile(const MatchConfig& config) {
  Matcher matcher;
  matcher.severity_min_ = config.severity_at_least ? static_cast<std::int32_t>(*config.severity_at_least) : 0;
  matcher.body_contains_ = config.body_contains;
  if (!config.body_regex.empty()) {
    NARU_TRY_VOID(check_regex(config.body_regex));
    matcher.body_regex_ = make_regex(config.body_regex);
  }
  NARU_TRY(matcher.attributes_, compile(config.attributes));
  NARU_TRY(matcher.resource_, compile(config.resource));
  return matcher;
}

bool Matcher::matches_resource(const otlp::Attributes& resource) const {
  return std::ranges::all_of(resource_, [&](const Attribute& wanted) {
    const std::optional<otlp::AnyValue> value = resource.find(wanted.key);
    return value && wanted.condition.matches(*value);
  });
}

bool Matcher::matches(const otlp::LogRecord& record) const {
  if (record.severity_number < severity_min_) {
    return false;
  }
  const bool attributes_match = std::ranges::all_of(attributes_, [&](const Attribute& wanted) {
    const std::optional<otlp::AnyValue> value = record.attributes().find(wanted.key);
    return value && wanted.condition.matches(*value);
  });
  if (!attributes_match) {
    return false;
  }
  if (body_contains_.empty() && body_regex_ == nullptr) {
    return true;
  }
  const std::string_view body = body_text(record);
  return body.find(body_contains_) != std::string_view::npos &&
         (body_regex_ == nullptr || re2::RE2::PartialMatch(body, *body_regex_));
}

Result<TargetTemplate> TargetTemplate::parse(std::string_view text) {
  constexpr std::string_view kResourcePrefix = "resource.";
  constexpr std::string_view kRecordPrefix = "attributes.";
  TargetTemplate result;
  while (!text.empty()) {
    const std::size_t open = text.find('{');
    if (open != 0) {
      result.parts_.push_back({Part::Kind::kText, std::string(text.substr(0, open))});
      text.remove_prefix(std::min(open, text.size()));
      continue;
    }
    const std::size_t close = text.find('}');
    if (close == std::string_view::npos) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("has no closing brace behind \"{}\"; add it", text));
    }
    const std::string_view name = text.substr(1, close - 1);
    text.remove_prefix(close + 1);
    if (name.starts_with(kResourcePrefix) && name.size() > kResourcePrefix.size()) {
      result.parts_.push_back({Part::Kind::kResource, std::string(name.substr(kResourcePrefix.size()))});
    } else if (name.starts_with(kRecordPrefix) && name.size() > kRecordPrefix.size()) {
      result.parts_.push_back({Part::Kind::kRecord, std::string(name.substr(kRecordPrefix.size()))});
    } else {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("cannot use {{{}}}; write {{resource.KEY}} or {{attributes.KEY}}", name));
    }
  }
  return result;
}

std::string_view TargetTemplate::render(const otlp::Attributes& resource, const otlp::Attributes& record) {
  rendered_.clear();
  for (const Part& part : parts_) {
    switch (part.kind) {
      case Part::Kind::kText: rendered_ += part.text; break;
      case Part::Kind::kResource: append_value(rendered_, resource.find(part.text)); break;
      case Part::Kind::kRecord: append_value(rendered_, record.find(part.text)); break;
    }
  }
  rendered_.resize(std::min(rendered_.size(), kTargetBytesMax));
  return rendered_;
}

Result<void> check_regex(const std::string& pattern) {
  const std::unique_ptr<re2::RE2> regex = make_regex(pattern);
  if (!regex->ok()) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("is no RE2 expression: {}", regex->error()));
  }
  return {};
}

Result<void> check_target(const std::string& text) {
  if (const Result<TargetTemplate> parsed = TargetTemplate::parse(text); !parsed) {
    return fail(parsed.error());
  }
  return {};
}

}  // namespace naru::alerting
