#include "prepper/processors/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/base/json_text.h"
#include "core/otlp/wire.h"
#include "prepper/process/json_out.h"
#include "prepper/processors/severity.h"

namespace naru::prepper {
namespace {

using Kind = AnyValue::Kind;

constexpr std::string_view kWrongValue = "the target cannot hold this value";

// --- set

class SetConstant final : public Processor {
 public:
  SetConstant(std::uint32_t target, bool overwrite, std::string text, std::optional<Conversion> type)
      : target_(target), overwrite_(overwrite), text_(std::move(text)), value_(text_value(text_)) {
    Arena arena(1024);
    if (type) {
      value_ = naru::prepper::convert(value_, *type, arena).value_or(value_);
    }
  }
  Outcome process(Event& event, Scratch& scratch) const override {
    if (!overwrite_ && event.has(target_)) {
      return Outcome::kDone;
    }
    return event.set(target_, value_) ? Outcome::kDone : scratch.fail(kWrongValue);
  }

 private:
  std::uint32_t target_;
  bool overwrite_;
  std::string text_;
  AnyValue value_;
};

class SetExpression final : public Processor {
 public:
  SetExpression(std::uint32_t target, bool overwrite, std::optional<Conversion> type,
                expr::Expression expression)
      : target_(target), overwrite_(overwrite), type_(type), expression_(std::move(expression)) {}
  Outcome process(Event& event, Scratch& scratch) const override {
    if (!overwrite_ && event.has(target_)) {
      return Outcome::kDone;
    }
    const expr::Value value = expression_.evaluate(event);
    if (value.missing()) {
      return scratch.fail("a field of the expression is missing or has another type");
    }
    std::optional<AnyValue> typed = from_expr(value);
    if (type_) {
      typed = naru::prepper::convert(*typed, *type_, event.arena());
    }
    return typed && event.set(target_, *typed) ? Outcome::kDone : scratch.fail(kWrongValue);
  }

 private:
  std::uint32_t target_;
  bool overwrite_;
  std::optional<Conversion> type_;
  expr::Expression expression_;
};

// Texts with fields between: "%{attributes.host}:%{attributes.port}".
class SetFormat final : public Processor {
 public:
  struct Part {
    std::string text;
    std::optional<std::uint32_t> field;  // behind the text
  };
  SetFormat(std::uint32_t target, bool overwrite, std::optional<Conversion> type, std::vector<Part> parts)
      : target_(target), overwrite_(overwrite), type_(type), parts_(std::move(parts)) {}
  Outcome process(Event& event, Scratch& scratch) const override {
    if (!overwrite_ && event.has(target_)) {
      return Outcome::kDone;
    }
    scratch.text.clear();
    for (const Part& part : parts_) {
      scratch.text += part.text;
      if (!part.field) {
        continue;
      }
      const auto text = naru::prepper::convert(event.get(*part.field), Conversion::kText, event.arena());
      if (!text) {
        return scratch.fail("a field of the format is missing or no text");
      }
      scratch.text += text->bytes;
    }
    std::optional<AnyValue> value = text_value(event.arena().copy(scratch.text));
    if (type_) {
      value = naru::prepper::convert(*value, *type_, event.arena());
    }
    return value && event.set(target_, *value) ? Outcome::kDone : scratch.fail(kWrongValue);
  }

 private:
  std::uint32_t target_;
  bool overwrite_;
  std::optional<Conversion> type_;
  std::vector<Part> parts_;
};

std::vector<SetFormat::Part> format_parts(std::string_view format, Builder& builder) {
  std::vector<SetFormat::Part> out;
  while (!format.empty()) {
    const std::size_t open = format.find("%{");
    SetFormat::Part part{std::string(format.substr(0, open)), std::nullopt};
    format.remove_prefix(open == std::string_view::npos ? format.size() : open + 2);
    if (open != std::string_view::npos) {
      const std::size_t close = format.find('}');
      if (close == std::string_view::npos) {
        builder.error("format", "%{ without its }");
        return out;
      }
      part.field = builder.field("format", format.substr(0, close));
      format.remove_prefix(close + 1);
    }
    out.push_back(std::move(part));
  }
  return out;
}

// --- remove, keep

class RemoveProcessor final : public Processor {
 public:
  explicit RemoveProcessor(std::vector<std::uint32_t> fields) : fields_(std::move(fields)) {}
  Outcome process(Event& event, Scratch&) const override {
    for (const std::uint32_t field : fields_) {
      event.remove(field);
    }
    return Outcome::kDone;
  }

