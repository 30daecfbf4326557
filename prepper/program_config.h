// The configuration file of naru-prepper: the prepper's own settings at the top, and the program's
// connections.
#pragma once

#include <string>
#include <vector>

#include "core/bus/kafka/kafka_bus.h"
#include "core/net/http.h"
#include "core/net/http_client.h"
#include "core/net/tls.h"
#include "core/own_metrics/own_metrics.h"
#include "core/program/clusters.h"
#include "core/program/net_config.h"
#include "prepper/config.h"
#include "prepper/write/cluster_access.h"

namespace naru::prepper {

// A cluster that answers at several addresses; one is used until it does not answer.
struct OpenSearchConfig {
  std::vector<std::string> urls = {"http://127.0.0.1:9200"};
  net::TlsClientConfig tls;
  std::string user;
  std::string password;  // or password_file
  std::string token;     // or token_file
};

struct ProgramConfig : PrepperConfig {
  bus::KafkaBusConfig kafka;
  program::ClustersConfig clusters;
  OpenSearchConfig opensearch;
  std::string datasets_file;  // read by load_program_config()
  program::ListenerConfig admin{.address = "127.0.0.1:8082", .tls = {}, .insecure = false};
  own_metrics::OwnMetricsConfig own_metrics;
};

void describe(config::Schema<ProgramConfig>& schema);
void validate(const ProgramConfig& config, config::Errors& errors);
void describe(config::Schema<OpenSearchConfig>& schema);
void validate(const OpenSearchConfig& config, config::Errors& errors);

// Reads the files that `config` names: what is declared of data sets. Every program that uses one of its
// clusters does this before anything else.
Result<ProgramConfig> with_declaration(ProgramConfig config);
Result<ProgramConfig> load_program_config(const std::string& path);

// Connections to the cluster; those to any of its nodes each start at another address. kInvalidArgument: an
// address or a TLS file is unusable.
Result<ClusterAccess> opensearch_access(const OpenSearchConfig& config);

}  // namespace naru::prepper
