#include "prepper/processors/grok.h"

#include <fmt/format.h>

#include "prepper/processors/convert.h"
#include "prepper/processors/text_processor.h"

namespace naru::prepper {
namespace {

constexpr std::size_t kExpansionDepthMax = 16;
constexpr std::size_t kExpressionBytesMax = 64u << 10;

class GrokExpander {
 public:
  explicit GrokExpander(const std::map<std::string, std::string>& definitions) : definitions_(definitions) {}

  Result<GrokPattern> expand(std::string_view pattern) {
    NARU_TRY_VOID(append(pattern, 0));
    return std::move(out_);
  }

 private:
  Result<void> append(std::string_view pattern, std::size_t depth) {
    if (depth > kExpansionDepthMax) {
      return fail(ErrorCode::kInvalidArgument, "the patterns refer to each other in a circle");
    }
    for (std::size_t at = 0; at < pattern.size();) {
      if (out_.expression.size() > kExpressionBytesMax) {
        return fail(ErrorCode::kInvalidArgument, "the expanded pattern is over 64 KiB");
      }
      const std::string_view rest = pattern.substr(at);
      if (rest.starts_with("%{")) {
        const std::size_t close = rest.find('}');
        if (close == std::string_view::npos) {
          return fail(ErrorCode::kInvalidArgument, "%{ without its }");
        }
        NARU_TRY_VOID(append_reference(rest.substr(2, close - 2), depth));
        at += close + 1;
        continue;
      }
      if (rest.starts_with("(?P<") ||
          (rest.starts_with("(?<") && rest.size() > 3 && rest[3] != '=' && rest[3] != '!')) {
        const std::size_t open = rest.find('<');
        const std::size_t close = rest.find('>');
        if (close == std::string_view::npos) {
          return fail(ErrorCode::kInvalidArgument, "(?< without its >");
        }
        out_.parts.push_back({++groups_, std::string(rest.substr(open + 1, close - open - 1)), {}});
        out_.expression += '(';
        at += close + 1;
        continue;
      }
      if (rest[0] == '\\' && rest.size() > 1) {
        out_.expression += rest.substr(0, 2);
        at += 2;
        continue;
      }
      in_class_ = rest[0] == '[' ? true : rest[0] == ']' ? false : in_class_;
      if (rest[0] == '(' && !in_class_ && !rest.starts_with("(?")) {
        ++groups_;
      }
      out_.expression += rest[0];
      ++at;
    }
    return {};
  }

  Result<void> append_reference(std::string_view reference, std::size_t depth) {
    const std::size_t first = reference.find(':');
    const std::string name(reference.substr(0, first));
    std::string_view field =
        first == std::string_view::npos ? std::string_view() : reference.substr(first + 1);
    std::string type;
    if (const std::size_t second = field.find(':'); second != std::string_view::npos) {
      type = field.substr(second + 1);
      field = field.substr(0, second);
    }
    const auto own = definitions_.find(name);
    const char* const usual = find_grok_pattern(name);
    if (own == definitions_.end() && usual == nullptr) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("there is no pattern %{{{}}}; define it under `definitions`", name));
    }
    if (field.empty()) {
      out_.expression += "(?:";
    } else {
      out_.expression += '(';
      out_.parts.push_back({++groups_, std::string(field), type});
    }
    NARU_TRY_VOID(append(own != definitions_.end() ? std::string_view(own->second) : usual, depth + 1));
    out_.expression += ')';
    return {};
  }

  const std::map<std::string, std::string>& definitions_;
  GrokPattern out_;
  int groups_ = 0;
  bool in_class_ = false;
};

// One expression and the attributes of its groups.
struct Matcher {
  struct Part {
    int group;
    std::uint32_t target;
    std::optional<Conversion> type;
  };
  std::shared_ptr<const re2::RE2> expression;
  std::vector<Part> parts;
};

class PatternProcessor final : public TextProcessor {
 public:
  PatternProcessor(std::uint32_t field, std::vector<Matcher> matchers)
      : TextProcessor(field), matchers_(std::move(matchers)) {}

