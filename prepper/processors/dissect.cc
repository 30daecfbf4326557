#include "prepper/processors/dissect.h"

#include <fmt/format.h>

#include "prepper/processors/convert.h"
#include "prepper/processors/text_processor.h"

namespace naru::prepper {
namespace {

// A part and the delimiter behind it; the last part may have none and takes the rest.
struct Part {
  std::optional<std::uint32_t> target;  // nullopt: skipped
  std::optional<Conversion> type;
  bool padded = false;  // the delimiter may be repeated
  std::string delimiter;
};

class DissectProcessor final : public TextProcessor {
 public:
  DissectProcessor(std::uint32_t field, std::string lead, std::vector<Part> parts)
      : TextProcessor(field), lead_(std::move(lead)), parts_(std::move(parts)) {}

 protected:
  Outcome read(std::string_view text, Event& event, Scratch& scratch) const override {
    if (!text.starts_with(lead_)) {
      return scratch.fail("the text does not begin as the pattern does");
    }
    text.remove_prefix(lead_.size());
    std::vector<std::string_view>& found = scratch.parts;
    found.clear();
    for (const Part& part : parts_) {
      const std::size_t end = part.delimiter.empty() ? text.size() : text.find(part.delimiter);
      if (end == std::string_view::npos) {
        return scratch.fail("a delimiter of the pattern is missing in the text");
      }
      found.push_back(text.substr(0, end));
      text.remove_prefix(end + part.delimiter.size());
      while (part.padded && !part.delimiter.empty() && text.starts_with(part.delimiter)) {
        text.remove_prefix(part.delimiter.size());
      }
    }
    if (!text.empty()) {
      return scratch.fail("the text goes on behind the pattern");
    }
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      if (!parts_[i].target) {
        continue;
      }
      AnyValue value = text_value(found[i]);
      if (parts_[i].type) {
        value = convert(value, *parts_[i].type, event.arena()).value_or(value);
      }
      event.set(*parts_[i].target, value);
    }
    return Outcome::kDone;
  }

 private:
  std::string lead_;
  std::vector<Part> parts_;
};

}  // namespace

void describe(config::Schema<DissectOptions>& s) {
  s.field("field", &DissectOptions::field, "Field with the text.");
  s.field("pattern", &DissectOptions::pattern,
          "Parts %{name} between fixed texts; %{name:int} converts, %{name->} skips repeats of the text "
          "behind it, %{} "
          "leaves a part out.")
      .required()
      .min(1);
  s.field("prefix", &DissectOptions::prefix, "Put before the names of the new attributes.");
}

std::unique_ptr<Processor> build(const DissectOptions& options, Builder& builder) {
  std::string_view rest = options.pattern;
  std::size_t open = rest.find("%{");
  if (open == std::string_view::npos) {
    builder.error("pattern", "the pattern has no part; write one such as %{name}");
    return nullptr;
  }
  const std::string lead(rest.substr(0, open));
  std::vector<Part> parts;
  while (open != std::string_view::npos) {
    rest.remove_prefix(open + 2);
    const std::size_t close = rest.find('}');
    if (close == std::string_view::npos) {
      builder.error("pattern", "%{ without its }");
      return nullptr;
    }
    std::string_view name = rest.substr(0, close);
    rest.remove_prefix(close + 1);
    open = rest.find("%{");
    Part part;
    part.delimiter = rest.substr(0, open);
    if (part.delimiter.empty() && open != std::string_view::npos) {
      builder.error("pattern",
                    fmt::format("no text between %{{{}}} and the next part: where would it end?", name));
    }
    if (name.ends_with("->")) {
      part.padded = true;
      name.remove_suffix(2);
    }
    if (const std::size_t colon = name.rfind(':'); colon != std::string_view::npos) {
      part.type = conversion(name.substr(colon + 1));
      if (!part.type) {
        builder.error("pattern", fmt::format("'{}' names no type; write int, double, bool or text", name));
      }
      name = name.substr(0, colon);
    }
    if (!name.empty() && !name.starts_with('?')) {
      part.target = builder.attribute(options.prefix + std::string(name));
    }
    parts.push_back(std::move(part));
  }
  return std::make_unique<DissectProcessor>(builder.field("field", options.field), lead, std::move(parts));
}

}  // namespace naru::prepper
