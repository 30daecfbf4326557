// Keeps the running pipelines those of their directory: compiles it at the start and when it changes, and
// keeps enrichment tables fresh.
//
// A reload is a transaction: what does not compile is refused as a whole, says why and changes nothing; what
// does is swapped in when no record is between the old set and its commit (see Consumer::at_rest). One thread
// of its own.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/base/periodic.h"
#include "core/base/result.h"
#include "core/telemetry/health.h"
#include "core/telemetry/metrics.h"
#include "prepper/pipeline/pipeline.h"

namespace naru::prepper {

struct ReloaderConfig {
  std::string directory;
  std::chrono::milliseconds look_every{1'000};
};

class PipelineReloader {
 public:
  // Calls its argument while no record is between decoding and commit; an error: it was not called.
  using AtRest = std::function<Result<void>(const std::function<void()>&)>;

  PipelineReloader(ReloaderConfig config, std::shared_ptr<PipelineSource> source,
                   telemetry::Registry& registry, telemetry::Health& health);

  // Compiles the directory and makes it the source's set. kInvalidArgument, kNotFound, kIo.
  Result<void> load();
  void start(AtRest at_rest);
  void stop();

 private:
  void look();

  ReloaderConfig config_;
  std::shared_ptr<PipelineSource> source_;
  std::shared_ptr<EnrichmentStore> tables_;
  telemetry::Health& health_;
  telemetry::Counter reloads_, refused_;
  telemetry::Gauge broken_tables_;
  AtRest at_rest_;
  std::string stamp_;    // of the files that were last compiled, good or bad
  std::string waiting_;  // why a good set is not in yet
  std::optional<Periodic> looks_;
};

}  // namespace naru::prepper
