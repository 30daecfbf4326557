// How one kind of configuration value is read, checked, shown and described: the parts that schema.h joins.
//
// Programs include core/config/config.h and describe their structs; they need nothing of this file by name.
#pragma once

#include <charconv>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/config/units.h"
#include "core/config/value.h"

namespace naru::config {

struct Table;

// Bounds of a value in its own measure: the number itself, seconds, bytes, characters or items.
struct Limits {
  std::optional<double> min;
  std::optional<double> max;
};

class Type {
 public:
  virtual ~Type() = default;

  // Reads `value` into `out`, an object of this type. False: did not fit, the reason is in `report`.
  virtual bool load(const Value& value, const std::string& path, void* out, Report& report) const = 0;
  // The value as JSON, durations and sizes in their text form; empty when there is nothing to show.
  virtual std::string show(const void* value) const = 0;
  // For the reference page: "duration", "list of text".
  virtual std::string name() const = 0;
  // `defaults`: an object of this type with the defaults to tell, or nullptr for those of a new one.
  virtual void append_json_schema(std::string& out, const Limits& limits, const void* defaults) const = 0;
  // What Limits apply to; nullopt when they do not apply.
  virtual std::optional<double> magnitude(const void*) const { return std::nullopt; }
  virtual std::string show_magnitude(double magnitude) const;
  // An absent key counts as an empty section, so that what is required inside is missed there.
  virtual bool empty_when_absent() const { return false; }
  // The table of the struct inside, and how its keys hang below this one's key ("", "[]", ".<name>").
  virtual const Table* table() const { return nullptr; }
  virtual std::string path_suffix() const { return {}; }
};

using TypePtr = std::shared_ptr<const Type>;

// A type whose text form is one scalar.
class ScalarType : public Type {
 public:
  bool load(const Value& value, const std::string& path, void* out, Report& report) const final;

 protected:
  // An error's message goes on after `"the text" `.
  virtual Result<void> parse(const std::string& text, void* out) const = 0;
  // Whether an error may repeat the text.
  virtual bool repeatable() const { return true; }
};

class BoolType final : public ScalarType {
 public:
  std::string show(const void* value) const override;
  std::string name() const override { return "true or false"; }
  void append_json_schema(std::string& out, const Limits& limits, const void*) const override;

 protected:
  Result<void> parse(const std::string& text, void* out) const override;
};

class StringType final : public ScalarType {
 public:
  explicit StringType(bool secret = false) : secret_(secret) {}
  std::string show(const void* value) const override;
  std::string name() const override { return secret_ ? "secret text" : "text"; }
  void append_json_schema(std::string& out, const Limits& limits, const void*) const override;
  std::optional<double> magnitude(const void* value) const override;
  std::string show_magnitude(double magnitude) const override;

 protected:
  Result<void> parse(const std::string& text, void* out) const override;
  bool repeatable() const override { return !secret_; }

 private:
  bool secret_;
};

// JSON Schema of a number that may also come from ${ENV}.
void append_number_schema(std::string& out, std::string_view json_type, const Limits& limits);

template <class N>
  requires(std::integral<N> || std::floating_point<N>)
class NumberType final : public ScalarType {
 public:
  std::string show(const void* value) const override {
    return show_magnitude_of(*static_cast<const N*>(value));
  }
  std::string name() const override { return std::integral<N> ? "whole number" : "number"; }
  void append_json_schema(std::string& out, const Limits& limits, const void*) const override {
    append_number_schema(out, std::integral<N> ? "integer" : "number", limits);
  }
  std::optional<double> magnitude(const void* value) const override {
    return static_cast<double>(*static_cast<const N*>(value));
  }

 protected:
  Result<void> parse(const std::string& text, void* out) const override {
    N number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc::result_out_of_range) {
      return fail(ErrorCode::kInvalidArgument,
                  std::integral<N> ? "does not fit; write a number from " +
                                         std::to_string(std::numeric_limits<N>::lowest()) + " to " +
                                         std::to_string(std::numeric_limits<N>::max())
                                   : "does not fit a number");
    }
    if (error != std::errc() || end != text.data() + text.size()) {
      return fail(ErrorCode::kInvalidArgument, "is no " + name() + "; write one, such as 10");
    }
    *static_cast<N*>(out) = number;
    return {};
  }

 private:
  static std::string show_magnitude_of(N number) {
    char buffer[64];
    return {buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr};
  }
};

void append_text_schema(std::string& out, std::string_view example);

