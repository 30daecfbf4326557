// Processor `redact`: personal data in texts is masked or replaced by a keyed hash.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "prepper/processors/builder.h"
#include "prepper/processors/pii.h"
#include "prepper/processors/processor.h"

namespace naru::prepper {

enum class RedactMode : std::uint8_t { kMask, kHash };
struct RedactOptions {
  std::vector<std::string> fields;
  std::vector<std::string> kinds = {"email", "card", "ip", "phone", "resident_number", "token"};
  RedactMode mode = RedactMode::kMask;
  std::string key;
};
void describe(config::Schema<RedactOptions>& s);
std::unique_ptr<Processor> build(const RedactOptions& options, Builder& builder);

}  // namespace naru::prepper
