#include "core/own_metrics/own_metrics.h"

#include <utility>

#include "core/base/clock.h"
#include "core/base/host.h"
#include "core/telemetry/log.h"

namespace naru::own_metrics {

using namespace std::chrono_literals;

namespace {

constexpr std::string_view kComponent = "own-metrics";
constexpr std::chrono::milliseconds kAnswerTimeout{5'000};

net::HttpClientConfig client_of(const OwnMetricsConfig& config) {
  net::HttpClientConfig client;
  client.url = config.collector;
  client.tls = config.tls;
  client.bearer_token = config.token;
  client.connect_timeout = kAnswerTimeout;
  return client;
}

}  // namespace

void describe(config::Schema<OwnMetricsConfig>& s) {
  s.field("collector", &OwnMetricsConfig::collector,
          "URL of the collector that takes them, such as http://127.0.0.1:4318; empty: none does.");
  s.field("tls", &OwnMetricsConfig::tls, "TLS to it.");
  s.secret("token", &OwnMetricsConfig::token, "Token that goes as Authorization: Bearer.");
  s.field("every", &OwnMetricsConfig::every, "How often they are sent.").min(1s).max(1h);
  s.field("dataset", &OwnMetricsConfig::dataset, "Data set that they are filed in (data_stream.dataset).")
      .min(1);
  s.field("instance", &OwnMetricsConfig::instance,
          "What tells this process from others (service.instance.id); empty: the name of the host.");
}

void validate(const OwnMetricsConfig& config, config::Errors& errors) {
  if (!config.collector.empty()) {
    if (const auto made = net::make_http_client(client_of(config)); !made) {
      errors.add("collector", made.error().message());
    }
  }
}

Result<std::unique_ptr<OwnMetrics>> OwnMetrics::start(const OwnMetricsConfig& config,
                                                      const std::string& program,
                                                      telemetry::Registry& registry) {
  if (config.collector.empty()) {
    return std::unique_ptr<OwnMetrics>();
  }
  Result<std::unique_ptr<net::HttpTransport>> transport = net::make_http_client(client_of(config));
  if (!transport) {
    return fail(transport.error().with_context("own_metrics.collector"));
  }
  return std::make_unique<OwnMetrics>(config, program, std::move(*transport), registry);
}

OwnMetrics::OwnMetrics(const OwnMetricsConfig& config, const std::string& program,
                       std::unique_ptr<net::HttpTransport> transport, telemetry::Registry& registry)
    : config_(config),
      transport_(std::move(transport)),
      registry_(registry),
      sent_(registry.counter("naru_own_metrics_requests_total",
                             "Requests with this process's own metrics that a collector took.")),
      failed_(registry.counter("naru_own_metrics_failures_total",
                               "Attempts to send own metrics that no collector took.")),
      encoder_({{"service.name", program},
                {"service.instance.id", config.instance.empty() ? host_name("unknown") : config.instance},
                {"host.name", host_name("unknown")},
                {"data_stream.dataset", config.dataset}},
               wall_now()) {
  encoder_.begin_at(registry_.collect());
  sender_.emplace(config_.every, [this] { round(); });
}

void OwnMetrics::round() {
  if (pending_.empty()) {
    pending_ = encoder_.encode(registry_.collect(), wall_now());
  }
  if (send()) {
    pending_.clear();
  }
}

bool OwnMetrics::send() {
  net::HttpRequest request;
  request.method = "POST";
  request.target = "/v1/metrics";
  request.headers.set("Content-Type", "application/x-protobuf");
  request.body = pending_;
  const Result<net::HttpResponse> answer = transport_->exchange(std::move(request), kAnswerTimeout);
  const bool taken = answer && answer->status == 200;
  (taken ? sent_ : failed_).add();
  // What is refused for good would be refused again.
  const bool refused = answer && answer->status >= 400 && answer->status < 500 && answer->status != 429;
  if (taken) {
    complained_ = false;
  } else if (!std::exchange(complained_, true)) {
    telemetry::log_warn(kComponent, "the collector {} does not take the metrics of this process{}: {}",
                        config_.collector, refused ? "" : ", they are sent again",
                        answer ? std::to_string(answer->status) + " " + answer->body.substr(0, 200)
                               : answer.error().message());
  }
  return taken || refused;
}

}  // namespace naru::own_metrics
