#include "collector/receive/syslog_listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <list>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "collector/receive/syslog_records.h"
#include "core/base/address.h"
#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/syslog/syslog.h"
#include "core/telemetry/log.h"

namespace naru::collector {
namespace {

constexpr std::size_t kReadBytes = 64u << 10;
constexpr std::size_t kDatagramBytesMax = 64u << 10;  // of UDP over IPv4 and IPv6
constexpr int kUdpReceiveBuffer = 4 << 20;
constexpr int kPollMillis = 100;

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

std::string peer_host(const sockaddr_storage& address, socklen_t size) {
  char host[NI_MAXHOST] = "";
  getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host, sizeof(host), nullptr, 0,
              NI_NUMERICHOST);
  return host;
}

std::uint16_t bound_port(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

Result<Descriptor> bind_socket(const Address& address, int kind) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = kind;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error =
          getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found)) {
    return fail(ErrorCode::kInvalidArgument,
                "syslog cannot listen on " + address.text() + ": " + gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> list(found, freeaddrinfo);
  Descriptor fd(::socket(found->ai_family, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int one = 1;
  if (kind == SOCK_STREAM) {
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  } else {
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kUdpReceiveBuffer, sizeof(kUdpReceiveBuffer));
    setsockopt(fd.get(), SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof(one));
  }
  if (!fd.valid() || ::bind(fd.get(), found->ai_addr, found->ai_addrlen) != 0 ||
      (kind == SOCK_STREAM && ::listen(fd.get(), SOMAXCONN) != 0)) {
    return fail(ErrorCode::kUnavailable, "syslog cannot listen on " + address.text() + ": " +
                                             std::strerror(errno) + "; choose another address");
  }
  return fd;
}

// What batch callbacks and the reading thread share; callbacks may outlive the listener.
struct Shared {
  Descriptor wake{eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  std::mutex mutex;
  std::vector<std::pair<std::uint64_t, bool>> answers;  // batch number, durable

  void answer(std::uint64_t batch, bool durable) {
    {
      const std::lock_guard lock(mutex);
      answers.emplace_back(batch, durable);
    }
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake.get(), &one, sizeof(one));
  }
};

struct Connection {
  Descriptor fd;
  std::string host;
  syslog::SyslogFramer framer;
  bool waiting = false;  // for the answer to its batch
  bool closed = false;
};

struct Batch {
  std::uint64_t number = 0;
  std::string request;
  std::uint64_t records = 0;
  Connection* connection = nullptr;  // null: UDP
  std::uint64_t retry_at = 0;        // monotonic; 0: under way
};

}  // namespace

struct SyslogListener::Impl {
  Impl(SyslogListenerConfig config_in, SyslogHandler handler_in, telemetry::Registry& registry)
      : config(std::move(config_in)),
        handler(std::move(handler_in)),
        received_udp(
            registry.counter("naru_syslog_messages_total", "Syslog messages taken.", {{"protocol", "udp"}})),
        received_tcp(
            registry.counter("naru_syslog_messages_total", "Syslog messages taken.", {{"protocol", "tcp"}})),
        dropped_udp(registry.counter("naru_syslog_udp_dropped_total",
                                     "Datagrams that the kernel dropped because nobody read them in time.")),
        cut(registry.counter("naru_syslog_cut_total",
                             "Syslog messages that were over the limit and were cut.")),
        refused(registry.counter("naru_syslog_connections_refused_total",
                                 "TCP connections closed because of the limit or a broken frame.")),
        in_flight(registry.gauge("naru_syslog_batches_in_flight", "Batches that are not durable yet.")) {}

  void run();
  void accept_all();
  void read_udp();
  void read_tcp(Connection& connection);
  void submit(std::vector<std::string>& messages, std::string_view host, Connection* connection);
  void hand_on(Batch& batch);
  void take_answers();
  void retry_due();
  void note_kernel_drops(msghdr& header);

  const SyslogListenerConfig config;
  const SyslogHandler handler;
  Descriptor udp, tcp;
  std::string endpoint;
  std::shared_ptr<Shared> shared = std::make_shared<Shared>();
  std::list<Connection> connections;
  std::list<Batch> batches;
  std::uint64_t next_batch = 1;
  std::uint32_t kernel_drops = 0;
  std::string buffer = std::string(kReadBytes, '\0');
  telemetry::Counter received_udp, received_tcp, dropped_udp, cut, refused;
  telemetry::Gauge in_flight;
  std::atomic<bool> stopping{false};
  std::atomic<std::uint64_t> deadline{0};
  std::thread thread;
};

void SyslogListener::Impl::hand_on(Batch& batch) {
  batch.retry_at = 0;
  handler(batch.request, batch.records, [shared = shared, number = batch.number](Result<void> result) {
    shared->answer(number, result.has_value());
  });
}

void SyslogListener::Impl::submit(std::vector<std::string>& messages, std::string_view host,
                                  Connection* connection) {
  if (messages.empty()) {
    return;
  }
  SyslogBatch batch;
  batch.messages = messages;
  batch.fallback_host = host;
  batch.observed = wall_now();
  batch.source = random_16();
  Batch& entry = batches.emplace_back();
  entry.number = next_batch++;
  entry.request = encode_syslog(batch);
  entry.records = messages.size();
  entry.connection = connection;
  if (connection != nullptr) {
    connection->waiting = true;
  }
  (connection != nullptr ? received_tcp : received_udp).add(messages.size());
  in_flight.set(static_cast<double>(batches.size()));
  messages.clear();
  hand_on(entry);
}

void SyslogListener::Impl::take_answers() {
  std::uint64_t ignored = 0;
  [[maybe_unused]] const auto got = ::read(shared->wake.get(), &ignored, sizeof(ignored));
  std::vector<std::pair<std::uint64_t, bool>> answers;
  {
    const std::lock_guard lock(shared->mutex);
    answers.swap(shared->answers);
  }
  for (const auto& [number, durable] : answers) {
    for (auto batch = batches.begin(); batch != batches.end(); ++batch) {
      if (batch->number != number) {
        continue;
      }
      if (!durable) {
        batch->retry_at =
            monotonic_now() + static_cast<std::uint64_t>(config.retry_after.count()) * kNanosPerMilli;
        break;
      }
      if (batch->connection != nullptr) {
        batch->connection->waiting = false;
      }
      batches.erase(batch);
      break;
    }
  }
  in_flight.set(static_cast<double>(batches.size()));
  connections.remove_if([](const Connection& c) { return c.closed && !c.waiting; });
}

void SyslogListener::Impl::retry_due() {
  const std::uint64_t now = monotonic_now();
  for (Batch& batch : batches) {
    if (batch.retry_at != 0 && batch.retry_at <= now) {
      hand_on(batch);
    }
  }
}

void SyslogListener::Impl::accept_all() {
  for (;;) {
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    Descriptor fd(
        ::accept4(tcp.get(), reinterpret_cast<sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.valid()) {
      return;
    }
    if (connections.size() >= config.connections_max) {
      refused.add();
      continue;
    }
    connections.push_back(
        {std::move(fd), peer_host(address, size), syslog::SyslogFramer(config.message_bytes_max)});
  }
}

void SyslogListener::Impl::note_kernel_drops(msghdr& header) {
  for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr;
       control = CMSG_NXTHDR(&header, control)) {
    if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SO_RXQ_OVFL) {
      std::uint32_t total = 0;
      std::memcpy(&total, CMSG_DATA(control), sizeof(total));
      dropped_udp.add(total - kernel_drops);
      kernel_drops = total;
    }
  }
}

