// Loads YAML into described structs, and writes their JSON Schema and reference page. See README.md.
//
// Does not watch files or swap running configurations; the programs do. Exit code 2 is the caller's too.
#pragma once

#include <string>

#include "core/base/result.h"
#include "core/config/schema.h"

namespace naru::config {

// `name` stands for the text in errors. kInvalidArgument: every error of the text, one line each.
Result<void> load_into(const Table& table, const std::string& text, const std::string& name,
                       const Environment& environment, void* out);
// A file of at most 8 MiB. kNotFound, kIo, kTooLarge: the file cannot be read.
Result<std::string> read_config_file(const std::string& path);
// `defaults`: an object of the table's struct.
std::string json_schema_of(const Table& table, const std::string& title, const void* defaults);
std::string reference_markdown_of(const Table& table, const void* defaults);

template <class T>
Result<T> load_text(const std::string& text, const std::string& name,
                    const Environment& environment = process_environment()) {
  T config{};
  NARU_TRY_VOID(load_into(table_of<T>(), text, name, environment, &config));
  return config;
}

// Secret files named inside are opened relative to the working directory of the process.
template <class T>
Result<T> load_file(const std::string& path, const Environment& environment = process_environment()) {
  NARU_TRY(const std::string text, read_config_file(path));
  return load_text<T>(text, path, environment);
}

// JSON Schema (draft 2020-12).
template <class T>
std::string json_schema(const std::string& title) {
  const T defaults{};
  return json_schema_of(table_of<T>(), title, &defaults);
}

// A Markdown table with one row per key: key, type with limits, default, meaning.
template <class T>
std::string reference_markdown() {
  const T defaults{};
  return reference_markdown_of(table_of<T>(), &defaults);
}

}  // namespace naru::config
