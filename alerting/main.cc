// naru-alerting: decides by rules and alerts which targets are well, publishes it, and switches their routes.
#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <string>

#include "alerting/alerting.h"
#include "alerting/program_config.h"
#include "console/assets.h"
#include "core/bus/clusters/cluster_watch.h"
#include "core/bus/kafka/kafka_bus.h"
#include "core/program/clusters.h"
#include "core/program/service.h"

namespace naru::alerting {
namespace {

// How often each of several clusters is asked whether it answers.
constexpr std::chrono::milliseconds kAskEvery{500};

class AlertingService final : public program::Service {
 public:
  static Result<std::unique_ptr<program::Service>> start(const ProgramConfig& config,
                                                         program::ServiceContext& context) {
    bus::KafkaBusConfig kafka = config.kafka;
    kafka.metrics = &context.registry;
    auto service = std::make_unique<AlertingService>();
    std::vector<ControlCluster> clusters;
    if (config.clusters.more.empty()) {
      NARU_TRY(service->bus_, bus::make_kafka_bus(kafka));
      clusters = only_cluster(config.clusters.name, *service->bus_);
    } else {
      program::ClustersConfig several;
      static_cast<program::ClusterList&>(several) = config.clusters;
      NARU_TRY(auto all, program::make_cluster_bus(kafka, several, context.registry));
      service->watch_ = std::make_unique<bus::ClusterWatch>(
          all->size(), kAskEvery, [raw = all.get()](std::size_t number) { return raw->answers(number); });
      for (std::size_t i = 0; i < all->size(); ++i) {
        clusters.push_back({.name = all->name(i),
                            .bus = &all->cluster(i),
                            .probe = &all->probe(i),
                            .reach = [watch = service->watch_.get(), i] { return watch->reach(i); }});
      }
      service->bus_ = std::move(all);
    }
    service->alerting_ =
        std::make_unique<Alerting>(config, std::move(clusters), context.registry, context.health);
    NARU_TRY_VOID(service->alerting_->start());
    NARU_TRY(service->own_metrics_,
             own_metrics::OwnMetrics::start(config.own_metrics, "naru-alerting", context.registry));
    context.admin_extra = [raw = service->alerting_.get()](net::HttpRequest& request,
                                                           net::Responder& respond) {
      if (raw->answer(request, respond)) {
        return true;
      }
      // The page of alerts, for which this program needs no console beside it.
      auto page = request.method == "GET" ? console::serve(request.path()) : std::nullopt;
      if (page && request.path() != "/") {
        respond(std::move(*page));
        return true;
      }
      return false;
    };
    return service;
  }

  std::string stop(std::chrono::milliseconds) override {
    const bool led = alerting_->leads();
    alerting_->stop();
    return led ? "another instance leads from here on" : "it stood by";
  }

 private:
  std::unique_ptr<bus::Bus> bus_;
  std::unique_ptr<bus::ClusterWatch> watch_;
  std::unique_ptr<Alerting> alerting_;
  std::unique_ptr<own_metrics::OwnMetrics> own_metrics_;
};

}  // namespace
}  // namespace naru::alerting

int main(int argc, char** argv) {
  using naru::alerting::AlertingService;
  using naru::alerting::ProgramConfig;
  return naru::program::run_service<ProgramConfig>(
      argc, argv,
      {.name = "naru-alerting",
       .description = "Decides by rules and alerts which targets are well, tells it on Kafka, and switches "
                      "their routes."},
      [](const ProgramConfig& config) { return config.admin.server(); }, &AlertingService::start);
}
