#include "collector/program_config.h"

#include "core/config/address.h"
#include "core/program/kafka_config.h"

namespace naru::collector {
namespace {

Result<void> check_optional_address(const std::string& text) {
  return text.empty() ? Result<void>{} : config::check_address(text);
}

void check_listener(const std::string& key, const std::string& address,
                    const config::BindProtection& protection, config::Errors& errors) {
  if (address.empty()) {
    return;
  }
  if (const auto allowed = config::check_bind(address, protection); !allowed) {
    errors.add(key, allowed.error().message());
  }
}

}  // namespace

net::HttpServerConfig ProgramConfig::http_server() const {
  net::HttpServerConfig out;
  out.address = otlp_http.address;
  out.tls = otlp_http.tls;
  out.threads = otlp_http.threads;
  out.body_bytes_max = otlp_http.request_bytes_max;
  return out;
}

net::GrpcServerConfig ProgramConfig::grpc_server() const {
  net::GrpcServerConfig out;
  out.address = otlp_grpc.address;
  out.tls = otlp_grpc.tls;
  out.message_bytes_max = otlp_grpc.request_bytes_max;
  out.retry_delay = retry_after;
  return out;
}

SyslogListenerConfig ProgramConfig::syslog_listener() const {
  SyslogListenerConfig out;
  out.address = syslog.address;
  out.message_bytes_max = syslog.message_bytes_max;
  out.connections_max = syslog.connections_max;
  return out;
}

void describe(config::Schema<OtlpListenerConfig>& schema) {
  schema
      .field("address", &OtlpListenerConfig::address,
             "host:port to listen on; port 0 picks a free one, empty opens none.")
      .check(check_optional_address);
  schema.field("tls", &OtlpListenerConfig::tls, "TLS of this listener.");
  schema.field("insecure", &OtlpListenerConfig::insecure,
               "Accept that other machines reach this listener without TLS and authentication.");
  schema
      .bytes("request_bytes_max", &OtlpListenerConfig::request_bytes_max,
             "Largest request after decompression.")
      .min(1u << 20)
      .max(64u << 20);
  schema.field("threads", &OtlpListenerConfig::threads, "Threads of the HTTP listener; gRPC brings its own.")
      .min(1)
      .max(64);
}

void describe(config::Schema<SyslogConfig>& schema) {
  schema
      .field("address", &SyslogConfig::address,
             "host:port for UDP and TCP; port 0 picks a free one, empty opens none.")
      .check(check_optional_address);
  schema.field(
      "insecure", &SyslogConfig::insecure,
      "Accept that other machines reach this listener: syslog has neither TLS nor authentication here.");
  schema.bytes("message_bytes_max", &SyslogConfig::message_bytes_max, "Longer messages are cut and counted.")
      .min(480)
      .max(800'000);
  schema
      .field("connections_max", &SyslogConfig::connections_max,
             "TCP connections; further ones are closed at once.")
      .min(1);
}

void describe(config::Schema<ProgramConfig>& schema) {
  const auto own = []<class M>(M CollectorConfig::* member) {
    return static_cast<M ProgramConfig::*>(member);
  };
  schema.field("kafka", &ProgramConfig::kafka, "The Kafka cluster that takes the records.");
  schema.field("clusters", &ProgramConfig::clusters,
               "Further Kafka clusters, for when the first one fails or is said to.");
  schema.field("otlp_grpc", &ProgramConfig::otlp_grpc, "Listener of OTLP over gRPC.");
  schema.field("otlp_http", &ProgramConfig::otlp_http, "Listener of OTLP over HTTP, protobuf and JSON.");
  schema.field("syslog", &ProgramConfig::syslog, "Listener of syslog over UDP and TCP.");
  schema.field("admin", &ProgramConfig::admin, "Listener of /metrics, /livez and /readyz.");
  schema.field("own_metrics", &ProgramConfig::own_metrics,
               "This process's own metrics, sent to a collector.");
  schema.field("authentication", own(&CollectorConfig::authentication),
               "Who may send; nothing listed: everybody, and loopback peers count as agents.");
  schema.field("topics", own(&CollectorConfig::topics), "Kafka topics of the three signals.");
  schema.field("spill", own(&CollectorConfig::spill), "Buffer on disk for senders that cannot wait.");
  describe_limits(schema, own);
}

void validate(const ProgramConfig& config, config::Errors& errors) {
  const auto protection = [&](const OtlpListenerConfig& listener) {
    return config::BindProtection{
        .tls = listener.tls.enabled,
        .authentication = config.authentication.configured() || !listener.tls.client_ca_file.empty(),
        .insecure = listener.insecure};
  };
  check_listener("otlp_grpc.address", config.otlp_grpc.address, protection(config.otlp_grpc), errors);
  check_listener("otlp_http.address", config.otlp_http.address, protection(config.otlp_http), errors);
  check_listener("syslog.address", config.syslog.address,
                 {.tls = false, .authentication = false, .insecure = config.syslog.insecure}, errors);
}

}  // namespace naru::collector
