#include "prepper/pipeline/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "core/base/bytes.h"
#include "core/base/hash.h"
#include "prepper/pipeline/tap.h"
#include "prepper/processors/enrichment.h"

namespace naru::prepper {

Outcome Pipeline::run_step(const Step& step, Event& event, Scratch& scratch, bool& grew) const {
  try {
    return step.processor->process(event, scratch);
  } catch (const RecordGrew& grown) {
    grew = true;
    return scratch.fail(grown.what());
  } catch (const std::exception& thrown) {
    return scratch.fail(thrown.what());
  }
}

namespace {

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::kDone: return "done";
    case Outcome::kFailed: return "failed";
    case Outcome::kDrop: return "dropped";
    case Outcome::kMerged: return "merged";
  }
  return {};
}

std::string_view to_string(RunOutcome outcome) {
  switch (outcome) {
    case RunOutcome::kDocument: return "document";
    case RunOutcome::kDropped: return "dropped";
    case RunOutcome::kMerged: return "merged";
    case RunOutcome::kDeadLetter: return "dead letter";
  }
  return {};
}

}  // namespace

RunOutcome Pipeline::run(Event& event, Scratch& scratch, PipelineTally& tally) const {
  ++tally[first_slot_ + kRecords];
  if (scratch.tap != nullptr && scratch.tap->wants(tap_key_)) [[unlikely]] {
    return run_tapped(event, scratch, tally);
  }
  return run_steps(event, scratch, tally, {});
}

RunOutcome Pipeline::run_tapped(Event& event, Scratch& scratch, PipelineTally& tally) const {
  const std::string step = scratch.tap->step();
  if (!step.empty()) {
    return run_steps(event, scratch, tally, step);
  }
  std::optional<std::string> before = scratch.tap->before(event, *fields_, redacted_kinds_);
  const RunOutcome outcome = run_steps(event, scratch, tally, {});
  if (before) {
    scratch.tap->after(std::move(*before), outcome == RunOutcome::kDocument ? &event : nullptr,
                       to_string(outcome), redacted_kinds_);
  }
  return outcome;
}

// `tapped`: the name of a step that somebody looks at.
RunOutcome Pipeline::run_steps(Event& event, Scratch& scratch, PipelineTally& tally,
                               std::string_view tapped) const {
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    if (step.when && !step.when->matches(event)) {
      continue;
    }
    bool grew = false;
    std::optional<std::string> before;
    if (!tapped.empty() && step.name == tapped) [[unlikely]] {
      before = scratch.tap->before(event, *fields_, redacted_kinds_);
    }
    const Outcome outcome = run_step(step, event, scratch, grew);
    if (before) [[unlikely]] {
      const bool left = outcome == Outcome::kDone || outcome == Outcome::kFailed;
      scratch.tap->after(
          std::move(*before), left ? &event : nullptr,
          outcome == Outcome::kFailed ? "failed: " + scratch.reason : std::string(to_string(outcome)),
          redacted_kinds_);
    }
    if (outcome == Outcome::kDone) [[likely]] {
      continue;
    }
    if (outcome == Outcome::kDrop) {
      ++tally[first_slot_ + kDropped];
      return RunOutcome::kDropped;
    }
    if (outcome == Outcome::kMerged) {
      ++tally[first_slot_ + kMerged];
      return RunOutcome::kMerged;
    }
    ++tally[first_slot_ + kSlots + i];
    if (grew || step.on_error == OnError::kDeadLetter) {
      scratch.reason.insert(0, step.name + ": ");
      ++tally[first_slot_ + kDeadLettered];
      return RunOutcome::kDeadLetter;
    }
    if (step.on_error == OnError::kDrop) {
      ++tally[first_slot_ + kDropped];
      return RunOutcome::kDropped;
    }
    if (step.on_error == OnError::kMark &&
        event.attributes().find(kErrorAttribute, hash_name(kErrorAttribute)) < 0) {
      scratch.text.assign(step.name).append(": ").append(scratch.reason);
      event.attributes().add(kErrorAttribute, text_value(event.arena().copy(scratch.text)));
    }
  }
  return RunOutcome::kDocument;
}

