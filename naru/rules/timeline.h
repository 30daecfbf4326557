// Golden time lines of rules: NAME.test.yaml in the directory of rules. What comes when, and exactly which
// statuses change when.
//
//   tests:
//     - name: the 101st failure
//       lasts: 5m
//       records:
//         - {at: 0s, every: 500ms, times: 101, severity: 17, resource: {service.name: checkout}}
//       expect:
//         - {at: 50s, target: service.checkout, status: CRITICAL}
//         - {at: 2m, target: service.checkout, status: HEALTHY}
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/config/config.h"
#include "core/rules/rule.h"
#include "prepper/pipeline/pipeline.h"

namespace naru::timeline {

// `times` records, `every` so often from `at` on, `count` of them together.
struct Records {
  otlp::Signal signal = otlp::Signal::kLogs;
  std::chrono::milliseconds at{0};
  std::chrono::milliseconds every{1'000};
  std::uint32_t times = 1;
  std::uint32_t count = 1;
  std::chrono::milliseconds ahead{0};                       // of the sender's clock
  std::chrono::milliseconds behind{0};                      // likewise
  std::uint32_t sent = 1;                                   // how often the same records are sent
  std::map<std::string, std::string> resource, attributes;  // what looks like a number is one
  std::int32_t severity = 9;                                // logs
  std::string body;                                         // logs
  std::string name;                                         // traces, metrics
  std::chrono::milliseconds duration{1};                    // traces
  std::int32_t status_code = 0;                             // traces: 0 unset, 1 ok, 2 error
  double value = 0;                                         // metrics
};
struct Expected {
  std::chrono::milliseconds at{0};  // the second in which it is decided
  std::string target;
  rules::Level status = rules::Level::kHealthy;
};
struct Test {
  std::string name;
  std::chrono::seconds lasts{300};
  std::vector<Records> records;
  std::vector<Expected> expect;
};
struct Tests {
  std::vector<Test> tests;
};
void describe(config::Schema<Records>& s);
void describe(config::Schema<Expected>& s);
void describe(config::Schema<Test>& s);
void describe(config::Schema<Tests>& s);

// Lines "- expected" and "+ got"; empty: as expected. kInvalidArgument: the rules or the records.
Result<std::string> run(const Test& test, const std::shared_ptr<const rules::RuleSet>& rules,
                        const std::shared_ptr<const prepper::PipelineSet>& pipelines);

}  // namespace naru::timeline
