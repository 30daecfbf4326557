#include "prepper/processors/json.h"

#include <charconv>

#include "core/otlp/wire.h"

namespace naru::prepper {
namespace {

namespace dom = simdjson::dom;

// Field numbers of opentelemetry/proto/common/v1.
constexpr std::uint32_t kArrayValueValues = 1;
constexpr std::uint32_t kKeyValueListValues = 1;
constexpr std::uint32_t kKeyValueKey = 1, kKeyValueValue = 2;
constexpr std::uint32_t kAnyArray = 5, kAnyMap = 6;
constexpr std::size_t kEncodedDepthMax = 32;

// Turns one JSON object into attributes at the end of an event's list.
class Reader {
 public:
  Reader(const JsonOptions& options, Event& event, Scratch& scratch)
      : options_(options), event_(event), scratch_(scratch) {}

  // nullptr: read; else what is wrong.
  const char* read(std::string_view text) {
    constexpr std::size_t kRoom = simdjson::SIMDJSON_PADDING;
    const std::string_view around = scratch_.readable;
    const bool inside =
        text.data() >= around.data() && text.data() + text.size() + kRoom <= around.data() + around.size();
    if (!inside) {
      char* const copy = event_.arena().allocate(text.size() + kRoom);
      std::memcpy(copy, text.data(), text.size());
      std::memset(copy + text.size(), ' ', kRoom);
      text = {copy, text.size()};
    }
    dom::element root;
    dom::object object;
    if (scratch_.json.next().parse(text.data(), text.size(), false).get(root) != simdjson::SUCCESS ||
        root.get_object().get(object) != simdjson::SUCCESS) {
      return "the text is no JSON object";
    }
    scratch_.text.assign(options_.prefix);
    read_object(object, 1);
    return problem_;
  }

 private:
  void read_object(const dom::object& object, std::uint32_t depth) {
    for (const dom::key_value_pair field : object) {
      if (field.value.is_object() && options_.flatten && depth < options_.depth_max) {
        const std::size_t before = scratch_.text.size();
        scratch_.text.append(field.key);
        scratch_.text += '.';
        read_object(field.value.get_object().value_unsafe(), depth + 1);
        scratch_.text.resize(before);
      } else {
        add(field);
      }
      if (problem_ != nullptr) {
        return;
      }
    }
  }

  void add(const dom::key_value_pair& field) {
    AnyValue value = scalar(field.value);
    if (field.value.is_object() || field.value.is_array()) {
      scratch_.encoded.clear();
      append_nested(field.value, 1);
      value.kind = field.value.is_object() ? AnyValue::Kind::kMap : AnyValue::Kind::kArray;
      value.bytes = event_.arena().copy(scratch_.encoded);
    }
    if (value.kind == AnyValue::Kind::kEmpty) {
      return;  // null: nothing to say
    }
    if (++fields_ > options_.fields_max) {
      problem_ = "the object has more fields than fields_max";
      return;
    }
    std::string_view name = field.key;
    if (!scratch_.text.empty()) {
      char* const full = event_.arena().allocate(scratch_.text.size() + name.size());
      std::memcpy(full, scratch_.text.data(), scratch_.text.size());
      std::memcpy(full + scratch_.text.size(), name.data(), name.size());
      name = {full, scratch_.text.size() + name.size()};
    }
    event_.attributes().add(name, value);
  }

  // kEmpty for null, objects and arrays.
  AnyValue scalar(const dom::element& json) {
    switch (json.type()) {
      case dom::element_type::STRING: return text_value(json.get_string().value_unsafe());
      case dom::element_type::INT64: return int_value(json.get_int64().value_unsafe());
      case dom::element_type::DOUBLE: return real_value(json.get_double().value_unsafe());
      case dom::element_type::BOOL: return bool_value(json.get_bool().value_unsafe());
      case dom::element_type::UINT64: {  // over 2^63: no digit may be lost
        char text[24];
        const auto end = std::to_chars(text, text + sizeof text, json.get_uint64().value_unsafe()).ptr;
        return text_value(event_.arena().copy({text, static_cast<std::size_t>(end - text)}));
      }
      default: return {};
    }
  }

  // The content of an ArrayValue or a KeyValueList.
  void append_nested(const dom::element& json, std::size_t depth) {
    if (depth > kEncodedDepthMax) {
      problem_ = "the object is nested too deeply";
      return;
    }
    if (json.is_array()) {
      for (const dom::element item : json.get_array().value_unsafe()) {
        append_any(item, kArrayValueValues, depth);
      }
      return;
    }
    for (const dom::key_value_pair field : json.get_object().value_unsafe()) {
      const std::size_t mark = otlp::begin_message_field(scratch_.encoded, kKeyValueListValues);
      otlp::append_bytes_field(scratch_.encoded, kKeyValueKey, field.key);
      append_any(field.value, kKeyValueValue, depth);
      otlp::end_message_field(scratch_.encoded, mark);
    }
  }

  void append_any(const dom::element& json, std::uint32_t field, std::size_t depth) {
    if (problem_ != nullptr) {
      return;
    }
    const std::size_t mark = otlp::begin_message_field(scratch_.encoded, field);
    if (json.is_object() || json.is_array()) {
      const std::size_t inner =
          otlp::begin_message_field(scratch_.encoded, json.is_object() ? kAnyMap : kAnyArray);
      append_nested(json, depth + 1);
      otlp::end_message_field(scratch_.encoded, inner);
    } else {
      append_value(scratch_.encoded, scalar(json));
    }
    otlp::end_message_field(scratch_.encoded, mark);
  }

  const JsonOptions& options_;
  Event& event_;
  Scratch& scratch_;
  const char* problem_ = nullptr;
  std::uint32_t fields_ = 0;
};

class JsonProcessor final : public Processor {
 public:
  JsonProcessor(JsonOptions options, std::uint32_t field) : options_(std::move(options)), field_(field) {}

  Outcome process(Event& event, Scratch& scratch) const override {
    const std::optional<std::string_view> text = event.text(field_);
    if (!text) {
      return scratch.fail("the field has no text");
    }
    AttributeList& attributes = event.attributes();
    const std::size_t before = attributes.size();
    if (const char* const problem = Reader(options_, event, scratch).read(*text)) {
      attributes.truncate(before);
      return scratch.fail(problem);
    }
    if (!options_.keep) {
      event.set(field_, {});
    }
    if (before > 0) {
      attributes.replace_older(before);
    }
    return Outcome::kDone;
  }

 private:
  JsonOptions options_;
  std::uint32_t field_;
};

}  // namespace

void describe(config::Schema<JsonOptions>& s) {
  s.field("field", &JsonOptions::field, "Field with the text.");
  s.field("prefix", &JsonOptions::prefix, "Put before the names of the new attributes.");
  s.field("flatten", &JsonOptions::flatten,
          "Objects inside become names with dots; false: they stay one attribute.");
  s.field("keep", &JsonOptions::keep, "Keep the text; false: it is removed once it was read.");
  s.field("fields_max", &JsonOptions::fields_max, "More fields than this are a failure.").min(1).max(10'000);
  s.field("depth_max", &JsonOptions::depth_max, "Objects nested deeper stay one attribute.").min(1).max(32);
}

std::unique_ptr<Processor> build(const JsonOptions& options, Builder& builder) {
  const std::uint32_t field =
      options.keep ? builder.field("field", options.field) : builder.target("field", options.field);
  return std::make_unique<JsonProcessor>(options, field);
}

}  // namespace naru::prepper