void PipelineSet::add(const File& file, std::shared_ptr<EnrichmentStore>& tables, std::string& errors) {
  config::Report report(file.path);
  const config::Value root = config::parse_yaml(file.text, config::process_environment(), report);
  PipelineConfig config;
  const bool read = config::StructType(config::table_of<PipelineConfig>()).load(root, "", &config, report);
  auto pipeline = std::make_unique<Pipeline>();
  pipeline->name_ = config.name;
  pipeline->signal_ = config.source.signal;
  pipeline->record_bytes_max_ = config.limits.record_bytes_max;
  pipeline->first_slot_ = counters_.size();
  pipeline->tap_key_ = tap_key(config.name);
  pipeline->fields_ = &fields_;
  for (const char* what : {"records", "documents", "dropped", "merged", "deadlettered"}) {
    counters_.push_back({what, config.name, {}});
  }
  const std::string directory = std::filesystem::path(file.path).parent_path().string();
  const auto builder_at = [&](const config::Value& value, const std::string& path) {
    return Builder(config.source.signal, fields_, *tables, directory, config::Errors(value, path, report));
  };
  Builder top = builder_at(root, "");
  const auto condition = [](Builder& builder, std::string_view key, const std::string& text) {
    return text.empty() ? std::nullopt : builder.condition(key, text);
  };
  if (read && find(config.name) != nullptr) {
    top.error("name", fmt::format("another file has a pipeline '{}' already", config.name));
  }
  pipeline->filter_ = condition(top, "source.filter", config.source.filter);
  if (pipeline->filter_) {
    pipeline->filter_of_scope_ = std::ranges::all_of(
        pipeline->filter_->refs(), [&](std::uint32_t ref) { return is_of_scope(fields_.at(ref).kind); });
  }
  for (StepConfig& step : config.processors) {
    if (step.kind == nullptr) {
      continue;  // reported
    }
    Builder of_common = builder_at(step.common, step.path);
    Builder builder = builder_at(step.options, step.path);
    pipeline->steps_.push_back({step.name, condition(of_common, "when", step.when), step.on_error,
                                step.kind->build(step.options, step.path, report, builder)});
    if (const auto& processor = pipeline->steps_.back().processor) {
      pipeline->redacted_kinds_ |= processor->redacted_kinds();
    }
    counters_.push_back({"failures", config.name, step.name});
  }
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    const RouteConfig& route = config.routes[i];
    pipeline->routes_.push_back(
        {condition(top, fmt::format("routes[{}].when", i), route.when), route.dataset, route.proceed});
  }
  if (!report.empty()) {
    errors += (errors.empty() ? "" : "\n") + report.error().message();
    return;
  }
  record_bytes_max_ = std::max(record_bytes_max_, pipeline->record_bytes_max_);
  by_signal_[static_cast<std::size_t>(pipeline->signal_)].push_back(pipeline.get());
  pipelines_.push_back(std::move(pipeline));
}

Result<std::shared_ptr<const PipelineSet>> PipelineSet::compile(std::span<const File> files,
                                                                std::shared_ptr<EnrichmentStore> tables) {
  auto out = std::make_shared<PipelineSet>();
  std::string errors, texts;
  for (const File& file : files) {
    out->add(file, tables, errors);
    texts += file.text;
    texts += '\0';
  }
  if (!errors.empty()) {
    return fail(ErrorCode::kInvalidArgument, errors);
  }
  out->tables_ = std::move(tables);
  out->hash_ = to_hex(as_bytes(xxh3_128(texts)));
  return out;
}

Result<std::shared_ptr<const PipelineSet>> PipelineSet::load(const std::string& directory,
                                                             std::shared_ptr<EnrichmentStore> tables) {
  std::error_code error;
  std::vector<std::string> paths;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    const std::string path = at->path().string();
    if (path.ends_with(".yaml") && !path.ends_with(".test.yaml")) {
      paths.push_back(path);
    }
  }
  if (error) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: {}; check the directory of pipelines", directory, error.message()));
  }
  std::ranges::sort(paths);
  std::vector<File> files;
  for (const std::string& path : paths) {
    NARU_TRY(std::string text, config::read_config_file(path));
    files.push_back({path, std::move(text)});
  }
  return compile(files, std::move(tables));
}

bool Pipeline::has_step(std::string_view name) const {
  return std::ranges::find(steps_, name, &Step::name) != steps_.end();
}

std::string Pipeline::step_names() const {
  std::string out;
  for (const Step& step : steps_) {
    out += (out.empty() ? "" : ", ") + step.name;
  }
  return out;
}

std::string PipelineSet::names() const {
  std::string out;
  for (const auto& pipeline : pipelines_) {
    out += (out.empty() ? "" : ", ") + pipeline->name();
  }
  return out;
}

const Pipeline* PipelineSet::find(std::string_view name) const {
  const auto found =
      std::ranges::find(pipelines_, name, [](const auto& one) -> const std::string& { return one->name(); });
  return found == pipelines_.end() ? nullptr : found->get();
}

}  // namespace naru::prepper
