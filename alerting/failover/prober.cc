#include "alerting/failover/prober.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "alerting/http_call.h"
#include "core/base/address.h"
#include "core/base/clock.h"

namespace naru::alerting {
namespace {

constexpr std::string_view kTcp = "tcp://";

struct Socket {
  int fd = -1;
  ~Socket() {
    if (fd >= 0) {
      ::close(fd);
    }
  }
};

Result<void> probe_tcp(const Address& address, std::chrono::milliseconds timeout) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code = ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (code != 0) {
    return fail(ErrorCode::kUnavailable, fmt::format("{}: {}", address.host, ::gai_strerror(code)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, &::freeaddrinfo);
  const Socket socket{::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (socket.fd < 0) {
    return fail(ErrorCode::kIo, std::strerror(errno));
  }
  if (::connect(socket.fd, found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS) {
    return fail(ErrorCode::kUnavailable, std::strerror(errno));
  }
  pollfd wait{socket.fd, POLLOUT, 0};
  if (::poll(&wait, 1, static_cast<int>(timeout.count())) <= 0) {
    return fail(ErrorCode::kTimeout,
                fmt::format("{} took no connection in {} ms", address.text(), timeout.count()));
  }
  int error = 0;
  socklen_t size = sizeof(error);
  ::getsockopt(socket.fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error == 0 ? Result<void>() : fail(ErrorCode::kUnavailable, std::strerror(error));
}

}  // namespace

Result<void> probe(const std::string& address, std::chrono::milliseconds timeout) {
  if (address.starts_with(kTcp)) {
    NARU_TRY(const Address parsed, parse_address(address.substr(kTcp.size())));
    return probe_tcp(parsed, timeout);
  }
  NARU_TRY(const net::HttpResponse response, call_url(address, {}, {}, timeout));
  return response.status >= 200 && response.status < 400
             ? Result<void>()
             : fail(ErrorCode::kUnavailable, fmt::format("answered {}", response.status));
}

Result<void> check_probe_address(const std::string& address) {
  if (address.starts_with(kTcp)) {
    NARU_TRY(const Address parsed, parse_address(address.substr(kTcp.size())));
    return {};
  }
  return check_url(address);
}

Prober::Prober(const std::vector<TargetConfig>& targets, Told told)
    : targets_(targets), told_(std::move(told)) {
  for (const TargetConfig& target : targets_) {
    if (std::ranges::any_of(target.routes, [](const RouteConfig& route) { return !route.probe.empty(); })) {
      threads_.emplace_back([this, &target] { run(target); });
    }
  }
}

Prober::~Prober() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

void Prober::run(const TargetConfig& target) {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    lock.unlock();
    for (std::size_t i = 0; i < target.routes.size(); ++i) {
      if (!target.routes[i].probe.empty()) {
        const Result<void> answer = probe(target.routes[i].probe, target.probe_every);
        told_(target.name, i, answer.has_value(), answer ? std::string() : answer.error().message());
      }
    }
    lock.lock();
    wake_.wait_for(lock, target.probe_every, [this] { return stop_; });
  }
}

}  // namespace naru::alerting
