// naru-collector: wires the collector to Kafka, its listeners and the admin listener.
#include <fmt/format.h>

#include "collector/collector.h"
#include "collector/program_config.h"
#include "core/bus/kafka/kafka_bus.h"
#include "core/net/grpc_server.h"
#include "core/net/http_server.h"
#include "core/program/clusters.h"
#include "core/program/service.h"

namespace naru::collector {
namespace {

class CollectorService final : public program::Service {
 public:
  static Result<std::unique_ptr<program::Service>> start(const ProgramConfig& config,
                                                         program::ServiceContext& context) {
    auto service = std::make_unique<CollectorService>();
    bus::KafkaBusConfig kafka = config.kafka;
    kafka.metrics = &context.registry;
    if (config.clusters.more.empty()) {
      NARU_TRY(service->bus_, bus::make_kafka_bus(kafka));
    } else {
      NARU_TRY(auto clusters, program::make_cluster_bus(kafka, config.clusters, context.registry));
      service->follower_ = std::make_unique<program::RouteFollower>(config.clusters.follow, *clusters);
      service->bus_ = std::move(clusters);
    }
    service->collector_ =
        std::make_unique<Collector>(config, *service->bus_, context.registry, context.health);
    NARU_TRY_VOID(service->collector_->start());
    NARU_TRY_VOID(service->listen(config, context));
    NARU_TRY(service->own_metrics_,
             own_metrics::OwnMetrics::start(config.own_metrics, "naru-collector", context.registry));
    return service;
  }

  std::string stop(std::chrono::milliseconds drain) override {
    const auto until = std::chrono::steady_clock::now() + drain;
    const auto left = [&] {
      return std::max(std::chrono::milliseconds(0), std::chrono::duration_cast<std::chrono::milliseconds>(
                                                        until - std::chrono::steady_clock::now()));
    };
    if (grpc_ != nullptr) {
      grpc_->stop(left());
    }
    if (http_ != nullptr) {
      http_->stop(left());
    }
    if (syslog_ != nullptr) {
      syslog_->stop(left());
    }
    const Collector::Progress before = collector_->progress();
    collector_->stop(left());
    return fmt::format("{} records delivered, {} requests unanswered, {} wait in the spill",
                       before.records_delivered, before.requests_in_flight, before.spilled_requests);
  }

 private:
  Result<void> listen(const ProgramConfig& config, program::ServiceContext& context) {
    if (!config.otlp_grpc.address.empty()) {
      NARU_TRY(grpc_, net::GrpcServer::start(config.grpc_server(), collector_->grpc_handler()));
      context.listening("otlp-grpc", grpc_->endpoint());
    }
    if (!config.otlp_http.address.empty()) {
      NARU_TRY(http_, net::HttpServer::start(config.http_server(), collector_->http_handler()));
      context.listening("otlp-http", http_->endpoint());
    }
    if (!config.syslog.address.empty()) {
      NARU_TRY(syslog_, SyslogListener::start(config.syslog_listener(), collector_->syslog_handler(),
                                              context.registry));
      context.listening("syslog-udp", syslog_->endpoint());
      context.listening("syslog-tcp", syslog_->endpoint());
    }
    return {};
  }

  // In the order in which they are made; destroyed the other way round.
  std::unique_ptr<bus::Bus> bus_;
  std::unique_ptr<program::RouteFollower> follower_;
  std::unique_ptr<Collector> collector_;
  std::unique_ptr<net::GrpcServer> grpc_;
  std::unique_ptr<net::HttpServer> http_;
  std::unique_ptr<SyslogListener> syslog_;
  std::unique_ptr<own_metrics::OwnMetrics> own_metrics_;
};

}  // namespace
}  // namespace naru::collector

int main(int argc, char** argv) {
  using naru::collector::CollectorService;
  using naru::collector::ProgramConfig;
  return naru::program::run_service<ProgramConfig>(
      argc, argv,
      {.name = "naru-collector",
       .description =
           "Receives OTLP and syslog, gives records their identity and makes them durable in Kafka."},
      [](const ProgramConfig& config) { return config.admin.server(); }, &CollectorService::start);
}
