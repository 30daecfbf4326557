// Which records a rule counts, and for which target: the declared form of config.h, compiled.
//
// Pure. Made once, then used by one thread at a time. core/otlp gives the views; nothing is kept of them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/config.h"
#include "core/base/result.h"
#include "core/otlp/otlp.h"

namespace re2 {
class RE2;
}

namespace naru::alerting {

// A condition on one attribute: equal text, or at least a number.
class ValueCondition {
 public:
  // ">=5" or a text. kInvalidArgument: ">=" without a number.
  static Result<ValueCondition> parse(const std::string& text);

  // Text and bytes compare as they are, bools as "true" and "false", numbers by value with a text that is
  // one. Lists and maps never match. ">=" also reads a number from a text value.
  bool matches(const otlp::AnyValue& value) const;

 private:
  std::string text_;
  std::optional<double> number_;  // of text_, or behind >=
  bool at_least_ = false;
};

class Matcher {
 public:
  // kInvalidArgument names the condition.
  static Result<Matcher> compile(const MatchConfig& config);
  Matcher(Matcher&&) noexcept;
  Matcher& operator=(Matcher&&) noexcept;
  ~Matcher();

  // Once per resource, then matches() for its records.
  bool matches_resource(const otlp::Attributes& resource) const;
  bool matches(const otlp::LogRecord& record) const;

 private:
  struct Attribute {
    std::string key;
    ValueCondition condition;
  };
  Matcher();
  static Result<std::vector<Attribute>> compile(const std::map<std::string, std::string>& conditions);

  std::int32_t severity_min_ = 0;
  std::string body_contains_;
  std::unique_ptr<re2::RE2> body_regex_;
  std::vector<Attribute> attributes_;
  std::vector<Attribute> resource_;
};

// "broker.{resource.broker.name}": text with the values of resource attributes and record attributes
// ({attributes.KEY}). A missing or empty value reads "unknown". Control characters become '_'; the result is
// cut at kTargetBytesMax.
class TargetTemplate {
 public:
  static constexpr std::size_t kTargetBytesMax = 249;

  // kInvalidArgument: an unclosed brace or an unknown name inside.
  static Result<TargetTemplate> parse(std::string_view text);

  // The view is valid until the next call.
  std::string_view render(const otlp::Attributes& resource, const otlp::Attributes& record);

 private:
  struct Part {
    enum class Kind : std::uint8_t { kText, kResource, kRecord } kind;
    std::string text;  // or the attribute's key
  };
  std::vector<Part> parts_;
  std::string rendered_;
};

// Checks for configuration fields.
Result<void> check_regex(const std::string& pattern);
Result<void> check_target(const std::string& text);

}  // namespace naru::alerting
