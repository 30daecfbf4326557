#include "prepper/write/write_limit.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "core/base/clock.h"
#include "core/net/http_client.h"
#include "core/telemetry/log.h"

namespace naru::prepper {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kWait{1'000};  // short, so that a stop need not wait
constexpr milliseconds kAnswerTimeout{3'000};
constexpr milliseconds kPause{200};
constexpr std::uint64_t kComplainEvery = 30 * kNanosPerSecond;

}  // namespace

void describe(config::Schema<WriteLimitConfig>& s) {
  s.field("name", &WriteLimitConfig::name,
          "Shared limit that documents keep, in permits a second (naru limit set); empty: none.");
  s.field("alerting", &WriteLimitConfig::alerting, "URLs of the instances of naru-alerting.").max(16);
  s.secret("token", &WriteLimitConfig::token, "Their api_token, from another machine.");
  s.field("fail_open", &WriteLimitConfig::fail_open,
          "While none of them answers: true writes as fast as it goes, false waits.");
}

void validate(const WriteLimitConfig& config, config::Errors& errors) {
  if (!config.name.empty() && config.alerting.empty()) {
    errors.add("alerting", "a limit needs the URLs of naru-alerting, which keeps it");
  }
  for (const std::string& url : config.alerting) {
    if (const auto checked = net::check_http_url(url); !checked) {
      errors.add("alerting", checked.error().message());
    }
  }
}

Result<std::unique_ptr<WriteLimit>> WriteLimit::connect(const WriteLimitConfig& config,
                                                        telemetry::Registry& registry) {
  if (config.name.empty()) {
    return std::unique_ptr<WriteLimit>();
  }
  std::vector<std::unique_ptr<net::HttpTransport>> instances;
  for (const std::string& url : config.alerting) {
    net::HttpClientConfig client;
    client.url = url;
    client.bearer_token = config.token;
    client.connect_timeout = kAnswerTimeout;
    NARU_TRY(auto transport, net::make_http_client(client));
    instances.push_back(std::move(transport));
  }
  return std::make_unique<WriteLimit>(config, std::move(instances), registry);
}

WriteLimit::WriteLimit(WriteLimitConfig config, std::vector<std::unique_ptr<net::HttpTransport>> instances,
                       telemetry::Registry& registry)
    : config_(std::move(config)),
      instances_(std::move(instances)),
      waits_(registry.counter("naru_writer_limit_waits_total",
                              "Bulk requests that waited for the shared limit.")),
      unanswered_(registry.counter("naru_writer_limit_unanswered_total",
                                   "Times that nobody answered for the shared limit.")) {}

void WriteLimit::stop() {
  stopping_ = true;
  for (const auto& instance : instances_) {
    instance->cancel();
  }
}

bool WriteLimit::acquire(std::uint64_t documents) {
  const std::lock_guard turn(turn_);
  bool waited = false;
  while (documents > 0 && !stopping_) {
    const Result<std::uint64_t> granted = ask(documents);
    if (granted) {
      documents -= std::min(documents, *granted);
      waited = waited || documents > 0;
      continue;
    }
    unanswered_.add();
    complain(granted.error());
    if (config_.fail_open) {
      break;
    }
    std::this_thread::sleep_for(kPause);
  }
  if (waited) {
    waits_.add();
  }
  return !stopping_;
}

Result<std::uint64_t> WriteLimit::ask(std::uint64_t permits) {
  Error error(ErrorCode::kUnavailable, "no instance of naru-alerting is configured");
  for (std::size_t tried = 0; tried < instances_.size() && !stopping_; ++tried) {
    net::HttpRequest request;
    request.method = "POST";
    request.target = fmt::format("/v1/limits/{}/acquire", net::percent_encoded(config_.name));
    request.headers.set("Content-Type", "application/json");
    request.body = fmt::format(R"({{"permits":{},"waitMs":{}}})", permits, kWait.count());
    const Result<net::HttpResponse> answer =
        instances_[next_ % instances_.size()]->exchange(std::move(request), kAnswerTimeout);
    if (answer && answer->status == 429) {
      return 0;
    }
    simdjson::dom::parser parser;
    std::uint64_t granted = 0;
    if (answer && answer->status == 200 &&
        parser.parse(answer->body)["granted"].get(granted) == simdjson::SUCCESS) {
      return granted;
    }
    error = answer ? Error(answer->status == 404 ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
                           fmt::format("naru-alerting answers {} to limit {}", answer->status, config_.name))
                   : answer.error();
    ++next_;
  }
  return fail(error);
}

void WriteLimit::complain(const Error& error) {
  const std::uint64_t now = monotonic_now();
  if (now < complain_at_) {
    return;
  }
  complain_at_ = now + kComplainEvery;
  telemetry::log_warn("prepper", "the shared limit {} cannot be asked for, documents {}: {}", config_.name,
                      config_.fail_open ? "are written without it" : "wait", error.message());
}

}  // namespace naru::prepper
