#include "core/net/tcp_connect.h"

#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace naru::net {

TcpSocket::~TcpSocket() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

Result<TcpSocket> tcp_connect(const Address& address, std::chrono::milliseconds timeout) {
  const auto refuse = [&](ErrorCode code, std::string_view why) {
    return fail(code, fmt::format("{}: {}", address.text(), why));
  };
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code = ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (code != 0) {
    return refuse(ErrorCode::kUnavailable, ::gai_strerror(code));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, &::freeaddrinfo);
  TcpSocket socket(::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.fd() < 0) {
    return refuse(ErrorCode::kIo, std::strerror(errno));
  }
  if (::connect(socket.fd(), found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS) {
    return refuse(ErrorCode::kUnavailable, std::strerror(errno));
  }
  pollfd wait{socket.fd(), POLLOUT, 0};
  if (::poll(&wait, 1, static_cast<int>(timeout.count())) <= 0) {
    return refuse(ErrorCode::kTimeout, fmt::format("took no connection within {} ms", timeout.count()));
  }
  int error = 0;
  socklen_t size = sizeof(error);
  ::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) {
    return refuse(ErrorCode::kUnavailable, std::strerror(error));
  }
  return socket;
}

}  // namespace naru::net
