// A TCP connection for what is not HTTP: probes, mail. Blocking, with a deadline.
#pragma once

#include <chrono>
#include <string>

#include "core/base/address.h"
#include "core/base/result.h"

namespace naru::net {

// A connected, non-blocking socket that is closed with its owner.
class TcpSocket {
 public:
  explicit TcpSocket(int fd) : fd_(fd) {}
  TcpSocket(TcpSocket&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  TcpSocket& operator=(TcpSocket&&) = delete;
  ~TcpSocket();
  int fd() const { return fd_; }

 private:
  int fd_;
};

// kUnavailable: no such host, or it refuses; kTimeout; kIo.
Result<TcpSocket> tcp_connect(const Address& address, std::chrono::milliseconds timeout);

}  // namespace naru::net
