#include "console/console.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "console/assets.h"
#include "console/index_range.h"
#include "core/base/clock.h"

namespace naru::console {
namespace {

using net::HttpRequest;
using net::HttpResponse;
using net::Responder;

constexpr std::string_view kApi = "/api/";
constexpr std::string_view kOverview = "/v1/overview";
constexpr std::array<std::string_view, 3> kAliases = {"logs", "traces", "metrics"};
constexpr std::array<std::string_view, 4> kIndexPrefixes = {"logs-otel-v1-", "otel-v1-apm-span-",
                                                            "otel-v2-apm-service-map-", "metrics-otel-v1-"};

// Index names have no upper case and no comma, slash or wildcard: one index each.
bool is_index(std::string_view target) {
  const bool known = std::ranges::any_of(kIndexPrefixes,
                                         [&](std::string_view prefix) { return target.starts_with(prefix); });
  return known && target.size() <= 255 && std::ranges::all_of(target, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
         });
}

bool may_search(std::string_view path) {
  const std::size_t slash = path.find('/');
  if (slash == std::string_view::npos) {
    return false;
  }
  const std::string_view target = path.substr(0, slash);
  const std::string_view verb = path.substr(slash + 1);
  return (verb == "_search" || verb == "_count") &&
         (std::ranges::find(kAliases, target) != kAliases.end() || is_index(target));
}

// Transports block, so each has a thread of its own.
class SearchPool {
 public:
  SearchPool(net::HttpTransportFactory factory, const ConsoleConfig& config)
      : factory_(std::move(factory)), config_(config) {
    for (std::size_t i = 0; i < std::max<std::size_t>(1, config_.searches_max); ++i) {
      threads_.emplace_back([this] { work(); });
    }
  }

  ~SearchPool() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) {
      thread.join();
    }
    for (Task& task : waiting_) {
      task.respond(net::text_response(503, "The console is shutting down.\n"));
    }
  }

  void submit(HttpRequest request, Responder respond) {
    {
      const std::lock_guard lock(mutex_);
      if (waiting_.size() < config_.waiting_max) {
        waiting_.emplace_back(std::move(request), std::move(respond));
        changed_.notify_one();
        return;
      }
    }
    HttpResponse busy = net::text_response(503, "Too many searches wait already; try again in a moment.\n");
    busy.headers.add("Retry-After", "1");
    respond(std::move(busy));
  }

 private:
  struct Task {
    Task(HttpRequest request_in, Responder respond_in)
        : request(std::move(request_in)), respond(std::move(respond_in)) {}
    HttpRequest request;
    Responder respond;
  };

  void work() {
    const std::unique_ptr<net::HttpTransport> transport = factory_();
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
      if (stopping_) {
        return;
      }
      Task task(std::move(waiting_.front()));
      waiting_.pop_front();
      lock.unlock();
      auto answer = transport->exchange(std::move(task.request), config_.search_timeout);
      task.respond(answer ? pass_on(std::move(*answer)) : refuse(answer.error()));
      lock.lock();
    }
  }

  static HttpResponse pass_on(HttpResponse answer) {
    HttpResponse response;
    response.status = answer.status;
    response.headers.add("Content-Type", answer.headers.has("Content-Type")
                                             ? std::string(answer.headers.get("Content-Type"))
                                             : std::string("application/json"));
    response.headers.add("Cache-Control", "no-store");
    response.headers.add("X-Content-Type-Options", "nosniff");
    response.body = std::move(answer.body);
    return response;
  }

  static HttpResponse refuse(const Error& error) {
    return net::text_response(502, fmt::format("The search service does not answer: {}.\n", error.message()));
  }

  const net::HttpTransportFactory factory_;
  const ConsoleConfig config_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> waiting_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

HttpResponse page(const HttpRequest& request) {
  auto found = serve(request.path());
  if (!found) {
    return net::text_response(404, "There is no such page. The console is at /.\n");
  }
  if (request.method != "GET" && request.method != "HEAD") {
    return net::text_response(405, "This page can only be read.\n");
  }
  if (request.headers.get("If-None-Match") == found->headers.get("ETag")) {
    found->status = 304;
    found->body.clear();
  }
  return std::move(*found);
}