 private:
  std::vector<std::uint32_t> fields_;
};

class KeepProcessor final : public Processor {
 public:
  explicit KeepProcessor(std::vector<std::string> names) : names_(std::move(names)) {}
  Outcome process(Event& event, Scratch&) const override {
    event.attributes().remove_if([&](const AttributeList::Entry& entry) {
      return std::ranges::none_of(names_, [&](const std::string& name) {
        return name.ends_with('*') ? entry.key.starts_with(std::string_view(name).substr(0, name.size() - 1))
                                   : entry.key == name;
      });
    });
    return Outcome::kDone;
  }

 private:
  std::vector<std::string> names_;
};

// --- copy, move, rename

class MoveProcessor final : public Processor {
 public:
  MoveProcessor(const MoveOptions& options, std::uint32_t from, std::uint32_t to, bool copy)
      : overwrite_(options.overwrite),
        ignore_missing_(options.ignore_missing),
        copy_(copy),
        from_(from),
        to_(to) {}
  Outcome process(Event& event, Scratch& scratch) const override {
    const AnyValue value = event.get(from_);
    if (value.kind == Kind::kEmpty) {
      return ignore_missing_ ? Outcome::kDone : scratch.fail("the field is missing");
    }
    if (!overwrite_ && event.has(to_)) {
      return Outcome::kDone;
    }
    if (!event.set(to_, value)) {
      return scratch.fail(kWrongValue);
    }
    if (!copy_) {
      event.remove(from_);
    }
    return Outcome::kDone;
  }

 private:
  bool overwrite_, ignore_missing_, copy_;
  std::uint32_t from_, to_;
};

// --- convert, case, split, join, truncate

class ConvertProcessor final : public Processor {
 public:
  ConvertProcessor(std::vector<std::uint32_t> fields, const ConvertOptions& options)
      : fields_(std::move(fields)), type_(options.type), ignore_missing_(options.ignore_missing) {}
  Outcome process(Event& event, Scratch& scratch) const override {
    bool failed = false;
    for (const std::uint32_t field : fields_) {
      const AnyValue value = event.get(field);
      if (value.kind == Kind::kEmpty) {
        failed |= !ignore_missing_;
        continue;
      }
      const auto converted = naru::prepper::convert(value, type_, event.arena());
      failed |= !converted || !event.set(field, *converted);
    }
    return failed ? scratch.fail("a value cannot be converted") : Outcome::kDone;
  }

 private:
  std::vector<std::uint32_t> fields_;
  Conversion type_;
  bool ignore_missing_;
};

class CaseProcessor final : public Processor {
 public:
  CaseProcessor(std::vector<std::uint32_t> fields, Case to) : fields_(std::move(fields)), to_(to) {}
  Outcome process(Event& event, Scratch&) const override {
    for (const std::uint32_t field : fields_) {
      const std::optional<std::string_view> text = event.text(field);
      if (!text) {
        continue;
      }
      char* const out = event.arena().allocate(text->size());
      std::ranges::transform(*text, out, [&](char c) {
        const bool letter = to_ == Case::kUpper ? c >= 'a' && c <= 'z' : c >= 'A' && c <= 'Z';
        return letter ? static_cast<char>(c ^ 0x20) : c;
      });
      event.set(field, text_value({out, text->size()}));
    }
    return Outcome::kDone;
  }

