#include "core/program/clusters.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <string_view>

#include "core/net/http_client.h"
#include "core/program/kafka_config.h"

namespace naru::program {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kProbeTimeout{1'000};
constexpr std::chrono::milliseconds kPoll{2'000};  // short, so that a stop need not wait
constexpr std::chrono::milliseconds kPauseAfterError{500};

// A text or a number of the flat answers of naru-alerting.
std::string member(std::string_view json, std::string_view name) {
  const std::string key = fmt::format("\"{}\":", name);
  const std::size_t at = json.find(key);
  if (at == std::string_view::npos) {
    return {};
  }
  std::string_view rest = json.substr(at + key.size());
  if (rest.starts_with('"')) {
    rest.remove_prefix(1);
    return std::string(rest.substr(0, rest.find('"')));
  }
  return std::string(rest.substr(0, rest.find_first_of(",}]")));
}

template <class T>
void describe_list(config::Schema<T>& s) {
  s.field("name", static_cast<std::string T::*>(&ClusterList::name),
          "Name of the first cluster, which `kafka` describes.")
      .min(1)
      .max(100);
  s.field("more", static_cast<std::vector<ClusterEntry> T::*>(&ClusterList::more),
          "Further clusters, the preferred ones first.")
      .max(8);
}

std::uint64_t number(const std::string& text) {
  std::uint64_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

}  // namespace

void describe(config::Schema<ClusterEntry>& s) {
  s.field("name", &ClusterEntry::name, "Name of the cluster, as routes name it.").required().min(1).max(100);
  s.field("kafka", &ClusterEntry::kafka, "How it is reached.").required();
}

void describe(config::Schema<FollowConfig>& s) {
  s.field("alerting", &FollowConfig::alerting, "URLs of naru-alerting; empty: nobody is followed.").max(16);
  s.field("target", &FollowConfig::target, "Target whose active route names the cluster to use.").min(1);
  s.secret("token", &FollowConfig::token, "Its api_token, from another machine.");
}

void describe(config::Schema<ClusterList>& s) {
  describe_list(s);
}

void describe(config::Schema<ClustersConfig>& s) {
  describe_list(s);
  s.field("switch_after", &ClustersConfig::switch_after,
          "Records go to the next cluster when nothing was acknowledged for so long.")
      .min(100ms)
      .max(10min);
  s.field("return_after", &ClustersConfig::return_after,
          "And come back when the preferred cluster has answered for so long.")
      .min(1s)
      .max(24h);
  s.field("returns", &ClustersConfig::returns, "false: they come back only when naru-alerting says so.");
  s.field("follow", &ClustersConfig::follow, "A route of naru-alerting that decides, too.");
}

void validate(const ClusterList& list, config::Errors& errors) {
  std::set<std::string> names = {list.name};
  for (const ClusterEntry& entry : list.more) {
    if (!names.insert(entry.name).second) {
      errors.add("more", fmt::format("two clusters are named \"{}\"; give each its own name", entry.name));
    }
  }
}

void validate(const ClustersConfig& config, config::Errors& errors) {
  validate(static_cast<const ClusterList&>(config), errors);
  for (const std::string& url : config.follow.alerting) {
    if (const auto checked = net::check_http_url(url); !checked) {
      errors.add("follow.alerting", checked.error().message());
    }
  }
}

Result<std::unique_ptr<bus::ClusterBus>> make_cluster_bus(const bus::KafkaBusConfig& first,
                                                          const ClustersConfig& config,
                                                          telemetry::Registry& registry) {
  std::vector<bus::ClusterBus::Cluster> clusters;
  const auto add = [&](const std::string& name, bus::KafkaBusConfig kafka) -> Result<void> {
    bus::ClusterBus::Cluster& cluster = clusters.emplace_back();
    cluster.name = name;
    kafka.metrics = &registry;
    NARU_TRY(cluster.bus, bus::make_kafka_bus(kafka));
    kafka.metrics = nullptr;
    kafka.request_timeout = std::min(kafka.request_timeout, kProbeTimeout);
    NARU_TRY(cluster.probe, bus::make_kafka_bus(kafka));
    return {};
  };
  NARU_TRY_VOID(add(config.name, first));
  for (const ClusterEntry& entry : config.more) {
    NARU_TRY_VOID(add(entry.name, entry.kafka));
  }
  bus::ClusterProducerConfig producer;
  producer.choice.switch_after = config.switch_after;
  producer.choice.return_after = config.return_after;
  producer.choice.returns = config.returns;
  producer.waiting_bytes_max = first.producer_bytes_max;
  return std::make_unique<bus::ClusterBus>(std::move(producer), std::move(clusters), registry);
}

RouteFollower::RouteFollower(FollowConfig config, bus::ClusterBus& bus)
    : config_(std::move(config)), bus_(bus), thread_([this] { run(); }) {}

RouteFollower::~RouteFollower() {
  stop_ = true;
  thread_.join();
}

void RouteFollower::run() {
  std::size_t turn = 0;
  std::string etag;
  std::uint64_t epoch = 0, sequence = 0;
  while (!stop_ && !config_.alerting.empty()) {
    net::HttpClientConfig client;
    client.url = config_.alerting[turn % config_.alerting.size()];
    client.bearer_token = config_.token;
    client.connect_timeout = kPoll;
    const auto transport = net::make_http_client(client);
    net::HttpRequest request;
    request.target = fmt::format("/v1/routes/{}?wait={}ms", config_.target, kPoll.count());
    if (!etag.empty()) {
      request.headers.set("If-None-Match", etag);
    }
    const auto answer =
        transport ? (*transport)->exchange(std::move(request), 3 * kPoll) : fail(transport.error());
    if (answer && answer->status == 304) {
      continue;
    }
    if (answer && answer->status == 200) {
      etag = answer->headers.get("ETag");
      const std::uint64_t new_epoch = number(member(answer->body, "epoch"));
      const std::uint64_t new_sequence = number(member(answer->body, "sequence"));
      // Never back to an older decision, whichever instance tells it.
      if (std::pair(new_epoch, new_sequence) >= std::pair(epoch, sequence)) {
        epoch = new_epoch;
        sequence = new_sequence;
        bus_.told(
            bus::ClusterOrder{.active = member(answer->body, "active"),
                              .shift_to = member(answer->body, "to"),
                              .percent = static_cast<unsigned>(number(member(answer->body, "percent")))});
      }
      continue;
    }
    ++turn;
    etag.clear();
    for (auto waited = 0ms; waited < kPauseAfterError && !stop_; waited += 20ms) {
      std::this_thread::sleep_for(20ms);
    }
  }
}

}  // namespace naru::program