// Datagrams of one sender in a row make one batch.
void SyslogListener::Impl::read_udp() {
  std::vector<std::string> messages;
  std::string host;
  std::size_t bytes = 0;
  while (batches.size() < config.batches_in_flight_max) {
    sockaddr_storage address{};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(std::uint32_t))];
    iovec part{buffer.data(), std::min(buffer.size(), kDatagramBytesMax)};
    msghdr header{};
    header.msg_name = &address;
    header.msg_namelen = sizeof(address);
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    const ssize_t got = ::recvmsg(udp.get(), &header, 0);
    if (got < 0) {
      break;
    }
    note_kernel_drops(header);
    std::string from = peer_host(address, header.msg_namelen);
    if (from != host || bytes >= config.batch_bytes) {
      submit(messages, host, nullptr);
      host = std::move(from);
      bytes = 0;
    }
    const std::size_t size = std::min(static_cast<std::size_t>(got), config.message_bytes_max);
    if (size < static_cast<std::size_t>(got)) {
      cut.add();
    }
    if (size > 0) {
      messages.emplace_back(buffer.data(), size);
      bytes += size;
    }
  }
  submit(messages, host, nullptr);
}

void SyslogListener::Impl::read_tcp(Connection& connection) {
  std::vector<std::string> messages;
  std::size_t bytes = 0;
  const std::uint64_t cut_before = connection.framer.cut_messages();
  while (bytes < config.batch_bytes) {
    const ssize_t got = ::recv(connection.fd.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      break;
    }
    if (got <= 0) {
      if (std::string rest = connection.framer.finish(); !rest.empty()) {
        messages.push_back(std::move(rest));
      }
      connection.closed = true;
      break;
    }
    bytes += static_cast<std::size_t>(got);
    if (!connection.framer.feed({buffer.data(), static_cast<std::size_t>(got)}, messages)) {
      telemetry::log_warn("syslog",
                          "{}: closed: an octet count (RFC 6587) is no number; check the sender's framing",
                          connection.host);
      refused.add();
      connection.closed = true;
      break;
    }
  }
  cut.add(connection.framer.cut_messages() - cut_before);
  submit(messages, connection.host, &connection);
}

