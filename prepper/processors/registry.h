// The kinds of processors: their names, their options' tables and how they are built. The reference page and
// the checks come from the same tables.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/config/config.h"
#include "prepper/processors/builder.h"
#include "prepper/processors/processor.h"

namespace naru::prepper {

struct ProcessorKind {
  std::string_view name;
  std::string_view summary;  // one sentence
  std::string_view example;  // an element of `processors`, YAML
  const config::Table& (*table)();
  // The options' defaults as a table of the reference page.
  std::string (*reference)();
  // nullptr: what is wrong was reported.
  std::unique_ptr<Processor> (*build)(const config::Value& options, const std::string& path,
                                      config::Report& report, Builder& builder);
};

std::span<const ProcessorKind> processor_kinds();
const ProcessorKind* find_processor_kind(std::string_view name);

// What `kind<Options>()` needs: describe(Schema<Options>&) and
// std::unique_ptr<Processor> build(const Options&, Builder&), which may return anything after an error.
template <class Options>
constexpr ProcessorKind kind(std::string_view name, std::string_view summary, std::string_view example) {
  return {name,
          summary,
          example,
          &config::table_of<Options>,
          &config::reference_markdown<Options>,
          [](const config::Value& value, const std::string& path, config::Report& report, Builder& builder) {
            Options options{};
            const bool read =
                config::StructType(config::table_of<Options>()).load(value, path, &options, report);
            std::unique_ptr<Processor> out =
                build(options, builder);  // after errors too, for those that it finds
            return read && builder.ok() ? std::move(out) : nullptr;
          }};
}

}  // namespace naru::prepper
