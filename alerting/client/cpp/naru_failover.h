// Follows a route of naru-alerting and uses its limiters, from any C++17 program: this one file, POSIX
// sockets, nothing else.
//
//   naru::client::Route broker({"127.0.0.1:8083", "127.0.0.2:8083"}, "broker");
//   naru::client::Limit orders({"127.0.0.1:8083", "127.0.0.2:8083"}, "orders");
//   if (orders.acquire(1, std::chrono::seconds(5)) == 1) send(order, broker.current().url);
//
// Route keeps a long poll open on a thread of its own: a switch is known some milliseconds after it was
// decided. It never goes back to an older decision (epoch, sequence), whichever instance tells it. While
// nobody answers, the last route known stays: a monitoring that is away must not stop the application.
//
// Does no TLS: put a local proxy in between, or bind naru-alerting to the host's own network.
#pragma once

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace naru::client {

namespace detail {

struct Answer {
  int status = 0;  // 0: no answer
  std::string etag;
  std::string body;
};

// One HTTP/1.1 request on a connection of its own.
inline Answer call(const std::string& address, const std::string& request, std::chrono::milliseconds timeout,
                   const std::atomic<bool>& stop) {
  Answer out;
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) {
    return out;
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.substr(0, colon).c_str(), address.substr(colon + 1).c_str(), &hints, &found) != 0) {
    return out;
  }
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  timeval most{2, 0};  // of connecting and writing
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most));
  const bool connected =
      fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0 &&
      send(fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size());
  freeaddrinfo(found);
  std::string text;
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (connected && !stop && std::chrono::steady_clock::now() < deadline && text.size() < (1U << 20)) {
    pollfd wait{fd, POLLIN, 0};
    if (poll(&wait, 1, 100) <= 0) {
      continue;
    }
    char bytes[4096];
    const ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
    if (n <= 0) {
      break;
    }
    text.append(bytes, static_cast<std::size_t>(n));
  }
  if (fd >= 0) {
    close(fd);
  }
  const std::size_t head = text.find("\r\n\r\n");
  if (head == std::string::npos || text.compare(0, 5, "HTTP/") != 0) {
    return out;
  }
  out.status = std::atoi(text.c_str() + 9);
  out.body = text.substr(head + 4);
  for (std::size_t at = text.find("\r\n"); at < head; at = text.find("\r\n", at + 2)) {
    const std::string name = text.substr(at + 2, 5);
    if ((name[0] == 'E' || name[0] == 'e') && name.compare(1, 4, "Tag:") == 0) {
      const std::size_t begin = text.find('"', at), end = text.find('"', begin + 1);
      out.etag = text.substr(begin, end - begin + 1);
    }
  }
  return out;
}

// The member's text or number; empty: there is none. Enough for the answers of naru-alerting, which are flat.
inline std::string member(const std::string& json, const std::string& name, std::size_t from = 0) {
  std::size_t at = json.find("\"" + name + "\":", from);
  if (at == std::string::npos) {
    return {};
  }
  at += name.size() + 3;
  std::string out;
  if (json[at] != '"') {
    while (at < json.size() && json[at] != ',' && json[at] != '}' && json[at] != ']') {
      out += json[at++];
    }
    return out;
  }
  for (++at; at < json.size() && json[at] != '"'; ++at) {
    if (json[at] == '\\' && at + 1 < json.size()) {
      ++at;
    }
    out += json[at];
  }
  return out;
}

}  // namespace detail

struct RouteState {
  std::string name;  // empty: nobody has told yet
  std::string url;
  std::string reason;
  std::uint64_t epoch = 0, sequence = 0;
};

class Route {
 public:
  // `told`: called on the thread of this object after each change, the first route included.
  Route(std::vector<std::string> addresses, std::string target,
        std::function<void(const RouteState&)> told = {}, std::string token = {})
      : addresses_(std::move(addresses)),
        target_(std::move(target)),
        told_(std::move(told)),
        token_(std::move(token)),
        thread_([this] { run(); }) {}
  ~Route() {
    stop_ = true;
    thread_.join();
  }
  Route(const Route&) = delete;
  Route& operator=(const Route&) = delete;