template <class D>
class DurationType final : public ScalarType {
 public:
  std::string show(const void* value) const override {
    return '"' + format_duration(*static_cast<const D*>(value)) + '"';
  }
  std::string name() const override { return "duration"; }
  void append_json_schema(std::string& out, const Limits&, const void*) const override {
    append_text_schema(out, "5s");
  }
  std::optional<double> magnitude(const void* value) const override {
    return std::chrono::duration<double>(*static_cast<const D*>(value)).count();
  }
  std::string show_magnitude(double magnitude) const override {
    return format_duration(
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(magnitude)));
  }

 protected:
  Result<void> parse(const std::string& text, void* out) const override {
    const Result<std::chrono::nanoseconds> parsed = parse_duration(text);
    if (!parsed) {
      return fail(ErrorCode::kInvalidArgument,
                  parsed.error().message() + "; write a duration, such as 5s or 250ms");
    }
    const D rounded = std::chrono::duration_cast<D>(*parsed);
    if (rounded != *parsed) {
      return fail(ErrorCode::kInvalidArgument,
                  "is too fine; write a multiple of " + format_duration(std::chrono::nanoseconds(D{1})));
    }
    *static_cast<D*>(out) = rounded;
    return {};
  }
};

template <std::unsigned_integral N>
class BytesType final : public ScalarType {
 public:
  std::string show(const void* value) const override {
    return '"' + format_bytes(*static_cast<const N*>(value)) + '"';
  }
  std::string name() const override { return "size"; }
  void append_json_schema(std::string& out, const Limits&, const void*) const override {
    append_text_schema(out, "64MiB");
  }
  std::optional<double> magnitude(const void* value) const override {
    return static_cast<double>(*static_cast<const N*>(value));
  }
  std::string show_magnitude(double magnitude) const override {
    return format_bytes(static_cast<std::uint64_t>(magnitude));
  }

 protected:
  Result<void> parse(const std::string& text, void* out) const override {
    const Result<std::uint64_t> parsed = parse_bytes(text);
    if (!parsed) {
      return fail(ErrorCode::kInvalidArgument,
                  parsed.error().message() + "; write a size, such as 512KiB or 64MiB");
    }
    if (*parsed > std::numeric_limits<N>::max()) {
      return fail(ErrorCode::kInvalidArgument,
                  "is too large; write at most " + format_bytes(std::numeric_limits<N>::max()));
    }
    *static_cast<N*>(out) = static_cast<N>(*parsed);
    return {};
  }
};

// `"a", "b" or "c"`.
std::string list_words(const std::vector<std::string>& words);
void append_choice_schema(std::string& out, const std::vector<std::string>& words);

template <class E>
using Choices = std::vector<std::pair<std::string, E>>;

template <class E>
class ChoiceType final : public ScalarType {
 public:
  explicit ChoiceType(Choices<E> choices) : choices_(std::move(choices)) {}
  std::string show(const void* value) const override {
    for (const auto& [word, choice] : choices_) {
      if (choice == *static_cast<const E*>(value)) {
        return '"' + word + '"';
      }
    }
    return {};
  }
  std::string name() const override { return list_words(words()); }
  void append_json_schema(std::string& out, const Limits&, const void*) const override {
    append_choice_schema(out, words());
  }

 protected:
  Result<void> parse(const std::string& text, void* out) const override {
    for (const auto& [word, choice] : choices_) {
      if (word == text) {
        *static_cast<E*>(out) = choice;
        return {};
      }
    }
    return fail(ErrorCode::kInvalidArgument, "is not known here; write " + list_words(words()));
  }

 private:
  std::vector<std::string> words() const {
    std::vector<std::string> all;
    for (const auto& [word, choice] : choices_) {
      all.push_back(word);
    }
    return all;
  }

  Choices<E> choices_;
};

// A struct of configuration, described by its table.
class StructType final : public Type {
 public:
  explicit StructType(const Table& described) : table_(described) {}
  bool load(const Value& value, const std::string& path, void* out, Report& report) const override;
  std::string show(const void*) const override { return {}; }
  std::string name() const override { return "section"; }
  void append_json_schema(std::string& out, const Limits& limits, const void* defaults) const override;
  bool empty_when_absent() const override { return true; }
  const Table* table() const override { return &table_; }

 private:
  const Table& table_;
};

