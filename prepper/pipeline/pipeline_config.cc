#include "prepper/pipeline/pipeline_config.h"

#include <fmt/format.h>

#include <algorithm>

#include "prepper/process/index_name.h"

namespace naru::prepper {
namespace {

struct CommonOptions {
  std::string name;
  std::string when;
  OnError on_error = OnError::kMark;
};

void describe(config::Schema<CommonOptions>& s) {
  s.field("name", &CommonOptions::name, "Name of the step in metrics and `naru tap`; empty: its kind.");
  s.field("when", &CommonOptions::when, "Only records for which this expression is true; empty: all.");
  s.choice(
      "on_error", &CommonOptions::on_error,
      "What becomes of a record that the step cannot work on: it goes on with attribute naru.pipeline_error, "
      "becomes a dead letter, is dropped, or goes on as it is.",
      {{"mark", OnError::kMark},
       {"dead_letter", OnError::kDeadLetter},
       {"drop", OnError::kDrop},
       {"ignore", OnError::kIgnore}});
}

std::string kind_names() {
  std::string out;
  for (const ProcessorKind& kind : processor_kinds()) {
    out += fmt::format("{}{}", out.empty() ? "" : ", ", kind.name);
  }
  return out;
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

// `- kind: {options}`.
class StepType final : public config::Type {
 public:
  bool load(const config::Value& value, const std::string& path, void* out,
            config::Report& report) const override {
    auto& step = *static_cast<StepConfig*>(out);
    using Kind = config::Value::Kind;
    if (value.kind == Kind::kBroken) {
      return false;
    }
    const bool word = value.kind == Kind::kScalar;  // `- drop`
    if (!word && (value.kind != Kind::kMap || value.entries.size() != 1)) {
      report.add(value.place, path,
                 "is no step; write one processor and its options, such as `json: {field: body}`");
      return false;
    }
    const std::string& name = word ? value.text : value.entries[0].key;
    step.kind = find_processor_kind(name);
    if (step.kind == nullptr) {
      report.add(value.place, path,
                 fmt::format("there is no processor '{}'; there are {}", name, kind_names()));
      return false;
    }
    config::Value options = word ? config::Value{} : value.entries[0].value;
    options.place = word ? value.place : options.place;
    if (options.kind != Kind::kNull && options.kind != Kind::kMap) {
      report.add(options.place, config::join_path(path, name),
                 "is no section; write its options as key: value");
      return false;
    }
    config::Value common = options;
    const auto is_common = [](const config::Value::Entry& entry) {
      return std::ranges::any_of(config::table_of<CommonOptions>().fields,
                                 [&](const config::Field& field) { return field.key == entry.key; });
    };
    std::erase_if(options.entries, is_common);
    std::erase_if(common.entries, std::not_fn(is_common));
    CommonOptions read;
    if (!config::StructType(config::table_of<CommonOptions>())
             .load(common, config::join_path(path, name), &read, report)) {
      return false;
    }
    options.kind = Kind::kMap;
    step.name = read.name.empty() ? name : read.name;
    step.when = read.when;
    step.on_error = read.on_error;
    step.options = std::move(options);
    step.common = std::move(common);
    step.path = config::join_path(path, name);
    if (!is_name(step.name)) {
      report.add(value.place, path, "name: lower-case letters, digits, - and _ only, at most 64");
      return false;
    }
    return true;
  }
  std::string show(const void*) const override { return {}; }
  std::string name() const override { return "processor"; }
  void append_json_schema(std::string& out, const config::Limits&, const void*) const override {
    out += R"({"type":["object","string"]})";
  }
};

}  // namespace

std::string step_reference() {
  return config::reference_markdown<CommonOptions>();
}

void describe(config::Schema<SourceConfig>& s) {
  s.choice("signal", &SourceConfig::signal, "Records of this signal's topic.",
           {{"logs", otlp::Signal::kLogs},
            {"metrics", otlp::Signal::kMetrics},
            {"traces", otlp::Signal::kTraces}});
  s.field("filter", &SourceConfig::filter, "Only records for which this expression is true; empty: all.");
}

void describe(config::Schema<RouteConfig>& s) {
  s.field("when", &RouteConfig::when,
          "Only records for which this expression is true; empty: all that come here.");
  s.field("dataset", &RouteConfig::dataset, "Data set that the document goes to.")
      .required()
      .check([](const std::string& name) -> Result<void> {
        if (normal_dataset(name) != name) {
          return fail(ErrorCode::kInvalidArgument, "is no data set; write lower-case letters, digits and _");
        }
        return {};
      });
  s.field("continue", &RouteConfig::proceed, "Later routes may take the record too.");
}

void describe(config::Schema<PipelineLimits>& s) {
  s.bytes("record_bytes_max", &PipelineLimits::record_bytes_max,
          "What processors may make of one record; more makes it a dead letter.")
      .min(64u << 10)
      .max(64u << 20);
}

void describe(config::Schema<PipelineConfig>& s) {
  s.field("name", &PipelineConfig::name, "Name in metrics, dead letters and `naru tap`.")
      .required()
      .check([](const std::string& name) -> Result<void> {
        if (!is_name(name)) {
          return fail(ErrorCode::kInvalidArgument,
                      "may hold lower-case letters, digits, - and _ only, at most 64");
        }
        return {};
      });
  s.field("description", &PipelineConfig::description, "For people.");
  s.field("source", &PipelineConfig::source, "Which records the pipeline takes.");
  s.custom("processors", &PipelineConfig::processors, "Steps, in their order.",
           std::make_shared<config::ListType<StepConfig>>(std::make_shared<StepType>()))
      .max(256);
  s.field("routes", &PipelineConfig::routes,
          "Data sets, in their order: the first that matches takes the document. What none takes goes to the "
          "data set of "
          "its resource.")
      .max(256);
  s.field("limits", &PipelineConfig::limits, "Bounds.");
}

}  // namespace naru::prepper
