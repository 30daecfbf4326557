#include "prepper/processors/redact.h"

#include <fmt/format.h>
#include <openssl/hmac.h>

#include <array>
#include <iterator>

#include "core/base/bytes.h"
#include "core/otlp/wire.h"

namespace naru::prepper {
namespace {

using Kind = AnyValue::Kind;

constexpr std::size_t kHashBytes = 8;  // shown, as hexadecimal
constexpr std::size_t kKeyBytesMin = 16;
constexpr std::uint32_t kArrayValues = 1, kMapValues = 1, kEntryKey = 1, kEntryValue = 2;  // common/v1
constexpr std::uint32_t kAnyArray = 5, kAnyMap = 6;
constexpr std::size_t kDepthMax = 64;

class RedactProcessor final : public Processor {
 public:
  // No fields: the body and every attribute.
  RedactProcessor(std::vector<std::uint32_t> fields, std::optional<std::uint32_t> body, unsigned kinds,
                  RedactMode mode, std::string key)
      : fields_(std::move(fields)), body_(body), kinds_(kinds), mode_(mode), key_(std::move(key)) {}

  Outcome process(Event& event, Scratch& scratch) const override {
    for (const std::uint32_t field : fields_) {
      redact_field(field, event, scratch);
    }
    if (!fields_.empty()) {
      return Outcome::kDone;
    }
    if (body_) {
      redact_field(*body_, event, scratch);
    }
    AttributeList& attributes = event.attributes();
    for (std::size_t i = 0; i < attributes.size(); ++i) {
      redact_value(attributes[i].value, event, scratch);
    }
    return Outcome::kDone;
  }

  unsigned redacted_kinds() const override { return kinds_; }

 private:
  void redact_field(std::uint32_t field, Event& event, Scratch& scratch) const {
    AnyValue value = event.get(field);
    if (redact_value(value, event, scratch)) {
      event.set(field, value);
    }
  }

  bool redact_value(AnyValue& value, Event& event, Scratch& scratch) const {
    if (value.kind == Kind::kString) {
      scratch.hits.clear();
      find_pii(value.bytes, kinds_, scratch.hits);
      if (scratch.hits.empty()) [[likely]] {
        return false;
      }
      scratch.text.clear();
      replace(value.bytes, scratch);
      value.bytes = event.arena().copy(scratch.text);
      return true;
    }
    if (value.kind == Kind::kInt) {  // a number may be a card or a resident number as well
      constexpr std::int64_t kShortest = 1'000'000'000'000;  // of 13 digits
      if (value.integer < kShortest) {
        return false;
      }
      char digits[24];
      const std::string_view text(
          digits, static_cast<std::size_t>(fmt::format_to(digits, "{}", value.integer) - digits));
      scratch.hits.clear();
      find_pii(text, kinds_, scratch.hits);
      if (scratch.hits.empty()) {
        return false;
      }
      scratch.text.clear();
      replace(text, scratch);
      value = text_value(event.arena().copy(scratch.text));
      return true;
    }
    if (value.kind == Kind::kArray || value.kind == Kind::kMap) {
      scratch.encoded.clear();
      if (!rewrite(value.kind, value.bytes, scratch, 0)) {
        return false;
      }
      value.bytes = event.arena().copy(scratch.encoded);
      return true;
    }
    return false;
  }

  // `text` with its hits replaced, behind scratch.text.
  void replace(std::string_view text, Scratch& scratch) const {
    std::size_t from = 0;
    for (const PiiHit& hit : scratch.hits) {
      scratch.text += text.substr(from, hit.begin - from);
      scratch.text += '[';
      scratch.text += to_string(hit.kind);
      if (mode_ == RedactMode::kHash) {
        std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
        unsigned size = 0;
        const std::string_view secret = text.substr(hit.begin, hit.end - hit.begin);
        HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
             reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), digest.data(), &size);
        scratch.text += ':';
        scratch.text += to_hex({reinterpret_cast<const char*>(digest.data()), kHashBytes});
      }
      scratch.text += ']';
      from = hit.end;
    }
    scratch.text += text.substr(from);
  }

