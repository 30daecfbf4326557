#include "prepper/program_config.h"

#include <atomic>
#include <memory>
#include <utility>

#include "core/base/check.h"
#include "core/config/config.h"
#include "core/program/kafka_config.h"
#include "prepper/count/record_counter.h"
#include "prepper/pipeline/pipeline.h"
#include "prepper/processors/enrichment.h"
#include "prepper/write/failover_transport.h"

namespace naru::prepper {

using namespace std::chrono_literals;

void describe(config::Schema<TopicsConfig>& s) {
  s.field("logs", &TopicsConfig::logs, "Topic of OTLP log requests.");
  s.field("metrics", &TopicsConfig::metrics, "Topic of OTLP metric requests.");
  s.field("traces", &TopicsConfig::traces, "Topic of OTLP trace requests.");
  s.field("dead_letters", &TopicsConfig::dead_letters, "Topic that dead letters are written to.");
}

void describe(config::Schema<PipelinesConfig>& s) {
  s.field("directory", &PipelinesConfig::directory,
          "Directory of pipelines (*.yaml); empty: records become documents as they are.");
  s.field("look_every", &PipelinesConfig::look_every,
          "How often changed pipelines and tables are looked for.")
      .min(100ms);
  s.field("rest_max", &PipelinesConfig::rest_max,
          "Changed pipelines go in once everything in flight is durable; after this the ones before go on.")
      .min(1s);
}

void describe(config::Schema<ConsumeConfig>& s) {
  s.field("group", &ConsumeConfig::group, "Consumer group; all preppers of one platform share it.");
  s.field("concurrency", &ConsumeConfig::concurrency,
          "Threads that turn records into documents; may be more than there are partitions.")
      .min(1)
      .max(64);
  s.choice("order", &ConsumeConfig::order,
           "key: records of one Kafka key are worked on in their order; none: in any order.",
           {{"none", Order::kNone}, {"key", Order::kKey}});
  s.bytes("bytes_max", &ConsumeConfig::bytes_max,
          "Consumed bytes and their documents that may be unfinished; over it reading pauses.")
      .min(16u << 20);
  s.bytes("partition_bytes_max", &ConsumeConfig::partition_bytes_max,
          "Likewise of one partition, so that one that is stuck does not stop the others.")
      .min(1u << 20);
  s.field("messages_max", &ConsumeConfig::messages_max,
          "Messages of one partition between the oldest unfinished and the newest.")
      .min(1024);
  s.field("commit_interval", &ConsumeConfig::commit_interval, "How often positions are stored.")
      .min(100ms)
      .max(1min);
}

void describe(config::Schema<TimeConfig>& s) {
  s.field("older_max", &TimeConfig::older_max,
          "A record older than this against its observed time gets that time, and is marked.");
  s.field("newer_max", &TimeConfig::newer_max, "Likewise for a record from the future.");
}

void describe(config::Schema<BulkConfig>& s) {
  s.field("writers", &BulkConfig::writers,
          "Bulk requests in flight at most; how many of them go to one node follows its answers.")
      .min(1)
      .max(64);
  s.bytes("batch_bytes", &BulkConfig::batch_bytes, "Size of a bulk request, at first and at least.")
      .min(64u << 10)
      .max(64u << 20);
  s.bytes("batch_bytes_max", &BulkConfig::batch_bytes_max,
          "It grows up to this while the cluster takes more bytes a second for it.")
      .min(64u << 10)
      .max(64u << 20);
  s.field("discovery", &BulkConfig::discovery,
          "Ask the cluster for its nodes and write to those with data or ingest role; false: only to "
          "opensearch.urls, "
          "as behind a load balancer.");
  s.field("zone", &BulkConfig::zone,
          "Nodes of this zone come first, those of others when it has none that answers.");
  s.field("backfill_after", &BulkConfig::backfill_after,
          "Records received longer ago than this are a backfill, written at its rate.");
  s.bytes("backfill_bytes_per_second", &BulkConfig::backfill_bytes_per_second,
          "Rate of a backfill, so that it leaves the cluster to live records; 0: as fast as they come.");
  s.field("queue_batches_max", &BulkConfig::queue_batches_max, "Encoded batches that wait for a writer.")
      .min(1)
      .max(1000);
  s.field("linger", &BulkConfig::linger, "A batch that is not full is sent after this.").min(1ms).max(1min);
  s.field("request_timeout", &BulkConfig::request_timeout,
          "After this a request is sent again, with the same ids.")
      .min(1s);
  s.field("gzip", &BulkConfig::gzip, "Compress bulk requests.");
  s.field("retry_first", &BulkConfig::retry_first, "Bound of the first wait after \"too many requests\".")
      .min(1ms);
  s.field("retry_max", &BulkConfig::retry_max, "Bound of the longest wait.").min(10ms);
  s.field("probe_max", &BulkConfig::probe_max,
          "Longest wait between probes of an index or cluster that takes nothing.")
      .min(10ms);
  s.field("limit", &BulkConfig::limit, "A shared limit of documents a second, kept by naru-alerting.");
  s.field("document_faults_max", &BulkConfig::document_faults_max,
          "So many documents in a row that one index refuses alike are the index's fault: it is held.")
      .min(1);
}

void describe(config::Schema<ParkingLimits>& s) {
  s.bytes("held_bytes_max", &ParkingLimits::held_bytes_max,
          "Documents of one data set that may wait for it while another moves on; beyond, those of data sets "
          "named in `datasets` are parked on the bus.")
      .min(64u << 10);
  s.field("held_max", &ParkingLimits::held_max, "Likewise the time that its index may be held.").min(1s);
  s.field("records_max", &ParkingLimits::records_max,
          "With so many records parked and not drained, reading pauses instead; 0: nothing is parked.");
}

void describe(config::Schema<CountConfig>& s) {
  s.field("rules", &CountConfig::rules,
          "Directory of rule files (*.yaml, docs/rules.md); empty: nothing is counted.");
  s.field("group", &CountConfig::group,
          "Consumer group of the counters; all preppers of one platform share it.");
  s.field("topic", &CountConfig::topic, "Topic that counts are published on.");
  s.field("partitions", &CountConfig::partitions, "Partitions of that topic when it has to be created.")
      .min(1)
      .max(1'000);
  s.field("replication", &CountConfig::replication, "Replicas likewise.").min(1).max(100);
  s.field("instance", &CountConfig::instance,
          "Name of this counter among all; empty: host name and admin address. Two with one name fence each "
          "other.");
  s.field("publish_every", &CountConfig::publish_every,
          "How often counts are published, also when there are none.")
      .min(20ms)
      .max(10s);
  s.field("look_every", &CountConfig::look_every, "How often changed rules are looked for.")
      .min(100ms)
      .max(1h);
  s.field("lateness", &CountConfig::lateness,
          "How far a record's own time may differ from its receive time to be believed; else it counts when "
          "it was "
          "received.")
      .max(10min);
  s.field("remember", &CountConfig::remember,
          "For how long repeats of records are told apart across a restart.")
      .max(1h);
  s.field("sources_max", &CountConfig::sources_max,
          "Most sources whose repeats are known at a time; the longest silent one is forgotten first.")
      .min(1)
      .max(10'000'000);
  s.field("groups_max", &CountConfig::groups_max,
          "Most groups of one rule in one publication; records of further ones are not counted.")
      .min(1)
      .max(1'000'000);
  s.field("metrics_groups_max", &CountConfig::metrics_groups_max,
          "Most groups of all rules that /metrics shows one by one, for Prometheus rules "
          "(dashboards/prometheus).")
      .max(100'000);
  s.field("blind_after", &CountConfig::blind_after,
          "How far counting may lag behind before /readyz turns red.")
      .min(1s);
}

void describe(config::Schema<OpenSearchConfig>& s) {
  s.field("urls", &OpenSearchConfig::urls, "Addresses of one cluster, http:// or https://.").min(1).max(64);
  s.field("tls", &OpenSearchConfig::tls, "TLS towards the cluster.");
  s.field("user", &OpenSearchConfig::user, "User name for basic authentication.");
  s.secret("password", &OpenSearchConfig::password, "Password for basic authentication.");
  s.secret("token", &OpenSearchConfig::token, "Bearer token.");
}

void validate(const OpenSearchConfig& config, config::Errors& errors) {
  for (const std::string& url : config.urls) {
    if (!url.starts_with("http://") && !url.starts_with("https://")) {
      errors.add("urls", "an address such as https://host:9200 is needed, not '" + url + "'");
    }
  }
  if (!config.user.empty() && !config.token.empty()) {
    errors.add("token", "give either user and password, or a token");
  }
}

void describe(config::Schema<ProgramConfig>& s) {
  const auto own = []<class M>(M PrepperConfig::* member) { return static_cast<M ProgramConfig::*>(member); };
  s.field("kafka", &ProgramConfig::kafka, "The bus that records come from and dead letters go to.");
  s.field("clusters", &ProgramConfig::clusters,
          "Further Kafka clusters: records are read from all of them, dead letters go to the first that "
          "takes them.");
  s.field("opensearch", &ProgramConfig::opensearch, "The cluster that documents go to.");
  s.field("datasets_file", &ProgramConfig::datasets_file,
          "Declaration of data sets, cluster and topics, such as config/datasets.yaml; empty: its defaults.");
  s.field("admin", &ProgramConfig::admin, "Listener of /metrics, /livez and /readyz.");
  s.field("own_metrics", &ProgramConfig::own_metrics, "This process's own metrics, sent to a collector.");
  s.field("index", own(&PrepperConfig::index),
          "Role `index`: write documents. With false this prepper only counts.");
  s.field("pipeline", own(&PrepperConfig::pipeline), "Name of this pipeline in metrics and dead letters.");
  s.field("dataset", own(&PrepperConfig::dataset),
          "Data set of every record; empty: resource attribute data_stream.dataset, else `default`.");
  s.field("mappings_dir", own(&PrepperConfig::mappings_dir),
          "Directory with index templates and promoted.yaml; empty: those of the program.");
  s.field("pipelines", own(&PrepperConfig::pipelines), "Pipelines that records go through.");
  s.field("topics", own(&PrepperConfig::topics), "Topics of the bus.");
  s.field("consume", own(&PrepperConfig::consume), "How records are read.");
  s.field("time", own(&PrepperConfig::time), "Which times of records are believed.");
  s.field("bulk", own(&PrepperConfig::bulk), "How documents are written.");
  s.field("count", own(&PrepperConfig::count), "Role `count`: what the rules count.");
  s.field("parking", own(&PrepperConfig::parking),
          "When records of a data set that takes none are set aside.");
}

void validate(const ProgramConfig& config, config::Errors& errors) {
  for (const Problem& problem : find_problems(config)) {
    errors.add(problem.key, problem.sentence);
  }
  if (const auto declared = load_datasets(config.datasets_file); !declared) {
    errors.add("datasets_file", "\n" + declared.error().message());
  }
  if (!config.index && config.count.rules.empty()) {
    errors.add("count.rules", "is missing: with index: false there is nothing else to do");
  }
  std::shared_ptr<const PipelineSet> pipelines;
  if (!config.pipelines.directory.empty()) {
    if (const auto set = PipelineSet::load(config.pipelines.directory, std::make_shared<EnrichmentStore>());
        !set) {
      errors.add("pipelines.directory", "\n" + set.error().message());
      return;
    } else {
      pipelines = *set;
    }
  }
  Repeats repeats(1);
  const auto rules = rules::RuleSet::load(config.count.rules);
  const auto counter = rules ? RecordCounter::compile(*rules, pipelines, {}, repeats) : fail(rules.error());
  if (!counter) {
    errors.add("count.rules", "\n" + counter.error().message());
  }
}

Result<ProgramConfig> with_declaration(ProgramConfig config) {
  NARU_TRY(config.datasets, load_datasets(config.datasets_file));
  return config;
}

Result<ProgramConfig> load_program_config(const std::string& path) {
  NARU_TRY(ProgramConfig config, config::load_file<ProgramConfig>(path));
  return with_declaration(std::move(config));
}

Result<ClusterAccess> opensearch_access(const OpenSearchConfig& config) {
  const auto client_of = [config](const std::string& url) {
    net::HttpClientConfig client;
    client.url = url;
    client.tls = config.tls;
    client.basic_user = config.user;
    client.basic_password = config.password;
    client.bearer_token = config.token;
    return client;
  };
  std::vector<net::HttpClientConfig> clients;
  for (const std::string& url : config.urls) {
    net::HttpClientConfig client = client_of(url);
    if (auto tried = net::make_http_client(client); !tried) {
      return fail(tried.error().with_context("opensearch"));
    }
    clients.push_back(std::move(client));
  }
  auto next = std::make_shared<std::atomic<std::size_t>>(0);
  net::HttpTransportFactory any = [clients, next]() -> std::unique_ptr<net::HttpTransport> {
    std::vector<std::unique_ptr<net::HttpTransport>> ends;
    for (const net::HttpClientConfig& client : clients) {
      auto end = net::make_http_client(client);
      NARU_CHECK(end.has_value(), "the same settings made a client a moment ago");
      ends.push_back(std::move(*end));
    }
    return std::make_unique<FailoverTransport>(std::move(ends), next->fetch_add(1));
  };
  return ClusterAccess(std::move(any), config.urls, [client_of](const std::string& url) {
    auto made = net::make_http_client(client_of(url));
    return made ? std::move(*made) : std::unique_ptr<net::HttpTransport>();
  });
}

}  // namespace naru::prepper
