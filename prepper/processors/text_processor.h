// A processor that reads one text field.
#pragma once

#include <utility>

#include "prepper/processors/processor.h"

namespace naru::prepper {

class TextProcessor : public Processor {
 public:
  explicit TextProcessor(std::uint32_t field) : field_(field) {}
  Outcome process(Event& event, Scratch& scratch) const final {
    const std::optional<std::string_view> text = event.text(field_);
    return text ? read(*text, event, scratch) : scratch.fail("the field has no text");
  }

 protected:
  virtual Outcome read(std::string_view text, Event& event, Scratch& scratch) const = 0;
  const std::uint32_t field_;
};

// Sets attribute prefix + name. With an empty prefix the name is not copied: it must live as long as the
// record.
inline void set_attribute(Event& event, std::string_view prefix, std::string_view name,
                          const AnyValue& value) {
  if (!prefix.empty()) {
    char* const full = event.arena().allocate(prefix.size() + name.size());
    std::memcpy(full, prefix.data(), prefix.size());
    std::memcpy(full + prefix.size(), name.data(), name.size());
    name = {full, prefix.size() + name.size()};
  }
  event.attributes().set(name, hash_name(name), value);
}

}  // namespace naru::prepper
