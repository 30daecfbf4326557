// The one table of a configuration struct, from which come its loader, its checks, its JSON Schema and its
// reference page. See README.md for an example.
#pragma once

#include <chrono>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/config/type.h"

namespace naru::config {

// The errors that a validate(const T&, Errors&) finds between fields of one struct.
class Errors {
 public:
  Errors(const Value& value, std::string path, Report& report)
      : value_(value), path_(std::move(path)), report_(report) {}

  // `key`: of this struct, dotted for a nested field, empty for the struct itself. Nothing is added for a
  // field that already has an error of its own. `sentence` says what is wrong and what to do.
  void add(std::string_view key, std::string_view sentence);

 private:
  const Value& value_;
  std::string path_;
  Report& report_;
};

struct Field {
  std::string key;
  std::string meaning;
  TypePtr type;
  std::function<const void*(const void*)> member;  // where the field lives inside the struct
  Limits limits;
  bool required = false;
  bool secret = false;       // `<key>_file` may name a file that holds the value
  std::string default_json;  // of a new struct
  std::string example;
  std::vector<std::function<Result<void>(const void*)>> checks;
};

struct Table {
  std::vector<Field> fields;
  std::function<void(const void*, Errors&)> validate;  // may be empty
};

template <class T>
const Table& table_of();

// What configures a field further; every call returns the same object.
template <class M>
class FieldBuilder {
 public:
  FieldBuilder(Table& table, std::size_t index) : table_(table), index_(index) {}

  // Numbers: the value; text: characters; lists and maps: items; sizes: bytes.
  FieldBuilder& min(double bound) {
    return set([&](Field& field) { field.limits.min = bound; });
  }
  FieldBuilder& max(double bound) {
    return set([&](Field& field) { field.limits.max = bound; });
  }
  template <class R, class P>
  FieldBuilder& min(std::chrono::duration<R, P> bound) {
    return min(std::chrono::duration<double>(bound).count());
  }
  template <class R, class P>
  FieldBuilder& max(std::chrono::duration<R, P> bound) {
    return max(std::chrono::duration<double>(bound).count());
  }
  // Must be given; the default is not shown.
  FieldBuilder& required() {
    return set([](Field& field) { field.required = true; });
  }
  // As it would stand behind the key.
  FieldBuilder& example(std::string text) {
    return set([&](Field& field) { field.example = std::move(text); });
  }
  // Runs on a value that was given and fits its type and limits. The error's message is the sentence shown.
  FieldBuilder& check(std::function<Result<void>(const M&)> check) {
    return set([&](Field& field) {
      field.checks.push_back(
          [check = std::move(check)](const void* value) { return check(*static_cast<const M*>(value)); });
    });
  }

 private:
  template <class F>
  FieldBuilder& set(F&& change) {
    change(table_.fields[index_]);
    return *this;
  }

  Table& table_;
  std::size_t index_;
};

template <class M>
TypePtr type_of();

// Collects the fields of T in the order of the reference page. Meanings are one line without a full stop's
// rest: what the field does, in words of the operator. Defaults are those of a default-constructed T.
template <class T>
class Schema {
 public:
  explicit Schema(Table& table) : table_(table) {}

