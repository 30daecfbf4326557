// logfmt, key_value and csv: texts whose parts are cut by delimiters.
#include "prepper/processors/delimited.h"

#include <fmt/format.h>

#include "prepper/processors/convert.h"
#include "prepper/processors/text_processor.h"

namespace naru::prepper {
namespace {

// Reads a quoted text that begins at text[at] == quote; `at` ends behind the closing quote. Backslash escapes
// of the quote, itself, n and t. nullopt: it does not end.
std::optional<std::string_view> read_quoted(std::string_view text, std::size_t& at, Arena& arena) {
  const char quote = text[at];
  const std::size_t begin = ++at;
  bool escaped = false;
  for (; at < text.size() && text[at] != quote; ++at) {
    if (text[at] == '\\' && at + 1 < text.size()) {
      escaped = true;
      ++at;
    }
  }
  if (at >= text.size()) {
    return std::nullopt;
  }
  const std::string_view inside = text.substr(begin, at++ - begin);
  if (!escaped) {
    return inside;
  }
  char* const out = arena.allocate(inside.size());
  std::size_t size = 0;
  for (std::size_t i = 0; i < inside.size(); ++i) {
    char c = inside[i];
    if (c == '\\' && i + 1 < inside.size()) {
      c = inside[++i];
      c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
    }
    out[size++] = c;
  }
  return std::string_view(out, size);
}

class LogfmtProcessor final : public TextProcessor {
 public:
  LogfmtProcessor(std::uint32_t field, LogfmtOptions options)
      : TextProcessor(field), options_(std::move(options)) {}

 protected:
  Outcome read(std::string_view text, Event& event, Scratch& scratch) const override {
    std::uint32_t pairs = 0;
    std::size_t at = 0;
    while (true) {
      while (at < text.size() && static_cast<unsigned char>(text[at]) <= ' ') {
        ++at;
      }
      if (at >= text.size()) {
        break;
      }
      const std::size_t begin = at;
      while (at < text.size() && static_cast<unsigned char>(text[at]) > ' ' && text[at] != '=') {
        ++at;
      }
      const std::string_view name = text.substr(begin, at - begin);
      if (name.empty() || at >= text.size() || text[at] != '=') {
        if (options_.strict) {
          return scratch.fail("the text is no logfmt: a word without =");
        }
        at += at < text.size() ? 1 : 0;
        continue;
      }
      ++at;
      std::string_view value;
      if (at < text.size() && text[at] == '"') {
        const auto quoted = read_quoted(text, at, event.arena());
        if (!quoted) {
          return scratch.fail("the text is no logfmt: a quoted value does not end");
        }
        value = *quoted;
      } else {
        const std::size_t from = at;
        while (at < text.size() && static_cast<unsigned char>(text[at]) > ' ') {
          ++at;
        }
        value = text.substr(from, at - from);
      }
      if (++pairs > options_.fields_max) {
        return scratch.fail("the text has more fields than fields_max");
      }
      set_attribute(event, options_.prefix, name, text_value(value));
    }
    return pairs > 0 ? Outcome::kDone : scratch.fail("the text has no key=value pair");
  }

 private:
  LogfmtOptions options_;
};

std::string_view trim_of(std::string_view text, std::string_view characters) {
  const std::size_t begin = text.find_first_not_of(characters);
  return begin == std::string_view::npos ? std::string_view()
                                         : text.substr(begin, text.find_last_not_of(characters) - begin + 1);
}

class KeyValueProcessor final : public TextProcessor {
 public:
  KeyValueProcessor(std::uint32_t field, KeyValueOptions options)
      : TextProcessor(field), options_(std::move(options)) {}

 protected:
  Outcome read(std::string_view text, Event& event, Scratch& scratch) const override {
    std::uint32_t pairs = 0;
    while (!text.empty()) {
      const std::size_t end = text.find(options_.pair_separator);
      const std::string_view pair = text.substr(0, end);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + options_.pair_separator.size());
      const std::size_t cut = pair.find(options_.separator);
      if (cut == std::string_view::npos) {
        continue;
      }
      const std::string_view name = trim_of(pair.substr(0, cut), options_.trim);
      if (name.empty()) {
        continue;
      }
      if (++pairs > options_.fields_max) {
        return scratch.fail("the text has more fields than fields_max");
      }
      set_attribute(event, options_.prefix, name,
                    text_value(trim_of(pair.substr(cut + options_.separator.size()), options_.trim)));
    }
    return pairs > 0 ? Outcome::kDone : scratch.fail("the text has no pair");
  }

 private:
  KeyValueOptions options_;
};

class CsvProcessor final : public TextProcessor {
 public:
  struct Column {
    std::string name;  // empty: left out
    std::optional<Conversion> type;
  };
  CsvProcessor(std::uint32_t field, CsvOptions options, std::vector<Column> columns)
      : TextProcessor(field), options_(std::move(options)), columns_(std::move(columns)) {}

