#include "prepper/pipeline/reloader.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "core/telemetry/log.h"
#include "prepper/processors/enrichment.h"

namespace naru::prepper {
namespace {

// Of every file that load() reads: another text when any was changed, added or removed.
std::string stamp_of(const std::string& directory) {
  std::error_code error;
  std::vector<std::string> lines;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    const std::string path = at->path().string();
    struct stat info{};
    if (path.ends_with(".yaml") && !path.ends_with(".test.yaml") && ::stat(path.c_str(), &info) == 0) {
      lines.push_back(fmt::format("{} {} {} {}.{}\n", path, info.st_ino, info.st_size, info.st_mtim.tv_sec,
                                  info.st_mtim.tv_nsec));
    }
  }
  std::ranges::sort(lines);
  std::string out;
  for (const std::string& line : lines) {
    out += line;
  }
  return out;
}

}  // namespace

PipelineReloader::PipelineReloader(ReloaderConfig config, std::shared_ptr<PipelineSource> source,
                                   telemetry::Registry& registry, telemetry::Health& health)
    : config_(std::move(config)),
      source_(std::move(source)),
      tables_(std::make_shared<EnrichmentStore>()),
      health_(health),
      reloads_(registry.counter("naru_pipelines_reloads_total", "Sets of pipelines that were swapped in.")),
      refused_(registry.counter("naru_pipelines_refused_total",
                                "Changed pipelines that do not compile; the ones before go on.")),
      broken_tables_(
          registry.gauge("naru_pipelines_broken_tables",
                         "Enrichment files that cannot be read; their last good version is used.")) {}

Result<void> PipelineReloader::load() {
  stamp_ = stamp_of(config_.directory);
  NARU_TRY(auto set, PipelineSet::load(config_.directory, tables_));
  telemetry::log_info("prepper", "{} pipelines of {}", set->size(), config_.directory);
  source_->swap_in(std::move(set));
  return {};
}

void PipelineReloader::start(AtRest at_rest) {
  at_rest_ = std::move(at_rest);
  looks_.emplace(config_.look_every, [this] { look(); });
}

void PipelineReloader::stop() {
  looks_.reset();
}

void PipelineReloader::look() {
  broken_tables_.set(static_cast<double>(tables_->refresh()));
  const std::vector<std::string> problems = tables_->problems();
  health_.set("prepper enrichment tables", problems.empty(),
              problems.empty() ? "" : problems.front() + "; its last good version is used");
  const std::string stamp = stamp_of(config_.directory);
  if (stamp == stamp_) {
    return;
  }
  auto set = PipelineSet::load(config_.directory, tables_);
  if (!set) {
    stamp_ = stamp;
    refused_.add();
    telemetry::log_error("prepper", "the changed pipelines are refused, those before go on:\n{}",
                         set.error().message());
    health_.set("prepper pipelines", false, "the changed pipelines are refused: " + set.error().message());
    return;
  }
  // A change back to what runs needs no rest.
  const std::shared_ptr<const PipelineSet> running = source_->current();
  Result<void> swapped;
  if (running == nullptr || running->hash() != (*set)->hash()) {
    swapped = at_rest_([&] { source_->swap_in(*set); });
  }
  if (!swapped) {
    if (waiting_ != swapped.error().message()) {
      waiting_ = swapped.error().message();
      telemetry::log_warn("prepper", "the changed pipelines wait, those before go on: {}", waiting_);
    }
    health_.set("prepper pipelines", false, "the changed pipelines wait: " + waiting_);
    return;  // tried again at the next look
  }
  stamp_ = stamp;
  waiting_.clear();
  reloads_.add();
  health_.set("prepper pipelines", true);
  telemetry::log_info("prepper", "{} pipelines of {} are in", (*set)->size(), config_.directory);
}

}  // namespace naru::prepper
