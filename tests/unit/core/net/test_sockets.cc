#include "tests/unit/core/net/test_sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

namespace naru::net::testing {
namespace {

constexpr int kPatienceMs = 10'000;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool wait_readable(int descriptor) {
  pollfd item{descriptor, POLLIN, 0};
  return ::poll(&item, 1, kPatienceMs) == 1;
}

}  // namespace

RawSocket& RawSocket::operator=(RawSocket&& other) noexcept {
  close();
  descriptor_ = std::exchange(other.descriptor_, -1);
  pending_ = std::move(other.pending_);
  return *this;
}

RawSocket RawSocket::connect(const std::string& endpoint) {
  const auto port = static_cast<std::uint16_t>(std::atoi(endpoint.substr(endpoint.rfind(':') + 1).c_str()));
  const int descriptor = ::socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in address = loopback(port);
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    ::close(descriptor);
    return {};
  }
  return RawSocket(descriptor);
}

bool RawSocket::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      return false;
    }
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool RawSocket::read_some(std::string& into) {
  char chunk[16384];
  if (!wait_readable(descriptor_)) {
    into += kSilent;
    return false;
  }
  const ssize_t got = ::recv(descriptor_, chunk, sizeof(chunk), 0);
  if (got <= 0) {
    return false;
  }
  into.append(chunk, static_cast<std::size_t>(got));
  return true;
}

std::string RawSocket::read_until(std::string_view text) {
  std::string seen = std::exchange(pending_, {});
  while (true) {
    const std::size_t at = text.empty() ? std::string::npos : seen.find(text);
    if (at != std::string::npos) {
      pending_ = seen.substr(at + text.size());
      return seen.substr(0, at + text.size());
    }
    if (!read_some(seen)) {
      return seen;
    }
  }
}

std::string RawSocket::read_response() {
  std::string response = read_until("\r\n\r\n");
  const std::size_t at = response.find("Content-Length: ");
  if (at == std::string::npos) {
    return response;
  }
  const std::size_t length = std::strtoul(response.c_str() + at + 16, nullptr, 10);
  while (pending_.size() < length && read_some(pending_)) {
  }
  response += pending_.substr(0, length);
  pending_.erase(0, length);
  return response;
}

void RawSocket::close() {
  if (descriptor_ >= 0) {
    ::close(std::exchange(descriptor_, -1));
  }
}

RawListener::RawListener() : descriptor_(::socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof(address);
  if (::bind(descriptor_, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::listen(descriptor_, 16) != 0 ||
      ::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::abort();
  }
  port_ = ntohs(address.sin_port);
}

RawListener::~RawListener() {
  ::close(descriptor_);
}

std::string RawListener::endpoint() const {
  return "127.0.0.1:" + std::to_string(port_);
}

RawSocket RawListener::accept() {
  return wait_readable(descriptor_) ? RawSocket(::accept(descriptor_, nullptr, nullptr)) : RawSocket();
}

}  // namespace naru::net::testing
