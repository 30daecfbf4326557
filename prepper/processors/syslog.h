// Processor `syslog`: RFC 5424 and RFC 3164 texts.
#pragma once

#include <memory>
#include <string>

#include "prepper/processors/builder.h"
#include "prepper/processors/processor.h"

namespace naru::prepper {

struct SyslogOptions {
  std::string field = "body";
  std::string prefix = "syslog.";
  bool set_body = true;
};
void describe(config::Schema<SyslogOptions>& s);
std::unique_ptr<Processor> build(const SyslogOptions& options, Builder& builder);

}  // namespace naru::prepper