 protected:
  Outcome read(std::string_view text, Event& event, Scratch& scratch) const override {
    for (const Matcher& matcher : matchers_) {
      const int groups = matcher.expression->NumberOfCapturingGroups() + 1;
      if (scratch.captures.size() < static_cast<std::size_t>(groups)) {
        scratch.captures.resize(static_cast<std::size_t>(groups));
      }
      if (!matcher.expression->Match(re2::StringPiece(text.data(), text.size()), 0, text.size(),
                                     re2::RE2::UNANCHORED, scratch.captures.data(), groups)) {
        continue;
      }
      for (const Matcher::Part& part : matcher.parts) {
        const re2::StringPiece found = scratch.captures[static_cast<std::size_t>(part.group)];
        if (found.data() == nullptr) {
          continue;  // in an alternative that did not match
        }
        AnyValue value = text_value({found.data(), found.size()});
        if (part.type) {
          value = convert(value, *part.type, event.arena()).value_or(value);
        }
        event.set(part.target, value);
      }
      return Outcome::kDone;
    }
    return scratch.fail("no pattern matches the text");
  }

 private:
  std::vector<Matcher> matchers_;
};

}  // namespace

Result<GrokPattern> expand_grok(std::string_view pattern,
                                const std::map<std::string, std::string>& definitions) {
  return GrokExpander(definitions).expand(pattern);
}

void describe(config::Schema<GrokOptions>& s) {
  s.field("field", &GrokOptions::field, "Field with the text.");
  s.field("patterns", &GrokOptions::patterns,
          "Tried in their order until one matches: `%{NAME:field}`, `%{NAME:field:int}` (int, double, bool), "
          "(?<field>...).")
      .required()
      .min(1)
      .max(64);
  s.field("definitions", &GrokOptions::definitions,
          "Further patterns by name; they go before the usual ones.")
      .max(256);
  s.field("prefix", &GrokOptions::prefix, "Put before the names of the new attributes.");
}

std::unique_ptr<Processor> build(const GrokOptions& options, Builder& builder) {
  std::vector<Matcher> matchers;
  for (std::size_t i = 0; i < options.patterns.size(); ++i) {
    const std::string key = fmt::format("patterns[{}]", i);
    Result<GrokPattern> expanded = expand_grok(options.patterns[i], options.definitions);
    if (!expanded) {
      builder.error(key, expanded.error().message());
      continue;
    }
    Matcher matcher{builder.regex(key, expanded->expression), {}};
    for (const GrokPattern::Part& part : expanded->parts) {
      const std::optional<Conversion> type = conversion(part.type);
      if (!part.type.empty() && !type) {
        builder.error(key, fmt::format("'{}' is no type; write int, double, bool or text", part.type));
      }
      matcher.parts.push_back({part.group, builder.attribute(options.prefix + part.name), type});
    }
    matchers.push_back(std::move(matcher));
  }
  return std::make_unique<PatternProcessor>(builder.field("field", options.field), std::move(matchers));
}

void describe(config::Schema<RegexOptions>& s) {
  s.field("field", &RegexOptions::field, "Field with the text.");
  s.field("pattern", &RegexOptions::pattern,
          "RE2 expression; its named groups (?P<name>...) become attributes.")
      .required()
      .min(1);
  s.field("prefix", &RegexOptions::prefix, "Put before the names of the new attributes.");
}

std::unique_ptr<Processor> build(const RegexOptions& options, Builder& builder) {
  Matcher matcher{builder.regex("pattern", options.pattern), {}};
  if (matcher.expression != nullptr) {
    for (const auto& [name, group] : matcher.expression->NamedCapturingGroups()) {
      matcher.parts.push_back({group, builder.attribute(options.prefix + name), std::nullopt});
    }
    if (matcher.parts.empty()) {
      builder.error("pattern",
                    "the pattern has no named group, so nothing would come of it; write (?P<name>...)");
    }
    std::ranges::sort(matcher.parts, {}, &Matcher::Part::group);
  }
  std::vector<Matcher> matchers;
  matchers.push_back(std::move(matcher));
  return std::make_unique<PatternProcessor>(builder.field("field", options.field), std::move(matchers));
}

}  // namespace naru::prepper
