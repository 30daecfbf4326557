// Golden cases of a pipeline: NAME.test.yaml beside NAME.yaml. What goes in, and exactly what must come out.
//
//   cases:
//     - name: a request
//       resource: {service.name: nginx}
//       input: ['127.0.0.1 - - [...] "GET / HTTP/1.1" 200 12 "-" "curl/8"']
//       documents: ['{"_dataset":"nginx","@timestamp":...}']
//       metrics: {records: 1, documents: 1}
//
// Runs the prepper's own encoder with the declared contracts; does no I/O but reading and writing these
// files.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/config/config.h"
#include "prepper/bootstrap/mappings.h"

namespace naru::golden {

struct Case {
  std::string name;
  std::map<std::string, std::string> resource;
  std::string received = "2026-01-02T03:04:05Z";
  std::vector<std::string> input;  // bodies of logs
  std::string request;             // or a whole OTLP/JSON request
  std::vector<std::string> documents;
  std::vector<std::string> dead_letters;
  std::map<std::string, std::uint64_t> metrics;
};
struct Cases {
  std::vector<Case> cases;
};
void describe(config::Schema<Case>& s);
void describe(config::Schema<Cases>& s);

// What came out, in the words of a Case.
struct Outcome {
  std::vector<std::string> documents;
  std::vector<std::string> dead_letters;
  std::map<std::string, std::uint64_t> metrics;
};

// kInvalidArgument: the pipeline, or the case's input.
Result<Outcome> run_case(const std::string& pipeline_path, const std::string& pipeline_text, const Case& one,
                         const prepper::Mappings& mappings);

// Lines "- expected" and "+ got" for what differs; empty: nothing. Documents are compared as JSON.
std::string differences(const Case& expected, const Outcome& got);

// The file again, with `outcomes` (one per case) in the places of what was expected.
std::string to_yaml(const Cases& cases, const std::vector<Outcome>& outcomes);

}  // namespace naru::golden