// nullopt: may be forwarded.
std::optional<HttpResponse> check_search(const HttpRequest& request, std::size_t bytes_max) {
  const std::string_view path = request.path().substr(kApi.size());
  if (path.empty() && request.method == "GET") {
    return std::nullopt;
  }
  if (!may_search(path)) {
    return net::text_response(404, "The console forwards searches of logs, traces and metrics only.\n");
  }
  if (request.method != "POST") {
    return net::text_response(405, "Searches are sent with POST.\n");
  }
  // A page of another site can send a form or plain text without asking, but not JSON.
  if (!request.headers.get("Content-Type").starts_with("application/json")) {
    return net::text_response(415, "Searches are sent as application/json.\n");
  }
  if (request.body.size() > bytes_max) {
    return net::text_response(413, fmt::format("A search may have {} bytes.\n", bytes_max));
  }
  return std::nullopt;
}

std::int64_t milliseconds_of(const HttpRequest& request, std::string_view name, std::int64_t otherwise) {
  const std::string text = request.query_parameter(name);
  std::int64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() ? out : otherwise;
}

// No more indices than the time range needs: a search of an hour does not touch a year.
std::string target_of(const HttpRequest& request) {
  const std::string_view path = request.path().substr(kApi.size());
  const std::size_t slash = path.find('/');
  if (slash == std::string_view::npos || !request.has_query_parameter("from")) {
    return "/" + std::string(path);
  }
  const auto now = static_cast<std::int64_t>(wall_now() / kNanosPerMilli);
  constexpr std::int64_t kAhead = 24LL * 3600 * 1000;  // clocks of senders
  return "/" +
         indices_in(path.substr(0, slash), milliseconds_of(request, "from", 0),
                    milliseconds_of(request, "to", now + kAhead)) +
         std::string(path.substr(slash));
}

// Numbers cannot be rebound to another address, names can. Browsers always send the header.
bool is_number_or_localhost(std::string_view host_header) {
  const std::size_t port = host_header.rfind(':');
  const bool bracketed = host_header.starts_with('[');
  std::string host(bracketed ? host_header.substr(1, host_header.find(']') - 1)
                             : host_header.substr(0, port));
  in_addr v4{};
  in6_addr v6{};
  return host == "localhost" || inet_pton(AF_INET, host.c_str(), &v4) == 1 ||
         (bracketed && inet_pton(AF_INET6, host.c_str(), &v6) == 1);
}

}  // namespace

net::HttpHandler make_console_handler(net::HttpTransportFactory search, ConsoleConfig config) {
  auto pool = std::make_shared<SearchPool>(std::move(search), config);
  std::shared_ptr<SearchPool> alerts;
  if (config.alerting) {
    ConsoleConfig one = config;
    one.searches_max = 1;
    alerts = std::make_shared<SearchPool>(config.alerting, one);
  }
  return [pool, alerts, bytes_max = config.request_bytes_max, any_host = config.any_host](HttpRequest request,
                                                                                          Responder respond) {
    const std::string_view host = request.headers.get("Host");
    if (!any_host && !host.empty() && !is_number_or_localhost(host)) {
      respond(net::text_response(403,
                                 "The console answers under its number or localhost only, such as "
                                 "http://127.0.0.1:8080, so that no other site can read it.\n"));
      return;
    }
    if (request.path() == kOverview && request.method == "GET") {
      if (alerts == nullptr) {
        respond(net::json_response(404, "{\"error\":\"no naru-alerting is behind this console\"}\n"));
        return;
      }
      HttpRequest asked;
      asked.target = kOverview;
      alerts->submit(std::move(asked), std::move(respond));
      return;
    }
    if (!request.path().starts_with(kApi)) {
      respond(page(request));
      return;
    }
    if (auto refusal = check_search(request, bytes_max); refusal.has_value()) {
      respond(std::move(*refusal));
      return;
    }
    HttpRequest forwarded;
    forwarded.method = request.method;
    forwarded.target = target_of(request);
    forwarded.headers.add("Accept", "application/json");
    if (request.method == "POST") {
      forwarded.headers.add("Content-Type", "application/json");
    }
    forwarded.body = std::move(request.body);
    pool->submit(std::move(forwarded), std::move(respond));
  };
}

}  // namespace naru::console
