// A pipeline as its YAML file says it. Compiled by pipeline.h.
//
//   name: nginx
//   source: {signal: logs, filter: 'resource.attributes["service.name"] == "nginx"'}
//   processors:
//     - grok: {patterns: ["%{COMBINEDAPACHELOG}"]}
//     - drop: {when: 'attributes["url.original"] == "/health"'}
//   routes:
//     - {when: 'severity.number >= 17', dataset: nginx_errors, continue: true}
//     - {dataset: nginx}
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/config/config.h"
#include "core/otlp/otlp.h"
#include "prepper/processors/registry.h"

namespace naru::prepper {

// What becomes of a record whose step failed.
enum class OnError : std::uint8_t {
  kMark,        // it goes on with attribute naru.pipeline_error
  kDeadLetter,  // it becomes a dead letter
  kDrop,        // it is dropped
  kIgnore,      // it goes on
};

// One element of `processors`: the kind, the options common to all kinds, and the kind's own.
struct StepConfig {
  const ProcessorKind* kind = nullptr;
  std::string name;
  std::string when;
  OnError on_error = OnError::kMark;
  config::Value options;  // without the common ones
  config::Value common;
  std::string path;  // of the options in the file
};

struct SourceConfig {
  otlp::Signal signal = otlp::Signal::kLogs;
  std::string filter;
};

struct RouteConfig {
  std::string when;
  std::string dataset;
  bool proceed = false;
};

struct PipelineLimits {
  std::uint64_t record_bytes_max = 8u << 20;
};

struct PipelineConfig {
  std::string name;
  std::string description;
  SourceConfig source;
  std::vector<StepConfig> processors;
  std::vector<RouteConfig> routes;
  PipelineLimits limits;
};
void describe(config::Schema<PipelineConfig>& s);

// The options common to all processors as a table of the reference page.
std::string step_reference();

}  // namespace naru::prepper
