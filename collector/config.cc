#include "collector/config.h"

namespace naru::collector {
namespace {

const config::Choices<Role>& roles() {
  static const config::Choices<Role> kRoles = {{"agent", Role::kAgent}, {"client", Role::kClient}};
  return kRoles;
}

}  // namespace

const std::string& TopicsConfig::of(otlp::Signal signal) const {
  switch (signal) {
    case otlp::Signal::kMetrics: return metrics;
    case otlp::Signal::kTraces: return traces;
    case otlp::Signal::kLogs: break;
  }
  return logs;
}

void describe(config::Schema<TokenConfig>& schema) {
  schema.secret("token", &TokenConfig::token, "Bearer token that a sender shows.").required();
  schema.choice("role", &TokenConfig::role,
                "What the sender may do: only agents keep their record identities.", roles());
}

void describe(config::Schema<BasicConfig>& schema) {
  schema.field("user", &BasicConfig::user, "User name of HTTP basic authentication.").required();
  schema.secret("password", &BasicConfig::password, "Its password.").required();
  schema.choice("role", &BasicConfig::role, "What the sender may do.", roles());
}

void describe(config::Schema<CertificateConfig>& schema) {
  schema
      .field("identity", &CertificateConfig::identity,
             "Name in a verified client certificate (subject alternative name, else common name), or * for "
             "every one.")
      .required();
  schema.choice("role", &CertificateConfig::role, "What the sender may do.", roles());
}

void describe(config::Schema<AuthenticationConfig>& schema) {
  schema.field("tokens", &AuthenticationConfig::tokens, "Bearer tokens.");
  schema.field("basic", &AuthenticationConfig::basic, "Users with passwords.");
  schema.field("certificates", &AuthenticationConfig::certificates,
               "Client certificates (needs tls.client_ca_file).");
}

void describe(config::Schema<TopicsConfig>& schema) {
  schema.field("logs", &TopicsConfig::logs, "Kafka topic of log records.").min(1);
  schema.field("metrics", &TopicsConfig::metrics, "Kafka topic of metrics.").min(1);
  schema.field("traces", &TopicsConfig::traces, "Kafka topic of spans.").min(1);
  schema
      .field("dead_letters", &TopicsConfig::dead_letters,
             "Kafka topic of records that Kafka refuses for their own fault.")
      .min(1);
}

void describe(config::Schema<SpillConfig>& schema) {
  schema
      .field("directory", &SpillConfig::directory,
             "Where records of senders that are no agents are kept while Kafka is away; empty: they are "
             "asked to wait.")
      .example("/var/lib/naru/collector/spill");
  schema
      .bytes("bytes_max", &SpillConfig::bytes_max,
             "Disk that the spill may take; over it senders are asked to wait.")
      .min(64 << 20);
  schema.field("after", &SpillConfig::after, "How long a request may wait for Kafka before it is spilled.")
      .min(std::chrono::milliseconds(1));
  schema.field("retry_max", &SpillConfig::retry_max, "Longest pause between attempts to drain the spill.")
      .min(std::chrono::milliseconds(10));
  schema
      .bytes(
          "drain_bytes", &SpillConfig::drain_bytes,
          "Bytes under way from the spill to Kafka at a time; the rest of kafka.producer_bytes_max stays for "
          "new records.")
      .min(64 << 10)
      .max(64 << 20);
  schema
      .field("fsync_interval", &SpillConfig::fsync_interval,
             "Least time from one fsync of the spill to the next under load; an idle spill syncs at once.")
      .min(std::chrono::milliseconds(0))
      .max(std::chrono::milliseconds(1000));
  schema
      .bytes("fsync_bytes", &SpillConfig::fsync_bytes, "So many waiting bytes are synced without that pause.")
      .min(1)
      .max(64 << 20);
  schema
      .field("keys_max", &SpillConfig::keys_max,
             "Resources with records in the spill that are told apart; over it new records of every resource "
             "queue behind the spill.")
      .min(1)
      .max(10'000'000);
}

}  // namespace naru::collector