  // The content of an array or a map, redacted, behind scratch.encoded. Whether anything changed.
  bool rewrite(Kind kind, std::string_view bytes, Scratch& scratch, std::size_t depth) const {
    bool changed = false;
    otlp::Messages items(bytes, kind == Kind::kArray ? kArrayValues : kMapValues);
    while (items.next()) {
      const std::size_t mark = otlp::begin_message_field(scratch.encoded, 1);
      if (kind == Kind::kArray) {
        changed |= rewrite_any(items.bytes(), scratch, depth);
      } else {
        otlp::KeyValue entry;
        otlp::parse(items.bytes(), entry);
        otlp::append_bytes_field(scratch.encoded, kEntryKey, entry.key);
        const std::size_t inner = otlp::begin_message_field(scratch.encoded, kEntryValue);
        changed |= rewrite_any(entry.value, scratch, depth);
        otlp::end_message_field(scratch.encoded, inner);
      }
      otlp::end_message_field(scratch.encoded, mark);
    }
    return changed;
  }

  bool rewrite_any(std::string_view encoded, Scratch& scratch, std::size_t depth) const {
    AnyValue value;
    if (!otlp::parse(encoded, value)) {
      return false;
    }
    if (value.kind == Kind::kString) {
      scratch.hits.clear();
      find_pii(value.bytes, kinds_, scratch.hits);
      if (!scratch.hits.empty()) {
        scratch.text.clear();
        replace(value.bytes, scratch);
        append_value(scratch.encoded, text_value(scratch.text));
        return true;
      }
    } else if ((value.kind == Kind::kArray || value.kind == Kind::kMap) && depth < kDepthMax) {
      const std::size_t mark =
          otlp::begin_message_field(scratch.encoded, value.kind == Kind::kArray ? kAnyArray : kAnyMap);
      const bool changed = rewrite(value.kind, value.bytes, scratch, depth + 1);
      otlp::end_message_field(scratch.encoded, mark);
      return changed;
    }
    scratch.encoded += encoded;
    return false;
  }

  std::vector<std::uint32_t> fields_;
  std::optional<std::uint32_t> body_;
  unsigned kinds_;
  RedactMode mode_;
  std::string key_;
};

}  // namespace

void describe(config::Schema<RedactOptions>& s) {
  s.field("fields", &RedactOptions::fields,
          "Fields to search; empty: the body and every attribute, nested values too.")
      .max(256);
  s.field("kinds", &RedactOptions::kinds,
          "What to look for: email, card (Luhn), ip, phone (E.164, Korean, North American), resident_number "
          "(Korean), token "
          "(JWT, Bearer, keys of AWS, GitHub, GitLab, Slack).")
      .min(1)
      .max(kPiiKinds);
  s.choice("mode", &RedactOptions::mode,
           "mask: [email]; hash: [email:1a2b...], equal values stay equal (HMAC-SHA-256 with `key`).",
           {{"mask", RedactMode::kMask}, {"hash", RedactMode::kHash}});
  s.secret("key", &RedactOptions::key, "Key of the hashes.");
}

std::unique_ptr<Processor> build(const RedactOptions& options, Builder& builder) {
  unsigned kinds = 0;
  for (const std::string& name : options.kinds) {
    unsigned bit = 0;
    for (std::size_t i = 0; i < kPiiKinds; ++i) {
      bit |= to_string(static_cast<Pii>(i)) == name ? 1U << i : 0;
    }
    if (bit == 0) {
      builder.error(
          "kinds",
          fmt::format("'{}' is not known; write email, card, ip, phone, resident_number or token", name));
    }
    kinds |= bit;
  }
  if (options.mode == RedactMode::kHash && options.key.size() < kKeyBytesMin) {
    builder.error("key",
                  "hashes of personal data without a secret can be guessed; give at least 16 characters");
  }
  std::optional<std::uint32_t> body;
  if (builder.signal() == otlp::Signal::kLogs) {
    body = builder.field("fields", "body");
  }
  return std::make_unique<RedactProcessor>(builder.targets("fields", options.fields), body, kinds,
                                           options.mode, options.key);
}

}  // namespace naru::prepper
