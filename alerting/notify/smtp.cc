#include "alerting/notify/smtp.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "core/base/address.h"
#include "core/base/bytes.h"
#include "core/base/clock.h"
#include "core/base/host.h"
#include "core/net/tcp_connect.h"

namespace naru::alerting {
namespace {

class Connection {
 public:
  Connection(net::TcpSocket socket, std::uint64_t deadline)
      : socket_(std::move(socket)), deadline_(deadline) {}

  Result<void> write(std::string_view bytes) {
    while (!bytes.empty()) {
      NARU_TRY_VOID(wait(POLLOUT));
      const ssize_t n = ::send(socket_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n < 0 && errno != EAGAIN) {
        return fail(ErrorCode::kUnavailable, std::strerror(errno));
      }
      bytes.remove_prefix(n < 0 ? 0 : static_cast<std::size_t>(n));
    }
    return {};
  }

  // The reply to the last command must begin with `first`: 2, or 3 for "go on".
  Result<void> expect(char first, std::string_view command) {
    constexpr std::size_t kReplyMax = 64u << 10;
    for (;;) {
      std::size_t end;
      while ((end = buffered_.find('\n')) == std::string::npos) {
        NARU_TRY_VOID(wait(POLLIN));
        char bytes[1024];
        const ssize_t n = ::recv(socket_.fd(), bytes, sizeof(bytes), 0);
        if (n == 0 || (n < 0 && errno != EAGAIN) || buffered_.size() > kReplyMax) {
          return fail(ErrorCode::kUnavailable, "the mail relay closed the connection");
        }
        buffered_.append(bytes, n < 0 ? 0 : static_cast<std::size_t>(n));
      }
      const std::string line = buffered_.substr(0, end);
      buffered_.erase(0, end + 1);
      if (line.size() > 3 && line[3] == '-') {
        continue;  // more lines follow
      }
      if (!line.empty() && line[0] == first) {
        return {};
      }
      return fail(!line.empty() && line[0] == '5' ? ErrorCode::kInvalidArgument : ErrorCode::kUnavailable,
                  fmt::format("the mail relay answered {} to {}", line.substr(0, 200), command));
    }
  }

 private:
  Result<void> wait(short what) {
    const std::uint64_t now = monotonic_now();
    pollfd entry{socket_.fd(), what, 0};
    if (now >= deadline_ ||
        ::poll(&entry, 1, static_cast<int>((deadline_ - now) / kNanosPerMilli) + 1) <= 0) {
      return fail(ErrorCode::kTimeout, "the mail relay did not answer in time");
    }
    return {};
  }

  const net::TcpSocket socket_;
  const std::uint64_t deadline_;
  std::string buffered_;
};

// A line break in a header would begin another one.
std::string header_text(std::string_view text) {
  std::string out(text);
  std::erase_if(out, [](char c) { return c == '\r' || c == '\n'; });
  return out;
}

}  // namespace

std::string mail_data(const Mail& mail, const std::string& date) {
  std::string out =
      fmt::format("From: {}\r\nTo: {}\r\nSubject: =?UTF-8?B?{}?=\r\nDate: {}\r\n", header_text(mail.from),
                  header_text(fmt::format("{}", fmt::join(mail.to, ", "))), to_base64(mail.subject), date);
  out +=
      "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
      "8bit\r\n\r\n";
  std::string_view text = mail.text;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    if (line.starts_with('.')) {
      out += '.';
    }
    out += line;
    out += "\r\n";
  }
  return out + ".\r\n";
}

Result<void> send_mail(const std::string& relay, const Mail& mail, std::chrono::milliseconds timeout) {
  NARU_TRY(const Address address, parse_address(relay));
  const std::uint64_t deadline = monotonic_now() + to_nanos(timeout);
  NARU_TRY(net::TcpSocket socket, net::tcp_connect(address, timeout));
  Connection connection(std::move(socket), deadline);
  NARU_TRY_VOID(connection.expect('2', "the connection"));
  const auto say = [&](const std::string& command, char expected) -> Result<void> {
    NARU_TRY_VOID(connection.write(command + "\r\n"));
    return connection.expect(expected, command);
  };
  NARU_TRY_VOID(say(fmt::format("EHLO {}", host_name("localhost")), '2'));
  NARU_TRY_VOID(say(fmt::format("MAIL FROM:<{}>", header_text(mail.from)), '2'));
  for (const std::string& to : mail.to) {
    NARU_TRY_VOID(say(fmt::format("RCPT TO:<{}>", header_text(to)), '2'));
  }
  NARU_TRY_VOID(say("DATA", '3'));
  const std::time_t now = std::time(nullptr);
  NARU_TRY_VOID(
      connection.write(mail_data(mail, fmt::format("{:%a, %d %b %Y %H:%M:%S +0000}", fmt::gmtime(now)))));
  NARU_TRY_VOID(connection.expect('2', "the mail"));
  (void)say("QUIT", '2');
  return {};
}

}  // namespace naru::alerting
