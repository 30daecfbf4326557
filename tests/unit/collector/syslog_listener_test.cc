#include "collector/receive/syslog_listener.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <set>

#include "core/base/address.h"
#include "core/otlp/otlp.h"

namespace naru::collector {
namespace {

std::vector<std::string> bodies_of(const std::string& request) {
  std::vector<std::string> out;
  otlp::Messages resources = otlp::resource_groups(request);
  while (resources.next()) {
    otlp::ResourceGroup resource;
    EXPECT_TRUE(otlp::parse(resources.bytes(), resource));
    otlp::Messages scopes = otlp::scope_groups(resource);
    while (scopes.next()) {
      otlp::ScopeGroup scope;
      EXPECT_TRUE(otlp::parse(scopes.bytes(), scope));
      EXPECT_TRUE(otlp::scope_identity(scope.scope).present);
      otlp::Messages records = otlp::records(scope);
      while (records.next()) {
        otlp::LogRecord record;
        otlp::AnyValue body;
        EXPECT_TRUE(otlp::parse(records.bytes(), record));
        EXPECT_TRUE(otlp::parse(record.body, body));
        out.emplace_back(body.bytes);
      }
    }
  }
  return out;
}

// Collects what arrives; refuses the first `refusals` batches.
struct Receiver {
  std::mutex mutex;
  std::condition_variable arrived;
  std::multiset<std::string> bodies;
  int refusals = 0;

  SyslogHandler handler() {
    return [this](const std::string& request, std::uint64_t records, SyslogDone done) {
      const auto read = bodies_of(request);
      EXPECT_EQ(read.size(), records);
      {
        const std::lock_guard lock(mutex);
        if (refusals > 0) {
          --refusals;
        } else {
          bodies.insert(read.begin(), read.end());
          arrived.notify_all();
          done({});
          return;
        }
      }
      done(fail(ErrorCode::kUnavailable, "not now"));
    };
  }
  bool wait_for(std::size_t count) {
    std::unique_lock lock(mutex);
    return arrived.wait_for(lock, std::chrono::seconds{10}, [&] { return bodies.size() >= count; });
  }
};

class Client {
 public:
  Client(const std::string& endpoint, int kind) : fd_(::socket(AF_INET, kind, 0)) {
    const auto address = parse_address(endpoint).value();
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(address.port);
    inet_pton(AF_INET, address.host.c_str(), &to.sin_addr);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
  }
  ~Client() { ::close(fd_); }
  void send(std::string_view bytes) {
    EXPECT_EQ(::send(fd_, bytes.data(), bytes.size(), 0), std::ssize(bytes));
  }

 private:
  int fd_;
};

TEST(SyslogListener, TakesBothProtocolsOnOnePort) {
  telemetry::Registry registry;
  Receiver receiver;
  auto listener = SyslogListener::start({.address = "127.0.0.1:0"}, receiver.handler(), registry);
  ASSERT_TRUE(listener) << listener.error().message();
  Client udp((*listener)->endpoint(), SOCK_DGRAM);
  udp.send("<13>app: over udp");
  {
    Client tcp((*listener)->endpoint(), SOCK_STREAM);
    tcp.send("<13>app: first\n<13>app: second\n<13>app: unfinished");
  }
  ASSERT_TRUE(receiver.wait_for(4));
  EXPECT_EQ(receiver.bodies, (std::multiset<std::string>{"over udp", "first", "second", "unfinished"}));
}

TEST(SyslogListener, OffersARefusedBatchAgain) {
  telemetry::Registry registry;
  Receiver receiver;
  receiver.refusals = 3;
  auto listener = SyslogListener::start(
      {.address = "127.0.0.1:0", .retry_after = std::chrono::milliseconds{1}}, receiver.handler(), registry);
  ASSERT_TRUE(listener);
  Client tcp((*listener)->endpoint(), SOCK_STREAM);
  tcp.send("<13>app: kept\n");
  ASSERT_TRUE(receiver.wait_for(1));
  (*listener)->stop(std::chrono::seconds{5});
  EXPECT_EQ(receiver.bodies, (std::multiset<std::string>{"kept"}));
}

TEST(SyslogListener, SaysWhichAddressIsInUse) {
  telemetry::Registry registry;
  Receiver receiver;
  auto first = SyslogListener::start({.address = "127.0.0.1:0"}, receiver.handler(), registry);
  ASSERT_TRUE(first);
  const auto second = SyslogListener::start({.address = (*first)->endpoint()}, receiver.handler(), registry);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::kUnavailable);
  EXPECT_NE(second.error().message().find((*first)->endpoint()), std::string::npos);
}

}  // namespace
}  // namespace naru::collector
