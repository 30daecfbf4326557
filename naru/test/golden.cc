#include "naru/test/golden.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>

#include "core/otlp/build.h"
#include "core/otlp/json.h"
#include "prepper/pipeline/pipeline.h"
#include "prepper/process/offline_encoder.h"
#include "prepper/processors/enrichment.h"

namespace naru::golden {
namespace {

using prepper::PipelineSet;

Result<std::string> request_of(const Case& one, otlp::Signal signal, UnixNanos received) {
  if (!one.request.empty()) {
    return otlp::request_from_json(signal, one.request);
  }
  if (signal != otlp::Signal::kLogs) {
    return fail(ErrorCode::kInvalidArgument, "`input` makes logs; give spans and metrics as `request`");
  }
  std::string resource;
  for (const auto& [key, value] : one.resource) {
    otlp::append_string_attribute(resource, otlp::kResourceAttributes, key, value);
  }
  otlp::LogsBuilder builder;
  builder.begin_resource(resource);
  builder.begin_scope({}, 0);
  for (const std::string& body : one.input) {
    builder.add(0, received, body);
  }
  return builder.take();
}

// The same JSON for the same content: members sorted, no blanks.
void append_canonical(std::string& out, simdjson::dom::element element) {
  if (element.is_object()) {
    std::vector<simdjson::dom::key_value_pair> members;
    for (const simdjson::dom::key_value_pair member : element.get_object().value_unsafe()) {
      members.push_back(member);
    }
    std::ranges::sort(members, {}, &simdjson::dom::key_value_pair::key);
    out += '{';
    for (const auto& member : members) {
      out += fmt::format("\"{}\":", member.key);
      append_canonical(out, member.value);
      out += ',';
    }
    out += '}';
  } else if (element.is_array()) {
    out += '[';
    for (const simdjson::dom::element item : element.get_array().value_unsafe()) {
      append_canonical(out, item);
      out += ',';
    }
    out += ']';
  } else {
    out += simdjson::minify(element);
  }
}

std::string canonical(const std::string& json) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.parse(json).get(root) != simdjson::SUCCESS) {
    return json;
  }
  std::string out;
  append_canonical(out, root);
  return out;
}

void compare(std::string& out, std::string_view what, const std::vector<std::string>& expected,
             const std::vector<std::string>& got, bool json) {
  for (std::size_t i = 0; i < std::max(expected.size(), got.size()); ++i) {
    const bool both = i < expected.size() && i < got.size();
    if (both && (json ? canonical(expected[i]) == canonical(got[i]) : expected[i] == got[i])) {
      continue;
    }
    if (i < expected.size()) {
      out += fmt::format("    {}[{}] - {}\n", what, i, expected[i]);
    }
    if (i < got.size()) {
      out += fmt::format("    {}[{}] + {}\n", what, i, got[i]);
    }
  }
}

std::string yaml_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    out += c == '\'' ? "''" : std::string(1, c);
  }
  return out + "'";
}

// A text behind its key or dash: quoted on one line, or a literal block.
void append_text(std::string& out, std::string_view text, std::string_view indent) {
  const bool block = text.find('\n') != std::string_view::npos && !text.starts_with(' ') &&
                     std::ranges::none_of(text, [](char c) { return c == '\t' || c == '\r'; });
  if (!block) {
    if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < ' '; })) {
      out += '"';
      for (const char c : text) {
        out += static_cast<unsigned char>(c) < ' ' ? fmt::format("\\x{:02x}", c)
               : c == '"' || c == '\\'             ? fmt::format("\\{}", c)
                                                   : std::string(1, c);
      }
      out += "\"\n";
      return;
    }
    out += yaml_quoted(text) + "\n";
    return;
  }
  out += text.ends_with('\n') ? "|\n" : "|-\n";
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    out += fmt::format("{}{}\n", end > 0 ? indent : "", text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void append_list(std::string& out, std::string_view key, const std::vector<std::string>& items) {
  if (items.empty()) {
    return;
  }
  out += fmt::format("    {}:\n", key);
  for (const std::string& item : items) {
    out += "      - ";
    append_text(out, item, "        ");
  }
}

template <class Value>
void append_map(std::string& out, std::string_view key, const std::map<std::string, Value>& items) {
  if (items.empty()) {
    return;
  }
  out += fmt::format("    {}: {{", key);
  bool first = true;
  for (const auto& [name, value] : items) {
    out += fmt::format("{}{}: ", first ? "" : ", ", name);
    if constexpr (std::is_same_v<Value, std::string>) {
      out += yaml_quoted(value);
    } else {
      out += std::to_string(value);
    }
    first = false;
  }
  out += "}\n";
}

}  // namespace