 private:
  std::vector<std::uint32_t> fields_;
  Case to_;
};

constexpr std::uint32_t kArrayValues = 1;  // opentelemetry/proto/common/v1 ArrayValue

class SplitProcessor final : public Processor {
 public:
  SplitProcessor(std::uint32_t field, SplitOptions options) : field_(field), options_(std::move(options)) {}
  Outcome process(Event& event, Scratch& scratch) const override {
    const std::optional<std::string_view> text = event.text(field_);
    if (!text) {
      return scratch.fail("the field has no text");
    }
    scratch.encoded.clear();
    std::string_view rest = *text;
    for (std::uint32_t items = 1;; ++items) {
      const std::size_t end =
          items < options_.items_max ? rest.find(options_.separator) : std::string_view::npos;
      std::string_view item = rest.substr(0, end);
      if (options_.trim) {
        const std::size_t begin = std::min(item.find_first_not_of(" \t"), item.size());
        item = item.substr(begin, item.find_last_not_of(" \t") + 1 - begin);
      }
      const std::size_t mark = otlp::begin_message_field(scratch.encoded, kArrayValues);
      append_value(scratch.encoded, text_value(item));
      otlp::end_message_field(scratch.encoded, mark);
      if (end == std::string_view::npos) {
        break;
      }
      rest.remove_prefix(end + options_.separator.size());
    }
    AnyValue list;
    list.kind = Kind::kArray;
    list.bytes = event.arena().copy(scratch.encoded);
    return event.set(field_, list) ? Outcome::kDone : scratch.fail(kWrongValue);
  }

 private:
  std::uint32_t field_;
  SplitOptions options_;
};

class JoinProcessor final : public Processor {
 public:
  JoinProcessor(std::uint32_t field, std::string separator)
      : field_(field), separator_(std::move(separator)) {}
  Outcome process(Event& event, Scratch& scratch) const override {
    const AnyValue list = event.get(field_);
    if (list.kind != Kind::kArray) {
      return scratch.fail("the field is no array");
    }
    scratch.text.clear();
    otlp::Messages items(list.bytes, kArrayValues);
    for (bool first = true; items.next(); first = false) {
      AnyValue item;
      const auto text = otlp::parse(items.bytes(), item)
                            ? naru::prepper::convert(item, Conversion::kText, event.arena())
                            : std::nullopt;
      if (!text) {
        return scratch.fail("an item of the array is no text and no number");
      }
      scratch.text += first ? "" : separator_;
      scratch.text += text->bytes;
    }
    event.set(field_, text_value(event.arena().copy(scratch.text)));
    return Outcome::kDone;
  }

 private:
  std::uint32_t field_;
  std::string separator_;
};

class TruncateProcessor final : public Processor {
 public:
  TruncateProcessor(std::vector<std::uint32_t> fields, std::size_t bytes_max)
      : fields_(std::move(fields)), bytes_max_(bytes_max) {}
  Outcome process(Event& event, Scratch&) const override {
    for (const std::uint32_t field : fields_) {
      const std::optional<std::string_view> text = event.text(field);
      if (text && text->size() > bytes_max_) {
        event.set(field, text_value(cut_utf8(*text, bytes_max_)));
      }
    }
    return Outcome::kDone;
  }

 private:
  std::vector<std::uint32_t> fields_;
  std::size_t bytes_max_;
};

// --- severity

class SeverityProcessor final : public Processor {
 public:
  explicit SeverityProcessor(std::uint32_t field) : field_(field) {}
  Outcome process(Event& event, Scratch& scratch) const override {
    const std::optional<std::string_view> text = event.text(field_);
    const std::optional<std::int32_t> number = text ? severity_number(*text) : std::nullopt;
    if (!number) {
      return scratch.fail("the field has no word for a severity");
    }
    event.set_severity(*number, *text);
    return Outcome::kDone;
  }