  RouteState current() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return state_;
  }
  // False: `most` went by and nobody has told yet.
  bool wait_until_known(std::chrono::milliseconds most) const {
    std::unique_lock<std::mutex> lock(mutex_);
    return known_.wait_for(lock, most, [this] { return !state_.name.empty(); });
  }

 private:
  void run() {
    std::size_t next = 0;
    std::string etag;
    while (!stop_) {
      const std::string& address = addresses_[next % addresses_.size()];
      const std::string request = "GET /v1/routes/" + target_ + "?wait=20s HTTP/1.1\r\nHost: " + address +
                                  "\r\nConnection: close\r\n" +
                                  (etag.empty() ? "" : "If-None-Match: " + etag + "\r\n") +
                                  (token_.empty() ? "" : "Authorization: Bearer " + token_ + "\r\n") + "\r\n";
      const detail::Answer answer = detail::call(address, request, std::chrono::seconds(30), stop_);
      if (answer.status == 200) {
        etag = answer.etag;
        take(answer.body);
      } else if (answer.status != 304) {
        ++next;  // a standby, or away
        etag.clear();
        for (int i = 0; i < 10 && !stop_; ++i) {
          std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
      }
    }
  }

  void take(const std::string& json) {
    RouteState fresh;
    fresh.name = detail::member(json, "active");
    fresh.reason = detail::member(json, "reason");
    fresh.epoch = std::strtoull(detail::member(json, "epoch").c_str(), nullptr, 10);
    fresh.sequence = std::strtoull(detail::member(json, "sequence").c_str(), nullptr, 10);
    const std::size_t entry = json.find("{\"name\":\"" + fresh.name + "\"");
    fresh.url = entry == std::string::npos ? std::string() : detail::member(json, "url", entry);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const bool newer =
          fresh.epoch > state_.epoch || (fresh.epoch == state_.epoch && fresh.sequence >= state_.sequence);
      if (fresh.name.empty() || !newer) {
        return;
      }
      const bool same = fresh.name == state_.name;
      state_ = fresh;
      if (same) {
        return;
      }
    }
    known_.notify_all();
    if (told_) {
      told_(fresh);
    }
  }

  const std::vector<std::string> addresses_;
  const std::string target_;
  const std::function<void(const RouteState&)> told_;
  const std::string token_;
  mutable std::mutex mutex_;
  mutable std::condition_variable known_;
  RouteState state_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class Limit {
 public:
  enum class WhenAway { kOpen, kClosed };  // what acquire() says while nobody answers

  Limit(std::vector<std::string> addresses, std::string name, WhenAway when_away = WhenAway::kClosed,
        std::string token = {})
      : addresses_(std::move(addresses)),
        name_(std::move(name)),
        when_away_(when_away),
        token_(std::move(token)) {}

  // How many of `permits` were granted, after at most `wait` (5 s at most); 0: none. They are good for one
  // second.
  std::uint64_t acquire(std::uint64_t permits, std::chrono::milliseconds wait) {
    const std::string body =
        "{\"permits\":" + std::to_string(permits) + ",\"waitMs\":" + std::to_string(wait.count()) + "}";
    for (std::size_t tried = 0; tried < addresses_.size(); ++tried) {
      const std::string& address = addresses_[next_ % addresses_.size()];
      const std::string request =
          "POST /v1/limits/" + name_ + "/acquire HTTP/1.1\r\nHost: " + address +
          "\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: " +
          std::to_string(body.size()) + "\r\n" +
          (token_.empty() ? "" : "Authorization: Bearer " + token_ + "\r\n") + "\r\n" + body;
      const detail::Answer answer = detail::call(address, request, wait + std::chrono::seconds(2), stop_);
      if (answer.status == 200) {
        return std::strtoull(detail::member(answer.body, "granted").c_str(), nullptr, 10);
      }
      if (answer.status == 429) {
        return 0;
      }
      ++next_;
    }
    return when_away_ == WhenAway::kOpen ? permits : 0;
  }

 private:
  const std::vector<std::string> addresses_;
  const std::string name_;
  const WhenAway when_away_;
  const std::string token_;
  std::size_t next_ = 0;
  const std::atomic<bool> stop_{false};
};

}  // namespace naru::client