void describe(config::Schema<Case>& s) {
  s.field("name", &Case::name, "What the case shows.").required();
  s.field("resource", &Case::resource, "Attributes of the resource, as texts.");
  s.field("received", &Case::received, "When the records were received, RFC 3339.");
  s.field("input", &Case::input, "Bodies of log records.");
  s.field("request", &Case::request, "Instead of `input`: an OTLP/JSON request.");
  s.field("documents", &Case::documents,
          "Documents that must come out, JSON, with their data set as `_dataset`.");
  s.field("dead_letters", &Case::dead_letters, "Reasons of the dead letters that must come out.");
  s.field("metrics", &Case::metrics,
          "Counts of the pipeline that are not 0: records, documents, dropped, deadlettered, "
          "failures.STEP.");
}

void describe(config::Schema<Cases>& s) {
  s.field("cases", &Cases::cases, "Cases.").required().min(1);
}

Result<Outcome> run_case(const std::string& pipeline_path, const std::string& pipeline_text, const Case& one,
                         const prepper::Mappings& mappings) {
  const PipelineSet::File file{pipeline_path, pipeline_text};
  NARU_TRY(auto set, PipelineSet::compile({&file, 1}, std::make_shared<prepper::EnrichmentStore>()));
  otlp::Signal signal = otlp::Signal::kLogs;
  for (const otlp::Signal each : otlp::kSignals) {
    signal = set->of(each).empty() ? signal : each;
  }
  NARU_TRY(const UnixNanos received, parse_rfc3339(one.received));
  NARU_TRY(std::string value, request_of(one, signal, received));

  prepper::OfflineEncoder encoder(set, [&](otlp::Signal of) { return mappings.contracts.at(of); });
  prepper::OfflineEncoder::Output output = encoder.encode(signal, std::move(value), received);
  Outcome out;
  out.dead_letters = std::move(output.dead_letters);
  for (const auto& document : output.documents) {
    out.documents.push_back(
        fmt::format(R"({{"_dataset":"{}",{})", document.dataset, document.json.substr(1)));
  }
  for (std::size_t i = 0; i < output.tally.size(); ++i) {
    const prepper::PipelineCounter& counter = set->counters()[i];
    if (output.tally[i] > 0) {
      out.metrics[counter.step.empty() ? counter.what : counter.what + "." + counter.step] += output.tally[i];
    }
  }
  return out;
}

std::string differences(const Case& expected, const Outcome& got) {
  std::string out;
  compare(out, "documents", expected.documents, got.documents, true);
  compare(out, "dead_letters", expected.dead_letters, got.dead_letters, false);
  std::vector<std::string> wanted, found;
  for (const auto& [name, value] : expected.metrics) {
    wanted.push_back(fmt::format("{}: {}", name, value));
  }
  for (const auto& [name, value] : got.metrics) {
    found.push_back(fmt::format("{}: {}", name, value));
  }
  compare(out, "metrics", wanted, found, false);
  return out;
}

std::string to_yaml(const Cases& cases, const std::vector<Outcome>& outcomes) {
  std::string out = "cases:\n";
  for (std::size_t i = 0; i < cases.cases.size(); ++i) {
    const Case& one = cases.cases[i];
    out += fmt::format("  - name: {}\n", yaml_quoted(one.name));
    append_map(out, "resource", one.resource);
    if (one.received != Case{}.received) {
      out += fmt::format("    received: {}\n", yaml_quoted(one.received));
    }
    append_list(out, "input", one.input);
    if (!one.request.empty()) {
      out += "    request: ";
      append_text(out, one.request, "      ");
    }
    append_list(out, "documents", outcomes[i].documents);
    append_list(out, "dead_letters", outcomes[i].dead_letters);
    append_map(out, "metrics", outcomes[i].metrics);
  }
  return out;
}

}  // namespace naru::golden
