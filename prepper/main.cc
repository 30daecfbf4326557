// naru-prepper: wires the prepper to its configuration file, Kafka and OpenSearch.
#include <fmt/format.h>
#include <malloc.h>

#include "core/base/host.h"
#include "core/program/clusters.h"
#include "core/program/service.h"
#include "prepper/prepper.h"
#include "prepper/program_config.h"

namespace naru::prepper {
namespace {

class PrepperService final : public program::Service {
 public:
  PrepperService(const ProgramConfig& config, std::unique_ptr<bus::Bus> bus, std::vector<OtherBus> others,
                 ClusterAccess opensearch, program::ServiceContext& context)
      : bus_(std::move(bus)),
        prepper_(config, *bus_, std::move(opensearch), context.registry, context.health, std::move(others)) {}

  Result<void> start(const ProgramConfig& config, telemetry::Registry& registry) {
    NARU_TRY_VOID(prepper_.start());
    NARU_TRY(own_metrics_, own_metrics::OwnMetrics::start(config.own_metrics, "naru-prepper", registry));
    return {};
  }
  bool answer(net::HttpRequest& request, net::Responder& respond) {
    return prepper_.answer(request, respond);
  }

  std::string stop(std::chrono::milliseconds drain) override {
    const std::size_t left = prepper_.stop(drain);
    const Progress progress = prepper_.progress();
    return fmt::format(
        "{} documents written, {} were there already, {} messages are read again at the next start",
        progress.created, progress.duplicates, left);
  }

 private:
  std::unique_ptr<bus::Bus> bus_;
  Prepper prepper_;
  std::unique_ptr<own_metrics::OwnMetrics> own_metrics_;
};

Result<std::unique_ptr<program::Service>> start(const ProgramConfig& loaded,
                                                program::ServiceContext& context) {
  NARU_TRY(ProgramConfig config, with_declaration(loaded));
  if (config.count.instance.empty()) {
    config.count.instance = fmt::format("{}-{}", host_name("localhost"), config.admin.address);
  }
  NARU_TRY(ClusterAccess opensearch, opensearch_access(config.opensearch));
  bus::KafkaBusConfig kafka = config.kafka;
  kafka.metrics = &context.registry;
  std::unique_ptr<bus::Bus> bus;
  std::vector<OtherBus> others;
  if (config.clusters.more.empty()) {
    NARU_TRY(bus, bus::make_kafka_bus(kafka));
  } else {
    NARU_TRY(auto clusters, program::make_cluster_bus(kafka, config.clusters, context.registry));
    for (std::size_t i = 1; i < clusters->size(); ++i) {
      others.push_back({clusters->name(i), &clusters->cluster(i)});
    }
    bus = std::move(clusters);
  }
  auto service = std::make_unique<PrepperService>(config, std::move(bus), std::move(others),
                                                  std::move(opensearch), context);
  NARU_TRY_VOID(service->start(config, context.registry));
  context.admin_extra = [raw = service.get()](net::HttpRequest& request, net::Responder& respond) {
    return raw->answer(request, respond);
  };
  return service;
}

}  // namespace
}  // namespace naru::prepper

int main(int argc, char** argv) {
  // Bulk requests come and go at a few MiB each: kept in the heap instead of mapped and faulted in anew.
  mallopt(M_MMAP_THRESHOLD, 64 << 20);
  mallopt(M_TRIM_THRESHOLD, 128 << 20);
  return naru::program::run_service<naru::prepper::ProgramConfig>(
      argc, argv,
      {"naru-prepper", "Turns OTLP records on Kafka into documents and writes them to OpenSearch."},
      [](const naru::prepper::ProgramConfig& config) { return config.admin.server(); }, naru::prepper::start);
}
