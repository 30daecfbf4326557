// An order sender that follows the route of its broker and keeps its limit; what fails it logs over OTLP.
//
//   naru-example-orders <alerting host:port> <otlp-http host:port> <seconds>
#include <sys/time.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

#include "alerting/client/cpp/naru_failover.h"

namespace {

std::string clock_time() {
  timeval now{};
  gettimeofday(&now, nullptr);
  char text[32];
  const std::size_t n = std::strftime(text, sizeof(text), "%H:%M:%S", std::localtime(&now.tv_sec));
  std::snprintf(text + n, sizeof(text) - n, ".%03ld", now.tv_usec / 1000);
  return text;
}

const std::atomic<bool> kGoOn{false};

std::string post(const std::string& address, const std::string& path, const std::string& body) {
  return "POST " + path + " HTTP/1.1\r\nHost: " + address +
         "\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

// One error log of the service that stands for this route.
void log_failure(const std::string& collector, const std::string& route) {
  timeval now{};
  gettimeofday(&now, nullptr);
  const std::string body =
      R"({"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"broker-)" +
      route + R"("}}]},"scopeLogs":[{"logRecords":[{"severityNumber":17,"timeUnixNano":")" +
      std::to_string(now.tv_sec * 1'000'000'000LL + now.tv_usec * 1'000LL) +
      R"(","body":{"stringValue":"order refused"}}]}]}]})";
  naru::client::detail::call(collector, post(collector, "/v1/logs", body), std::chrono::seconds(5), kGoOn);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s <alerting host:port> <otlp-http host:port> <seconds>\n", argv[0]);
    return 2;
  }
  const std::string alerting = argv[1], collector = argv[2];
  naru::client::Route broker({alerting}, "broker", [](const naru::client::RouteState& state) {
    std::printf("%s orders go to %s (%s)%s%s\n", clock_time().c_str(), state.name.c_str(), state.url.c_str(),
                state.reason.empty() ? "" : ": ", state.reason.c_str());
    std::fflush(stdout);
  });
  naru::client::Limit orders({alerting}, "orders", naru::client::Limit::WhenAway::kOpen);
  if (!broker.wait_until_known(std::chrono::seconds(10))) {
    std::fprintf(stderr, "nobody at %s knows a route of broker\n", alerting.c_str());
    return 1;
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(argv[3]));
  unsigned sent = 0, failed = 0;
  while (std::chrono::steady_clock::now() < end) {
    if (orders.acquire(1, std::chrono::milliseconds(1'000)) == 0) {
      continue;
    }
    const naru::client::RouteState route = broker.current();
    const std::string address = route.url.substr(route.url.find("//") + 2);
    const auto answer =
        naru::client::detail::call(address, post(address, "/orders", "{}"), std::chrono::seconds(2), kGoOn);
    ++sent;
    if (answer.status != 200) {
      ++failed;
      log_failure(collector, route.name);
    }
  }
  std::printf("%s %u orders, %u refused\n", clock_time().c_str(), sent, failed);
  return 0;
}