void SyslogListener::Impl::run() {
  std::vector<pollfd> polled;
  std::vector<Connection*> readers;
  for (;;) {
    const bool ending = stopping.load();
    if (ending && (batches.empty() || monotonic_now() >= deadline.load())) {
      return;
    }
    const bool room = !ending && batches.size() < config.batches_in_flight_max;
    polled = {{shared->wake.get(), POLLIN, 0},
              {tcp.get(), static_cast<short>(ending ? 0 : POLLIN), 0},
              {udp.get(), static_cast<short>(room ? POLLIN : 0), 0}};
    readers.clear();
    for (Connection& connection : connections) {
      if (room && !connection.waiting && !connection.closed) {
        polled.push_back({connection.fd.get(), POLLIN, 0});
        readers.push_back(&connection);
      }
    }
    ::poll(polled.data(), polled.size(), kPollMillis);
    const std::size_t first_reader = 3;
    for (std::size_t i = 0; i < readers.size(); ++i) {
      if (polled[first_reader + i].revents != 0) {
        read_tcp(*readers[i]);
      }
    }
    if (polled[2].revents != 0) {
      read_udp();
    }
    if (polled[1].revents != 0) {
      accept_all();
    }
    take_answers();
    retry_due();
  }
}

Result<std::unique_ptr<SyslogListener>> SyslogListener::start(SyslogListenerConfig config,
                                                              SyslogHandler handler,
                                                              telemetry::Registry& registry) {
  NARU_TRY(Address address, parse_address(config.address));
  auto impl = std::make_unique<Impl>(std::move(config), std::move(handler), registry);
  // The port that TCP got must be free for UDP too; with port 0 another one is tried when it is not.
  constexpr int kTries = 16;
  Error last(ErrorCode::kUnavailable, "");
  for (int attempt = 0; attempt < (address.port == 0 ? kTries : 1) && !impl->udp.valid(); ++attempt) {
    NARU_TRY(impl->tcp, bind_socket(address, SOCK_STREAM));
    Address same = address;
    same.port = bound_port(impl->tcp.get());
    auto udp = bind_socket(same, SOCK_DGRAM);
    if (!udp) {
      last = udp.error();
      continue;
    }
    impl->udp = std::move(*udp);
    impl->endpoint = same.text();
  }
  if (!impl->udp.valid()) {
    return fail(last);
  }
  Impl* const running = impl.get();
  impl->thread = std::thread([running] { running->run(); });
  return std::unique_ptr<SyslogListener>(new SyslogListener(std::move(impl)));
}

SyslogListener::SyslogListener(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SyslogListener::~SyslogListener() {
  stop(std::chrono::milliseconds{0});
}
const std::string& SyslogListener::endpoint() const {
  return impl_->endpoint;
}

void SyslogListener::stop(std::chrono::milliseconds drain) {
  if (!impl_->thread.joinable()) {
    return;
  }
  impl_->deadline = monotonic_now() + static_cast<std::uint64_t>(drain.count()) * kNanosPerMilli;
  impl_->stopping = true;
  impl_->shared->answer(0, true);
  impl_->thread.join();
}

}  // namespace naru::collector
