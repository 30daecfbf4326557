// Processor `date`: the record's time from a text.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "prepper/processors/builder.h"
#include "prepper/processors/processor.h"

namespace naru::prepper {

struct DateOptions {
  std::string field;
  std::vector<std::string> formats = {"iso8601"};
  std::string zone = "UTC";
  std::string target = "time";
  bool keep = true;
};
void describe(config::Schema<DateOptions>& s);
std::unique_ptr<Processor> build(const DateOptions& options, Builder& builder);

}  // namespace naru::prepper
