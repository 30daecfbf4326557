// naru-alerting: counts failures over the stream of logs and publishes status events.
#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <string>

#include "alerting/alerting.h"
#include "alerting/program_config.h"
#include "core/bus/kafka/kafka_bus.h"
#include "core/program/kafka_config.h"
#include "core/program/service.h"

namespace naru::alerting {
namespace {

class AlertingService final : public program::Service {
 public:
  static Result<std::unique_ptr<program::Service>> start(const ProgramConfig& config,
                                                         program::ServiceContext& context) {
    bus::KafkaBusConfig kafka = config.kafka;
    kafka.metrics = &context.registry;
    auto service = std::make_unique<AlertingService>();
    NARU_TRY(service->bus_, bus::make_kafka_bus(kafka));
    service->alerting_ =
        std::make_unique<Alerting>(config.alerting(), *service->bus_, context.registry, context.health);
    NARU_TRY_VOID(service->alerting_->start());
    return service;
  }

  std::string stop(std::chrono::milliseconds) override {
    alerting_->stop();  // ends within the drain limit by itself
    const std::size_t left = alerting_->unpublished();
    return left == 0
               ? std::string("every status event is published")
               : fmt::format("{} status events are not published; the next start finds them again", left);
  }

 private:
  std::unique_ptr<bus::Bus> bus_;
  std::unique_ptr<Alerting> alerting_;
};

}  // namespace
}  // namespace naru::alerting

int main(int argc, char** argv) {
  using naru::alerting::AlertingService;
  using naru::alerting::ProgramConfig;
  return naru::program::run_service<ProgramConfig>(
      argc, argv,
      {.name = "naru-alerting",
       .description = "Counts failures over the stream of logs and publishes status events on Kafka."},
      [](const ProgramConfig& config) { return config.admin.server(); }, &AlertingService::start);
}
