#include "prepper/processors/table.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "core/base/json_text.h"

namespace naru::prepper {
Result<std::shared_ptr<const EnrichmentFile>> Table::load(const std::string& path, const std::string& key) {
  std::ifstream in(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (!in.good() && !in.eof()) {
    return fail(ErrorCode::kIo, fmt::format("{}: cannot be read", path));
  }
  if (text.size() > kBytesMax) {
    return fail(ErrorCode::kTooLarge, fmt::format("{}: over 256 MiB", path));
  }
  return parse(path, std::move(text), key);
}

Result<std::shared_ptr<const Table>> Table::parse(const std::string& name, std::string text,
                                                  const std::string& key) {
  auto out = std::make_shared<Table>();
  out->text_ = std::move(text);
  const Result<void> parsed = name.ends_with(".json") ? out->parse_json(key) : out->parse_csv(key);
  if (!parsed) {
    return fail(parsed.error().with_context(name));
  }
  return out;
}

Result<void> Table::parse_csv(const std::string& key) {
  const std::string_view text = text_;
  std::size_t at = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  std::size_t line = 1;
  std::ptrdiff_t key_column = -1;
  std::vector<std::string_view> cells;
  while (at < text.size()) {
    cells.clear();
    const std::size_t row_line = line;
    while (true) {
      if (at < text.size() && text[at] == '"') {
        std::string cell;
        bool closed = false;
        for (++at; at < text.size(); ++at) {
          if (text[at] == '"') {
            if (at + 1 < text.size() && text[at + 1] == '"') {
              ++at;
            } else {
              closed = true;
              ++at;
              break;
            }
          }
          line += text[at] == '\n' ? 1 : 0;
          cell += text[at];
        }
        if (!closed) {
          return fail(ErrorCode::kInvalidArgument,
                      fmt::format("line {}: a quoted cell does not end", row_line));
        }
        cells.push_back(keep(std::move(cell)));
      } else {
        const std::size_t end = std::min(text.find_first_of(",\r\n", at), text.size());
        cells.push_back(text.substr(at, end - at));
        at = end;
      }
      if (at >= text.size() || text[at] != ',') {
        break;
      }
      ++at;
    }
    at += at < text.size() && text[at] == '\r' ? 1 : 0;
    if (at < text.size() && text[at] != '\n') {
      return fail(ErrorCode::kInvalidArgument, fmt::format("line {}: text behind a quoted cell", row_line));
    }
    ++at;
    ++line;
    if (cells.size() == 1 && cells[0].empty()) {
      continue;  // an empty line
    }
    if (columns_.empty()) {
      columns_.assign(cells.begin(), cells.end());
      const auto found = std::ranges::find(columns_, key);
      if (found == columns_.end()) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("line {}: there is no column '{}' in the first row", row_line, key));
      }
      key_column = found - columns_.begin();
      continue;
    }
    if (cells.size() != columns_.size()) {
      return fail(ErrorCode::kInvalidArgument, fmt::format("line {}: {} cells where the first row has {}",
                                                           row_line, cells.size(), columns_.size()));
    }
    std::vector<AnyValue> row;
    row.reserve(cells.size());
    for (const std::string_view cell : cells) {
      row.push_back(cell.empty() ? AnyValue{} : text_value(cell));
    }
    rows_.emplace(cells[static_cast<std::size_t>(key_column)], std::move(row));
  }
  return columns_.empty() ? fail(ErrorCode::kInvalidArgument, "the file is empty") : Result<void>{};
}

Result<void> Table::parse_json(const std::string& key) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (const auto error = parser.parse(text_).get(root); error != simdjson::SUCCESS) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("no JSON: {}", simdjson::error_message(error)));
  }
  const auto value_of = [&](simdjson::dom::element element) {
    switch (element.type()) {
      case simdjson::dom::element_type::STRING:
        return text_value(keep(std::string(element.get_string().value_unsafe())));
      case simdjson::dom::element_type::INT64: return int_value(element.get_int64().value_unsafe());
      case simdjson::dom::element_type::DOUBLE: return real_value(element.get_double().value_unsafe());
      case simdjson::dom::element_type::BOOL: return bool_value(element.get_bool().value_unsafe());
      case simdjson::dom::element_type::NULL_VALUE: return AnyValue{};
      default: return text_value(keep(simdjson::minify(element)));
    }
  };
  const auto add_row = [&](std::optional<std::string_view> row_key,
                           simdjson::dom::object object) -> Result<void> {
    std::vector<AnyValue> row(columns_.size());
    std::string_view found_key;
    for (const auto [name, element] : object) {
      const std::string_view column = name;
      std::size_t at = static_cast<std::size_t>(std::ranges::find(columns_, column) - columns_.begin());
      if (at == columns_.size()) {
        columns_.emplace_back(column);
        row.emplace_back();
      }
      row[at] = value_of(element);
      if (!row_key && column == key) {
        found_key = row[at].kind == AnyValue::Kind::kString ? row[at].bytes : keep(simdjson::minify(element));
      }
    }
    if (!row_key && found_key.empty()) {
      return fail(ErrorCode::kInvalidArgument, fmt::format("row {} has no '{}'", rows_.size() + 1, key));
    }
    rows_.emplace(row_key ? keep(std::string(*row_key)) : found_key, std::move(row));
    return {};
  };
  simdjson::dom::object by_key;
  simdjson::dom::array rows;
  simdjson::dom::object object;
  if (root.get_object().get(by_key) == simdjson::SUCCESS) {
    for (const auto [name, element] : by_key) {
      if (element.get_object().get(object) != simdjson::SUCCESS) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("the value of '{}' is no object", std::string_view(name)));
      }
      NARU_TRY_VOID(add_row(name, object));
    }
  } else if (root.get_array().get(rows) == simdjson::SUCCESS) {
    for (const simdjson::dom::element element : rows) {
      if (element.get_object().get(object) != simdjson::SUCCESS) {
        return fail(ErrorCode::kInvalidArgument, "an element of the array is no object");
      }
      NARU_TRY_VOID(add_row(std::nullopt, object));
    }
  } else {
    return fail(ErrorCode::kInvalidArgument, "neither an array nor an object of objects");
  }
  for (auto& [row_key, row] : rows_) {
    row.resize(columns_.size());
  }
  return {};
}

}  // namespace naru::prepper