 private:
  std::uint32_t field_;
};

config::Choices<Conversion> conversions() {
  return {{"text", Conversion::kText},
          {"int", Conversion::kInteger},
          {"double", Conversion::kDouble},
          {"bool", Conversion::kBoolean}};
}

template <class Options>
void describe_move(config::Schema<Options>& s) {
  const auto own = []<class M>(M MoveOptions::* member) { return static_cast<M Options::*>(member); };
  s.field("from", own(&MoveOptions::from), "Field to read.").required().min(1);
  s.field("to", own(&MoveOptions::to), "Field to write.").required().min(1);
  s.field("overwrite", own(&MoveOptions::overwrite), "false: a field that has a value already keeps it.");
  s.field("ignore_missing", own(&MoveOptions::ignore_missing), "false: a missing field is a failure.");
}

}  // namespace

std::optional<std::int32_t> severity_number(std::string_view word) {
  // The first of each range of OpenTelemetry's log data model, and syslog's words as its appendix maps them.
  constexpr std::pair<std::string_view, std::int32_t> kWords[] = {
      {"trace", 1},    {"finest", 1},    {"finer", 2},  {"verbose", 3},     {"debug", 5},
      {"fine", 5},     {"config", 6},    {"debug1", 5}, {"debug2", 5},      {"debug3", 5},
      {"debug4", 5},   {"debug5", 5},    {"info", 9},   {"information", 9}, {"informational", 9},
      {"log", 9},      {"system", 9},    {"note", 10},  {"notice", 10},     {"warn", 13},
      {"warning", 13}, {"error", 17},    {"err", 17},   {"severe", 17},     {"critical", 18},
      {"crit", 18},    {"alert", 19},    {"fatal", 21}, {"emerg", 21},      {"emergency", 21},
      {"panic", 21},   {"statement", 9}, {"detail", 9}, {"hint", 9}};
  for (const auto& [known, number] : kWords) {
    if (known.size() == word.size() && std::equal(known.begin(), known.end(), word.begin(),
                                                  [](char a, char b) { return a == (b | 0x20) || a == b; })) {
      return number;
    }
  }
  if (word.size() == 1) {  // klog, Kafka's and OpenSearch's short forms
    switch (word[0]) {
      case 'T': return 1;
      case 'D': return 5;
      case 'I': return 9;
      case 'W': return 13;
      case 'E': return 17;
      case 'F': return 21;
      default: return std::nullopt;
    }
  }
  return std::nullopt;
}

void describe(config::Schema<SetOptions>& s) {
  s.field("field", &SetOptions::field, "Field to write.").required().min(1);
  s.field("value", &SetOptions::value, "Its text.");
  s.field("expression", &SetOptions::expression, "Or what this expression says.");
  s.field("format", &SetOptions::format, "Or this text, with %{field} replaced by the fields' values.");
  s.choice("type", &SetOptions::type, "Type of the new value.", conversions());
  s.field("overwrite", &SetOptions::overwrite, "false: a field that has a value already keeps it.");
}

std::unique_ptr<Processor> build(const SetOptions& options, Builder& builder) {
  const int given = (options.value ? 1 : 0) + (options.expression ? 1 : 0) + (options.format ? 1 : 0);
  if (given != 1) {
    builder.error("field", "give one of value, expression and format");
    return nullptr;
  }
  const std::uint32_t target = builder.target("field", options.field);
  if (options.value) {
    return std::make_unique<SetConstant>(target, options.overwrite, *options.value, options.type);
  }
  if (options.format) {
    return std::make_unique<SetFormat>(target, options.overwrite, options.type,
                                       format_parts(*options.format, builder));
  }
  auto expression = builder.expression("expression", *options.expression);
  return expression ? std::make_unique<SetExpression>(target, options.overwrite, options.type,
                                                      std::move(*expression))
                    : nullptr;
}

void describe(config::Schema<RemoveOptions>& s) {
  s.field("fields", &RemoveOptions::fields, "Fields to remove.").required().min(1).max(256);
}
std::unique_ptr<Processor> build(const RemoveOptions& options, Builder& builder) {
  return std::make_unique<RemoveProcessor>(builder.targets("fields", options.fields));
}

void describe(config::Schema<KeepOptions>& s) {
  s.field("attributes", &KeepOptions::attributes,
          "Names of the attributes that stay; `http.*` stands for all that begin so.")
      .required()
      .max(256);
}
std::unique_ptr<Processor> build(const KeepOptions& options, Builder&) {
  return std::make_unique<KeepProcessor>(options.attributes);
}

void describe(config::Schema<MoveOptions>& s) {
  describe_move(s);
}
std::unique_ptr<Processor> build(const MoveOptions& options, Builder& builder) {
  return std::make_unique<MoveProcessor>(options, builder.target("from", options.from),
                                         builder.target("to", options.to), false);
}

void describe(config::Schema<RenameOptions>& s) {
  describe_move(s);
}
std::unique_ptr<Processor> build(const RenameOptions& options, Builder& builder) {
  const std::uint32_t from = builder.target("from", options.from), to = builder.target("to", options.to);
  for (const auto& [key, ref] : {std::pair{"from", from}, std::pair{"to", to}}) {
    if (builder.ok() && builder.fields().at(ref).kind != FieldKind::kAttribute) {
      builder.error(key, "only attributes have names to change; `move` takes other fields");
    }
  }
  return std::make_unique<MoveProcessor>(options, from, to, false);
}

void describe(config::Schema<CopyOptions>& s) {
  describe_move(s);
}
std::unique_ptr<Processor> build(const CopyOptions& options, Builder& builder) {
  return std::make_unique<MoveProcessor>(options, builder.field("from", options.from),
                                         builder.target("to", options.to), true);
}

void describe(config::Schema<ConvertOptions>& s) {
  s.field("fields", &ConvertOptions::fields, "Fields to convert.").required().min(1).max(256);
  s.choice("type", &ConvertOptions::type, "Their new type.", conversions()).required();
  s.field("ignore_missing", &ConvertOptions::ignore_missing, "false: a missing field is a failure.");
}
std::unique_ptr<Processor> build(const ConvertOptions& options, Builder& builder) {
  return std::make_unique<ConvertProcessor>(builder.targets("fields", options.fields), options);
}

void describe(config::Schema<CaseOptions>& s) {
  s.field("fields", &CaseOptions::fields, "Fields with texts.").required().min(1).max(256);
  s.choice("to", &CaseOptions::to, "Case of their ASCII letters.",
           {{"lower", Case::kLower}, {"upper", Case::kUpper}})
      .required();
}
std::unique_ptr<Processor> build(const CaseOptions& options, Builder& builder) {
  return std::make_unique<CaseProcessor>(builder.targets("fields", options.fields), options.to);
}

void describe(config::Schema<SplitOptions>& s) {
  s.field("field", &SplitOptions::field, "Field with a text; it becomes an array.").required().min(1);
  s.field("separator", &SplitOptions::separator, "Text between items.").min(1);
  s.field("trim", &SplitOptions::trim, "Cut blanks off the items.");
  s.field("items_max", &SplitOptions::items_max, "The last of so many items keeps the rest.")
      .min(1)
      .max(10'000);
}
std::unique_ptr<Processor> build(const SplitOptions& options, Builder& builder) {
  return std::make_unique<SplitProcessor>(builder.target("field", options.field), options);
}

void describe(config::Schema<JoinOptions>& s) {
  s.field("field", &JoinOptions::field, "Field with an array; it becomes a text.").required().min(1);
  s.field("separator", &JoinOptions::separator, "Text between items.");
}
std::unique_ptr<Processor> build(const JoinOptions& options, Builder& builder) {
  return std::make_unique<JoinProcessor>(builder.target("field", options.field), options.separator);
}

void describe(config::Schema<TruncateOptions>& s) {
  s.field("fields", &TruncateOptions::fields, "Fields with texts.").required().min(1).max(256);
  s.bytes("bytes_max", &TruncateOptions::bytes_max, "Longer texts are cut at the last character that fits.")
      .min(1);
}
std::unique_ptr<Processor> build(const TruncateOptions& options, Builder& builder) {
  return std::make_unique<TruncateProcessor>(builder.targets("fields", options.fields), options.bytes_max);
}

void describe(config::Schema<SeverityOptions>& s) {
  s.field("field", &SeverityOptions::field, "Field with a word such as WARN, err or I.").required().min(1);
}
std::unique_ptr<Processor> build(const SeverityOptions& options, Builder& builder) {
  if (builder.signal() != otlp::Signal::kLogs) {
    builder.error("field", "only logs have a severity");
  }
  return std::make_unique<SeverityProcessor>(builder.field("field", options.field));
}

}  // namespace naru::prepper
