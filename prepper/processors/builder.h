// What a processor is built with: its fields looked up, its expressions compiled, its errors reported with
// the place in the file where they stand.
#pragma once

#include <re2/re2.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/config.h"
#include "core/expr/expr.h"
#include "prepper/record/field_table.h"

namespace naru::prepper {

class EnrichmentStore;

class Builder {
 public:
  // `directory`: relative file names inside the configuration start there. All must outlive this.
  Builder(otlp::Signal signal, FieldTable& fields, EnrichmentStore& tables, std::string directory,
          config::Errors errors)
      : signal_(signal),
        fields_(fields),
        tables_(tables),
        directory_(std::move(directory)),
        errors_(std::move(errors)) {}

  // The field that option `key` names; 0 after an error was reported.
  std::uint32_t field(std::string_view key, std::string_view text);
  // The same, which must be one that can be set.
  std::uint32_t target(std::string_view key, std::string_view text);
  std::vector<std::uint32_t> targets(std::string_view key, const std::vector<std::string>& texts);
  std::uint32_t attribute(std::string_view name) { return fields_.attribute(name); }
  // nullopt after an error was reported.
  std::optional<expr::Expression> condition(std::string_view key, std::string_view text);
  std::optional<expr::Expression> expression(std::string_view key, std::string_view text);
  // nullptr likewise. Linear in the text; its memory is bounded by kRegexBytesMax.
  std::shared_ptr<const re2::RE2> regex(std::string_view key, std::string_view pattern);

  void error(std::string_view key, std::string_view sentence) {
    ok_ = false;
    errors_.add(key, sentence);
  }
  bool ok() const { return ok_; }
  otlp::Signal signal() const { return signal_; }
  FieldTable& fields() { return fields_; }
  EnrichmentStore& tables() { return tables_; }
  const std::string& directory() const { return directory_; }

  static constexpr std::int64_t kRegexBytesMax = 4 << 20;

 private:
  std::optional<std::uint32_t> look_up(std::string_view key, std::string_view text);

  otlp::Signal signal_;
  FieldTable& fields_;
  EnrichmentStore& tables_;
  std::string directory_;
  config::Errors errors_;
  bool ok_ = true;
};

}  // namespace naru::prepper
