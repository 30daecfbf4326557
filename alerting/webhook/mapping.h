// What an alert of somebody else's alerting says about which target: configuration, applied. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "alerting/status/status.h"
#include "alerting/webhook/alert.h"
#include "core/base/result.h"

namespace naru::alerting {

// The first mapping whose labels all fit decides.
struct MappingConfig {
  std::map<std::string, std::string> match;  // label -> text, or a RE2 expression between slashes; empty: all
  std::string target;                        // text with labels; empty: the label `target`, else `alertname`
  std::optional<Status> level;               // empty: by `level_label`
  std::string level_label = "severity";
  std::map<std::string, std::string> levels = {
      {"critical", "CRITICAL"}, {"page", "CRITICAL"}, {"warning", "CAUTION"}, {"info", "HEALTHY"}};
  bool ignore = false;  // such alerts move nothing
};

struct Mapped {
  std::string target;
  Status level = Status::kHealthy;
};

class Mapping {
 public:
  // kInvalidArgument names the entry.
  static Result<Mapping> compile(const std::vector<MappingConfig>& config);

  // nullopt: the alert moves nothing. What the alert says itself (generic) goes before.
  std::optional<Mapped> map(const Alert& alert) const;

 private:
  std::vector<MappingConfig> entries_;
};

Result<void> check_mapping(const MappingConfig& mapping);

}  // namespace naru::alerting
