#include "prepper/processors/builder.h"

#include <fmt/format.h>

namespace naru::prepper {

std::optional<std::uint32_t> Builder::look_up(std::string_view key, std::string_view text) {
  const Result<expr::Field> field = expr::parse_field(text);
  if (!field) {
    error(key, field.error().message());
    return std::nullopt;
  }
  const std::optional<expr::KnownField> known = fields_.find(signal_, *field);
  if (!known) {
    error(key, fmt::format("'{}' is no field of {}; there are {}", text, otlp::to_string(signal_),
                           FieldTable::names(signal_)));
    return std::nullopt;
  }
  return known->ref;
}

std::uint32_t Builder::field(std::string_view key, std::string_view text) {
  return look_up(key, text).value_or(0);
}

std::uint32_t Builder::target(std::string_view key, std::string_view text) {
  const std::optional<std::uint32_t> ref = look_up(key, text);
  if (ref && !FieldTable::writable(fields_.at(*ref).kind)) {
    error(key,
          fmt::format("'{}' cannot be changed by a processor; write it to attributes.NAME instead", text));
  }
  return ref.value_or(0);
}

std::vector<std::uint32_t> Builder::targets(std::string_view key, const std::vector<std::string>& texts) {
  std::vector<std::uint32_t> out;
  for (const std::string& text : texts) {
    out.push_back(target(key, text));
  }
  return out;
}

std::optional<expr::Expression> Builder::condition(std::string_view key, std::string_view text) {
  Result<expr::Expression> compiled = expr::Expression::compile_condition(text, fields_.vocabulary(signal_));
  if (!compiled) {
    error(key, compiled.error().message());
    return std::nullopt;
  }
  return std::move(*compiled);
}

std::optional<expr::Expression> Builder::expression(std::string_view key, std::string_view text) {
  Result<expr::Expression> compiled = expr::Expression::compile(text, fields_.vocabulary(signal_));
  if (!compiled) {
    error(key, compiled.error().message());
    return std::nullopt;
  }
  return std::move(*compiled);
}

std::shared_ptr<const re2::RE2> Builder::regex(std::string_view key, std::string_view pattern) {
  re2::RE2::Options options;
  options.set_max_mem(kRegexBytesMax);
  options.set_log_errors(false);
  auto out = std::make_shared<re2::RE2>(re2::StringPiece(pattern.data(), pattern.size()), options);
  if (!out->ok()) {
    error(key, fmt::format("the pattern is not in RE2's syntax: {}", out->error()));
    return nullptr;
  }
  return out;
}

}  // namespace naru::prepper