// Whether `value` is a list (a map), null counting as an empty one; reports it otherwise.
bool expect_list(const Value& value, const std::string& path, Report& report);
bool expect_map(const Value& value, const std::string& path, Report& report);
void append_list_schema(std::string& out, const Type& item, const Limits& limits);
void append_map_schema(std::string& out, const Type& item);
std::string show_items(double count);

template <class X>
class ListType final : public Type {
 public:
  explicit ListType(TypePtr item) : item_(std::move(item)) {}
  bool load(const Value& value, const std::string& path, void* out, Report& report) const override {
    if (!expect_list(value, path, report)) {
      return false;
    }
    std::vector<X> list;
    list.reserve(value.items.size());
    bool ok = true;
    for (const Value& item : value.items) {
      X one{};
      ok = item_->load(item, path + "[" + std::to_string(list.size()) + "]", &one, report) && ok;
      list.push_back(std::move(one));
    }
    *static_cast<std::vector<X>*>(out) = std::move(list);
    return ok;
  }
  std::string show(const void* value) const override {
    std::string text = "[";
    for (const X& item : *static_cast<const std::vector<X>*>(value)) {
      text += text.size() > 1 ? ", " : "";
      text += item_->show(&item);
    }
    return text + "]";
  }
  std::string name() const override { return "list of " + item_->name(); }
  void append_json_schema(std::string& out, const Limits& limits, const void*) const override {
    append_list_schema(out, *item_, limits);
  }
  std::optional<double> magnitude(const void* value) const override {
    return static_cast<double>(static_cast<const std::vector<X>*>(value)->size());
  }
  std::string show_magnitude(double magnitude) const override { return show_items(magnitude); }
  const Table* table() const override { return item_->table(); }
  std::string path_suffix() const override { return "[]" + item_->path_suffix(); }

 private:
  TypePtr item_;
};

template <class X>
class MapType final : public Type {
 public:
  explicit MapType(TypePtr item) : item_(std::move(item)) {}
  bool load(const Value& value, const std::string& path, void* out, Report& report) const override {
    if (!expect_map(value, path, report)) {
      return false;
    }
    std::map<std::string, X> map;
    bool ok = true;
    for (const Value::Entry& entry : value.entries) {
      ok = item_->load(entry.value, join_path(path, entry.key), &map[entry.key], report) && ok;
    }
    *static_cast<std::map<std::string, X>*>(out) = std::move(map);
    return ok;
  }
  std::string show(const void* value) const override {
    std::string text = "{";
    for (const auto& [key, item] : *static_cast<const std::map<std::string, X>*>(value)) {
      text += text.size() > 1 ? ", " : "";
      text += StringType().show(&key) + ": " + item_->show(&item);
    }
    return text + "}";
  }
  std::string name() const override { return "map to " + item_->name(); }
  void append_json_schema(std::string& out, const Limits&, const void*) const override {
    append_map_schema(out, *item_);
  }
  std::optional<double> magnitude(const void* value) const override {
    return static_cast<double>(static_cast<const std::map<std::string, X>*>(value)->size());
  }
  std::string show_magnitude(double magnitude) const override { return show_items(magnitude); }
  const Table* table() const override { return item_->table(); }
  std::string path_suffix() const override { return ".<name>" + item_->path_suffix(); }

 private:
  TypePtr item_;
};

template <class X>
class OptionalType final : public Type {
 public:
  explicit OptionalType(TypePtr item) : item_(std::move(item)) {}
  bool load(const Value& value, const std::string& path, void* out, Report& report) const override {
    auto& optional = *static_cast<std::optional<X>*>(out);
    if (value.kind == Value::Kind::kNull) {
      optional.reset();
      return true;
    }
    return item_->load(value, path, &optional.emplace(), report);
  }
  std::string show(const void* value) const override {
    const auto& optional = *static_cast<const std::optional<X>*>(value);
    return optional ? item_->show(&*optional) : std::string();
  }
  std::string name() const override { return item_->name(); }
  void append_json_schema(std::string& out, const Limits& limits, const void*) const override {
    item_->append_json_schema(out, limits, nullptr);
  }
  std::optional<double> magnitude(const void* value) const override {
    const auto& optional = *static_cast<const std::optional<X>*>(value);
    return optional ? item_->magnitude(&*optional) : std::nullopt;
  }
  std::string show_magnitude(double magnitude) const override { return item_->show_magnitude(magnitude); }
  const Table* table() const override { return item_->table(); }
  std::string path_suffix() const override { return item_->path_suffix(); }

 private:
  TypePtr item_;
};

}  // namespace naru::config