  // bool, whole and floating numbers, text, chrono durations, structs with a describe(), and std::optional,
  // std::vector and std::map<std::string, ...> of these.
  template <class M>
  FieldBuilder<M> field(std::string key, M T::* member, std::string meaning) {
    return add(std::move(key), member, std::move(meaning), type_of<M>());
  }
  // An unsigned number of bytes, written "64MiB".
  template <std::unsigned_integral M>
  FieldBuilder<M> bytes(std::string key, M T::* member, std::string meaning) {
    return add(std::move(key), member, std::move(meaning), std::make_shared<BytesType<M>>());
  }
  // One word of a closed list.
  template <class E>
    requires std::is_enum_v<E>
  FieldBuilder<E> choice(std::string key, E T::* member, std::string meaning, Choices<E> choices) {
    return add(std::move(key), member, std::move(meaning),
               std::make_shared<ChoiceType<E>>(std::move(choices)));
  }
  template <class E>
  FieldBuilder<std::optional<E>> choice(std::string key, std::optional<E> T::* member, std::string meaning,
                                        Choices<E> choices) {
    return add(std::move(key), member, std::move(meaning),
               std::make_shared<OptionalType<E>>(std::make_shared<ChoiceType<E>>(std::move(choices))));
  }
  // A member whose `type` the caller brings: a form that the library does not know.
  template <class M>
  FieldBuilder<M> custom(std::string key, M T::* member, std::string meaning, TypePtr type) {
    return add(std::move(key), member, std::move(meaning), std::move(type));
  }
  // Text that is never shown. `<key>_file` names a file to read it from (one line feed at its end is
  // dropped).
  FieldBuilder<std::string> secret(std::string key, std::string T::* member, std::string meaning) {
    FieldBuilder<std::string> builder =
        add(std::move(key), member, std::move(meaning), std::make_shared<StringType>(true));
    table_.fields.back().secret = true;
    return builder;
  }

 private:
  template <class M>
  FieldBuilder<M> add(std::string key, M T::* member, std::string meaning, TypePtr type) {
    const T defaults{};
    Field field;
    field.key = std::move(key);
    field.meaning = std::move(meaning);
    field.default_json = type->show(&(defaults.*member));
    field.type = std::move(type);
    field.member = [member](const void* object) -> const void* {
      return &(static_cast<const T*>(object)->*member);
    };
    table_.fields.push_back(std::move(field));
    return FieldBuilder<M>(table_, table_.fields.size() - 1);
  }

  Table& table_;
};

namespace detail {

template <class M>
struct Inside {
  static constexpr bool kDuration = false;
};
template <class R, class P>
struct Inside<std::chrono::duration<R, P>> {
  static constexpr bool kDuration = true;
};
template <class X>
struct Inside<std::vector<X>> {
  static constexpr bool kDuration = false;
  static TypePtr make() { return std::make_shared<ListType<X>>(type_of<X>()); }
};
template <class X>
struct Inside<std::map<std::string, X>> {
  static constexpr bool kDuration = false;
  static TypePtr make() { return std::make_shared<MapType<X>>(type_of<X>()); }
};
template <class X>
struct Inside<std::optional<X>> {
  static constexpr bool kDuration = false;
  static TypePtr make() { return std::make_shared<OptionalType<X>>(type_of<X>()); }
};

}  // namespace detail

template <class M>
TypePtr type_of() {
  if constexpr (std::same_as<M, bool>) {
    return std::make_shared<BoolType>();
  } else if constexpr (std::integral<M> || std::floating_point<M>) {
    return std::make_shared<NumberType<M>>();
  } else if constexpr (std::same_as<M, std::string>) {
    return std::make_shared<StringType>();
  } else if constexpr (detail::Inside<M>::kDuration) {
    return std::make_shared<DurationType<M>>();
  } else if constexpr (requires { detail::Inside<M>::make(); }) {
    return detail::Inside<M>::make();
  } else {
    static_assert(
        requires(Schema<M>& schema) { describe(schema); },
        "a configuration struct needs void describe(naru::config::Schema<T>&) in its namespace");
    return std::make_shared<StructType>(table_of<M>());
  }
}

// Built at the first use; threads may share it.
template <class T>
const Table& table_of() {
  static const Table table = [] {
    Table built;
    Schema<T> schema(built);
    describe(schema);
    if constexpr (requires(const T& config, Errors& errors) { validate(config, errors); }) {
      built.validate = [](const void* config, Errors& errors) {
        validate(*static_cast<const T*>(config), errors);
      };
    }
    return built;
  }();
  return table;
}

}  // namespace naru::config