 protected:
  Outcome read(std::string_view text, Event& event, Scratch& scratch) const override {
    std::vector<std::string_view>& cells = scratch.parts;
    cells.clear();
    const char quote = options_.quote[0], separator = options_.separator[0];
    std::size_t at = 0;
    while (true) {
      if (cells.size() > columns_.size()) {
        return scratch.fail("the text has more columns than `columns`");
      }
      if (at < text.size() && text[at] == quote) {
        char* const out = event.arena().allocate(text.size() - at);
        std::size_t size = 0;
        bool closed = false;
        for (++at; at < text.size(); ++at) {
          if (text[at] == quote && (at + 1 >= text.size() || text[at + 1] != quote)) {
            closed = true;
            ++at;
            break;
          }
          at += text[at] == quote ? 1 : 0;
          out[size++] = text[at];
        }
        if (!closed || (at < text.size() && text[at] != separator)) {
          return scratch.fail("a quoted column does not end");
        }
        cells.push_back({out, size});
      } else {
        const std::size_t end = std::min(text.find(separator, at), text.size());
        cells.push_back(text.substr(at, end - at));
        at = end;
      }
      if (at >= text.size()) {
        break;
      }
      ++at;
    }
    if (cells.size() != columns_.size()) {
      return scratch.fail(cells.size() > columns_.size() ? "the text has more columns than `columns`"
                                                         : "the text has fewer columns than `columns`");
    }
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const Column& column = columns_[i];
      if (column.name.empty() || cells[i].empty()) {
        continue;
      }
      AnyValue value = text_value(cells[i]);
      if (column.type) {
        value = convert(value, *column.type, event.arena()).value_or(value);
      }
      set_attribute(event, {}, column.name, value);
    }
    return Outcome::kDone;
  }

 private:
  CsvOptions options_;
  std::vector<Column> columns_;
};

}  // namespace

void describe(config::Schema<LogfmtOptions>& s) {
  s.field("field", &LogfmtOptions::field, "Field with the text.");
  s.field("prefix", &LogfmtOptions::prefix, "Put before the names of the new attributes.");
  s.field("strict", &LogfmtOptions::strict, "A word without = is a failure; false: it is passed over.");
  s.field("fields_max", &LogfmtOptions::fields_max, "More fields than this are a failure.")
      .min(1)
      .max(10'000);
}

std::unique_ptr<Processor> build(const LogfmtOptions& options, Builder& builder) {
  return std::make_unique<LogfmtProcessor>(builder.field("field", options.field), options);
}

void describe(config::Schema<KeyValueOptions>& s) {
  s.field("field", &KeyValueOptions::field, "Field with the text.");
  s.field("prefix", &KeyValueOptions::prefix, "Put before the names of the new attributes.");
  s.field("pair_separator", &KeyValueOptions::pair_separator, "Text between two pairs.").min(1);
  s.field("separator", &KeyValueOptions::separator, "Text between a name and its value.").min(1);
  s.field("trim", &KeyValueOptions::trim, "Characters cut off both ends of names and values.");
  s.field("fields_max", &KeyValueOptions::fields_max, "More fields than this are a failure.")
      .min(1)
      .max(10'000);
}

std::unique_ptr<Processor> build(const KeyValueOptions& options, Builder& builder) {
  return std::make_unique<KeyValueProcessor>(builder.field("field", options.field), options);
}

void describe(config::Schema<CsvOptions>& s) {
  s.field("field", &CsvOptions::field, "Field with the text, one row.");
  s.field(
       "columns", &CsvOptions::columns,
       "Names of the attributes in the order of the columns, each `name` or `name:type` (int, double, bool); "
       "empty: the column is left out.")
      .required()
      .min(1)
      .max(1'000);
  s.field("separator", &CsvOptions::separator, "Character between columns.").min(1).max(1);
  s.field("quote", &CsvOptions::quote, "Character round columns that hold separators.").min(1).max(1);
}

std::unique_ptr<Processor> build(const CsvOptions& options, Builder& builder) {
  std::vector<CsvProcessor::Column> columns;
  for (const std::string& text : options.columns) {
    const std::size_t cut = text.rfind(':');
    CsvProcessor::Column column{text.substr(0, cut), std::nullopt};
    if (cut != std::string::npos) {
      column.type = conversion(std::string_view(text).substr(cut + 1));
      if (!column.type) {
        builder.error("columns", fmt::format("'{}' names no type; write int, double, bool or text", text));
      }
    }
    columns.push_back(std::move(column));
  }
  return std::make_unique<CsvProcessor>(builder.field("field", options.field), options, std::move(columns));
}

}  // namespace naru::prepper
