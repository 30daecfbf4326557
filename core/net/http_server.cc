#include "core/net/http_server.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_set>
#include <vector>

#include "core/base/address.h"
#include "core/net/body_sink.h"
#include "core/net/tls_context.h"

namespace naru::net {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr auto kUse = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kHeaderReadBytes = 16u << 10;
constexpr std::size_t kBodyReadBytes = 64u << 10;
constexpr std::size_t kBodyAllocatedBytes = 4u << 20;  // at the word of a header alone
constexpr std::size_t kProgressBytes = 64u << 10;      // must move within idle_timeout
constexpr std::size_t kRefusalsMax = 64;               // connections over the limit that still hear why
constexpr std::chrono::milliseconds kLingerTime{2'000};

// One connection's bytes, with or without TLS, and what the sweep needs to know of it. Lives on its loop's
// thread; only the response slot is touched from others.
class Connection {
 public:
  virtual ~Connection() = default;
  virtual asio::awaitable<error_code> handshake() = 0;
  virtual asio::awaitable<std::pair<error_code, std::size_t>> read_some(asio::mutable_buffer into) = 0;
  virtual asio::awaitable<std::pair<error_code, std::size_t>> write_some(
      const std::array<asio::const_buffer, 2>& from) = 0;
  virtual asio::awaitable<void> end_writing() = 0;
  virtual tcp::socket& socket() = 0;
  virtual std::string identity() = 0;

  void set_deadline(std::chrono::milliseconds from_now) { deadline = Clock::now() + from_now; }
  void no_deadline() { deadline = Clock::time_point::max(); }
  void abort() {
    aborted = true;
    error_code ignored;
    socket().close(ignored);
    answered.cancel();
  }

  Connection(const asio::any_io_executor& executor) : answered(executor) {}

  Clock::time_point deadline = Clock::time_point::max();
  bool idle = true;  // no byte of a request has come since the last answer
  bool aborted = false;
  asio::steady_timer answered;  // never expires; cancelled when the response is there
};

class PlainConnection final : public Connection {
 public:
  explicit PlainConnection(tcp::socket socket)
      : Connection(socket.get_executor()), socket_(std::move(socket)) {}
  asio::awaitable<error_code> handshake() override { co_return error_code(); }
  asio::awaitable<std::pair<error_code, std::size_t>> read_some(asio::mutable_buffer into) override {
    auto [error, bytes] = co_await socket_.async_read_some(into, kUse);
    co_return std::pair(error, bytes);
  }
  asio::awaitable<std::pair<error_code, std::size_t>> write_some(
      const std::array<asio::const_buffer, 2>& from) override {
    auto [error, bytes] = co_await socket_.async_write_some(from, kUse);
    co_return std::pair(error, bytes);
  }
  asio::awaitable<void> end_writing() override {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    co_return;
  }
  tcp::socket& socket() override { return socket_; }
  std::string identity() override { return {}; }

 private:
  tcp::socket socket_;
};

class TlsConnection final : public Connection {
 public:
  TlsConnection(tcp::socket socket, ssl::context& context)
      : Connection(socket.get_executor()), stream_(std::move(socket), context) {}
  asio::awaitable<error_code> handshake() override {
    auto [error] = co_await stream_.async_handshake(ssl::stream_base::server, kUse);
    co_return error;
  }
  asio::awaitable<std::pair<error_code, std::size_t>> read_some(asio::mutable_buffer into) override {
    auto [error, bytes] = co_await stream_.async_read_some(into, kUse);
    co_return std::pair(error, bytes);
  }
  asio::awaitable<std::pair<error_code, std::size_t>> write_some(
      const std::array<asio::const_buffer, 2>& from) override {
    auto [error, bytes] = co_await stream_.async_write_some(from, kUse);
    co_return std::pair(error, bytes);
  }
  asio::awaitable<void> end_writing() override { co_await stream_.async_shutdown(kUse); }
  tcp::socket& socket() override { return stream_.next_layer(); }
  std::string identity() override { return peer_identity(stream_.native_handle()); }

 private:
  ssl::stream<tcp::socket> stream_;
};

// Where the answer of a handler meets the connection that waits for it.
class ResponseSlot {
 public:
  void answer(HttpResponse response, const std::shared_ptr<ResponseSlot>& self) {
    const std::lock_guard lock(mutex_);
    response_ = std::move(response);
    // A waiting connection keeps its io_context alive, so posting under the lock is safe.
    if (waiter_ != nullptr) {
      asio::post(waiter_->get_executor(), [self] { self->wake(); });
    }
  }

  // Takes the response, or else registers `waiter` to be cancelled when it comes.
  std::optional<HttpResponse> take_or_wait(asio::steady_timer& waiter) {
    const std::lock_guard lock(mutex_);
    waiter_ = response_.has_value() ? nullptr : &waiter;
    return std::exchange(response_, std::nullopt);
  }

  void abandon() {
    const std::lock_guard lock(mutex_);
    waiter_ = nullptr;
  }

 private:
  void wake() {
    const std::lock_guard lock(mutex_);
    if (waiter_ != nullptr) {
      waiter_->cancel();
    }
  }

  std::mutex mutex_;
  std::optional<HttpResponse> response_;
  asio::steady_timer* waiter_ = nullptr;
};

// Beast body that hands what it reads to a BodySink.
struct SinkBody {
  using value_type = BodySink*;
  class reader {
   public:
    template <bool kRequest, class Fields>
    reader(http::header<kRequest, Fields>&, value_type& sink) : sink_(sink) {}
    void init(const boost::optional<std::uint64_t>&, error_code& error) { error = {}; }
    template <class Buffers>
    std::size_t put(const Buffers& buffers, error_code& error) {
      std::size_t taken = 0;
      error = {};
      for (auto at = asio::buffer_sequence_begin(buffers); at != asio::buffer_sequence_end(buffers); ++at) {
        const asio::const_buffer buffer = *at;
        if (!sink_->append(std::string_view(static_cast<const char*>(buffer.data()), buffer.size()))) {
          error = http::make_error_code(http::error::body_limit);
          return taken;
        }
        taken += buffer.size();
      }
      return taken;
    }
    void finish(error_code& error) { error = {}; }

   private:
    value_type& sink_;
  };
};
using Parser = http::request_parser<SinkBody>;

// Fields that only the server may decide.
bool is_framing_field(std::string_view name) {
  auto same = [&](std::string_view other) {
    return std::ranges::equal(name, other, [](char a, char b) { return (a | 0x20) == (b | 0x20); });
  };
  return same("content-length") || same("transfer-encoding") || same("connection") || same("date");
}

// A line break inside a value would let a caller's data end the header.
void append_clean(std::string& out, std::string_view value) {
  for (const char c : value) {
    out.push_back(c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
  }
}

std::string response_head(const HttpResponse& response, bool http_1_0, bool keep_alive) {
  std::string head;
  head.reserve(256);
  const auto reason = http::obsolete_reason(static_cast<http::status>(response.status));
  fmt::format_to(std::back_inserter(head), "HTTP/1.1 {} {}\r\nDate: {:%a, %d %b %Y %H:%M:%S} GMT\r\n",
                 response.status, std::string_view(reason.data(), reason.size()),
                 fmt::gmtime(std::time(nullptr)));
  for (const auto& [name, value] : response.headers.all()) {
    if (!is_framing_field(name)) {
      append_clean(head, name);
      head += ": ";
      append_clean(head, value);
      head += "\r\n";
    }
  }
  if (response.status != 204 && response.status != 304) {
    fmt::format_to(std::back_inserter(head), "Content-Length: {}\r\n", response.body.size());
  }
  if (!keep_alive) {
    head += "Connection: close\r\n";
  } else if (http_1_0) {
    head += "Connection: keep-alive\r\n";
  }
  head += "\r\n";
  return head;
}

HttpResponse overloaded(std::string_view why) {
  HttpResponse response = text_response(503, fmt::format("{}; send it again later.\n", why));
  response.headers.add("Retry-After", "1");
  return response;
}

std::string describe(const tcp::endpoint& endpoint) {
  return Address{endpoint.address().to_string(), endpoint.port()}.text();
}

bool is_loopback(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).is_loopback();
  }
  return address.is_loopback();
}

Result<tcp::acceptor> listen_on(asio::io_context& io, const std::string& text) {
  NARU_TRY(const Address address, parse_address(text));
  tcp::resolver resolver(io);
  error_code error;
  const auto found =
      resolver.resolve(address.host, std::to_string(address.port), tcp::resolver::passive, error);
  if (error || found.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("cannot listen on {}: the host '{}' is not known: {}", text, address.host,
                            error.message()));
  }
  const tcp::endpoint endpoint = found.begin()->endpoint();
  tcp::acceptor acceptor(io);
  acceptor.open(endpoint.protocol(), error);
  if (!error) {
    acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  }
  if (!error) {
    acceptor.bind(endpoint, error);
  }
  if (!error) {
    acceptor.listen(asio::socket_base::max_listen_connections, error);
  }
  if (error == asio::error::address_in_use) {
    return fail(ErrorCode::kUnavailable,
                fmt::format("cannot listen on {}: another program uses this address; stop it or choose "
                            "another port",
                            text));
  }
  if (error == error_code(EADDRNOTAVAIL, boost::system::system_category())) {
    return fail(
        ErrorCode::kUnavailable,
        fmt::format("cannot listen on {}: this machine has no such address; choose one of its own", text));
  }
  if (error) {
    return fail(ErrorCode::kUnavailable, fmt::format("cannot listen on {}: {}", text, error.message()));
  }
  return acceptor;
}

}  // namespace

struct HttpServer::Impl {
  // One thread with its io_context and the connections that live on it.
  struct Loop {
    asio::io_context io{1};
    asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
    asio::steady_timer sweep{io};
    bool sweeping = false;
    bool draining = false;
    std::unordered_set<Connection*> connections;
    std::thread thread;
  };

  Impl(HttpServerConfig config_in, HttpHandler handler_in)
      : config(std::move(config_in)),
        handler(std::move(handler_in)),
        budget(config.body_bytes_in_flight_max) {}

  const HttpServerConfig config;
  const HttpHandler handler;
  ByteBudget budget;
  std::optional<ssl::context> tls;
  std::vector<std::unique_ptr<Loop>> loops;
  std::optional<tcp::acceptor> acceptor;  // on loops[0]
  std::optional<asio::steady_timer> accept_pause;
  std::string endpoint;

  std::atomic<std::size_t> connections{0}, refusals{0};
  std::atomic<std::uint64_t> requests{0}, refused{0}, overloads{0}, too_large{0}, malformed{0}, timed_out{0};

  std::mutex stop_mutex;
  bool stopped = false;
  std::mutex tasks_mutex;
  std::condition_variable tasks_ended;
  std::size_t tasks = 0;  // coroutines alive

  void spawn(Loop& loop, asio::awaitable<void> task) {
    {
      const std::lock_guard lock(tasks_mutex);
      ++tasks;
    }
    asio::co_spawn(loop.io, std::move(task), [this](std::exception_ptr failure) {
      if (failure) {
        std::rethrow_exception(failure);  // nothing here throws but a defect or no memory: end the process
      }
      const std::lock_guard lock(tasks_mutex);
      --tasks;
      tasks_ended.notify_all();
    });
  }

  bool wait_for_tasks(std::chrono::milliseconds limit) {
    std::unique_lock lock(tasks_mutex);
    return tasks_ended.wait_for(lock, limit, [&] { return tasks == 0; });
  }

  asio::awaitable<void> accept() {
    std::size_t next = 0;
    while (acceptor->is_open()) {
      Loop& loop = *loops[next++ % loops.size()];
      auto [error, socket] = co_await acceptor->async_accept(loop.io, kUse);
      if (error == asio::error::operation_aborted || !acceptor->is_open()) {
        co_return;
      }
      if (error) {
        // Out of descriptors or memory: let connections end rather than spin.
        accept_pause->expires_after(std::chrono::milliseconds(100));
        co_await accept_pause->async_wait(kUse);
        continue;
      }
      if (connections.load() >= config.connections_max) {
        refused.fetch_add(1);
        if (refusals.load() < kRefusalsMax) {
          refusals.fetch_add(1);
          spawn(loop, refuse_connection(loop, std::move(socket)));
        }
        continue;
      }
      connections.fetch_add(1);
      spawn(loop, run_connection(loop, std::move(socket)));
    }
  }

  // Connections of a loop are watched by one timer, so that a read or a write costs no timer of its own.
  asio::awaitable<void> sweep(Loop& loop) {
    const auto period = std::clamp<std::chrono::milliseconds>(
        config.idle_timeout / 8, std::chrono::milliseconds(5), std::chrono::milliseconds(1'000));
    while (!loop.connections.empty()) {
      loop.sweep.expires_after(period);
      co_await loop.sweep.async_wait(kUse);
      const auto now = Clock::now();
      for (Connection* connection : loop.connections) {
        if (connection->deadline < now && !connection->aborted) {
          timed_out.fetch_add(1);
          connection->abort();
        }
      }
    }
    loop.sweeping = false;
  }

  void watch(Loop& loop, Connection& connection) {
    loop.connections.insert(&connection);
    if (!loop.sweeping) {
      loop.sweeping = true;
      spawn(loop, sweep(loop));
    }
  }

  void unwatch(Loop& loop, Connection& connection) {
    loop.connections.erase(&connection);
    if (loop.connections.empty()) {
      loop.sweep.cancel();
    }
  }

  std::unique_ptr<Connection> make_connection(tcp::socket socket) {
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    socket.set_option(asio::socket_base::keep_alive(true), ignored);
    if (tls.has_value()) {
      return std::make_unique<TlsConnection>(std::move(socket), *tls);
    }
    return std::make_unique<PlainConnection>(std::move(socket));
  }

  asio::awaitable<void> run_connection(Loop& loop, tcp::socket socket) {
    Peer peer;
    error_code error;
    const tcp::endpoint remote = socket.remote_endpoint(error);
    peer.address = describe(remote);
    peer.loopback = !error && is_loopback(remote.address());
    peer.tls = tls.has_value();
    const std::unique_ptr<Connection> connection = make_connection(std::move(socket));
    watch(loop, *connection);
    connection->set_deadline(config.idle_timeout);
    error = co_await connection->handshake();
    if (!error) {
      peer.tls_identity = connection->identity();
      boost::beast::flat_buffer buffer;
      while (co_await serve_one(loop, *connection, buffer, peer)) {
      }
    }
    unwatch(loop, *connection);
    connections.fetch_sub(1);
  }

  asio::awaitable<void> refuse_connection(Loop& loop, tcp::socket socket) {
    const std::unique_ptr<Connection> connection = make_connection(std::move(socket));
    watch(loop, *connection);
    connection->set_deadline(kLingerTime);
    const error_code error = co_await connection->handshake();
    if (!error) {
      HttpResponse response =
          overloaded(fmt::format("All {} connections of this server are in use", config.connections_max));
      co_await answer_and_close(*connection, std::move(response));
    }
    unwatch(loop, *connection);
    refusals.fetch_sub(1);
  }

  // Serves one request. False: the connection is done.
  asio::awaitable<bool> serve_one(Loop& loop, Connection& connection, boost::beast::flat_buffer& buffer,
                                  const Peer& peer) {
    Parser parser;
    parser.header_limit(static_cast<std::uint32_t>(config.header_bytes_max));
    parser.body_limit(boost::none);  // BodySink has the limit: it sees the bytes after decompression
    const std::optional<HttpResponse> bad_header = co_await read_header(loop, connection, buffer, parser);
    if (bad_header.has_value()) {
      if (bad_header->status != 0) {
        co_await answer_and_close(connection, *bad_header);
      }
      co_return false;
    }
    const bool http_1_0 = parser.get().version() == 10;
    bool head_only = false;
    bool keep_alive = parser.keep_alive();
    HttpResponse response;
    {
      BodySink sink(config.body_bytes_max, budget);
      std::optional<HttpResponse> refusal = admit(parser, sink);
      if (!refusal.has_value()) {
        refusal = co_await read_body(connection, buffer, parser, sink);
      }
      if (refusal.has_value()) {
        if (refusal->status != 0) {
          co_await answer_and_close(connection, std::move(*refusal));
        }
        co_return false;
      }
      HttpRequest request = make_request(parser, sink, peer);
      head_only = request.method == "HEAD";
      requests.fetch_add(1, std::memory_order_relaxed);
      const bool answered = co_await call_handler(connection, std::move(request), response);
      if (!answered) {
        co_return false;
      }
    }
    keep_alive = keep_alive && !loop.draining;
    const bool written = co_await write_response(connection, response, http_1_0, keep_alive, head_only);
    if (!written) {
      co_return false;
    }
    if (!keep_alive) {
      connection.set_deadline(kLingerTime);
      co_await connection.end_writing();
    }
    co_return keep_alive;
  }

  // nullopt: parser holds the header. A response with status 0: close without a word.
  asio::awaitable<std::optional<HttpResponse>> read_header(Loop& loop, Connection& connection,
                                                           boost::beast::flat_buffer& buffer,
                                                           Parser& parser) {
    HttpResponse silent;
    silent.status = 0;
    connection.idle = buffer.size() == 0;
    connection.set_deadline(config.idle_timeout);
    while (true) {
      if (buffer.size() > 0) {
        error_code error;
        buffer.consume(parser.put(buffer.data(), error));
        if (parser.is_header_done()) {
          co_return std::nullopt;
        }
        if (error == http::error::header_limit) {
          too_large.fetch_add(1);
          co_return text_response(
              431, fmt::format("The request header is over {} bytes.\n", config.header_bytes_max));
        }
        if (error && error != http::error::need_more) {
          malformed.fetch_add(1);
          co_return text_response(400,
                                  fmt::format("This is not a valid HTTP request: {}.\n", error.message()));
        }
      }
      if (connection.idle && loop.draining) {
        co_return silent;
      }
      const auto [error, bytes] = co_await connection.read_some(buffer.prepare(kHeaderReadBytes));
      if (error) {
        co_return silent;
      }
      if (connection.idle) {
        connection.idle = false;
        connection.set_deadline(config.idle_timeout);
      }
      buffer.commit(bytes);
    }
  }

  // What can be refused by the header alone.
  std::optional<HttpResponse> admit(Parser& parser, BodySink& sink) {
    const auto& fields = parser.get();
    auto bad_request = [&](std::string text) {
      malformed.fetch_add(1);
      return text_response(400, std::move(text));
    };
    if (fields.version() >= 11 && fields.count(http::field::host) != 1) {
      return bad_request("An HTTP/1.1 request needs exactly one Host field.\n");
    }
    // Framing that two programs could read differently lets one request hide in another.
    if (fields.count(http::field::transfer_encoding) > 0 &&
        (!parser.chunked() || !boost::beast::iequals(fields[http::field::transfer_encoding], "chunked"))) {
      return bad_request("The only Transfer-Encoding taken here is chunked.\n");
    }
    std::string encoding(fields[http::field::content_encoding]);
    std::ranges::transform(encoding, encoding.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? c | 0x20 : c; });
    if (fields.count(http::field::content_encoding) > 1 || !sink.set_encoding(encoding)) {
      return text_response(415,
                           fmt::format("Content-Encoding '{}' is not known here; send one of gzip, deflate, "
                                       "zstd, or none.\n",
                                       encoding));
    }
    if (const auto length = parser.content_length(); length.has_value()) {
      if (*length > config.body_bytes_max) {
        return body_too_large();
      }
      if (!budget.has_room(*length)) {
        return body_overloaded();
      }
    }
    parser.get().body() = &sink;
    return std::nullopt;
  }

  HttpResponse body_too_large() {
    too_large.fetch_add(1);
    return text_response(413,
                         fmt::format("The request body is over {} bytes after decompression; send smaller "
                                     "batches.\n",
                                     config.body_bytes_max));
  }

  HttpResponse body_overloaded() {
    overloads.fetch_add(1);
    return overloaded(
        fmt::format("The requests in flight hold {} bytes already", config.body_bytes_in_flight_max));
  }

  HttpResponse refusal_of(const BodySink& sink, const error_code& error) {
    switch (sink.fault()) {
      case BodySink::Fault::kTooLarge: return body_too_large();
      case BodySink::Fault::kOverloaded: return body_overloaded();
      case BodySink::Fault::kMalformed:
        malformed.fetch_add(1);
        return text_response(400,
                             "The body is not what Content-Encoding says: it is damaged or cut short.\n");
      case BodySink::Fault::kNone: break;
    }
    malformed.fetch_add(1);
    return text_response(400, fmt::format("The request body is malformed: {}.\n", error.message()));
  }

  // nullopt: `sink` holds the body. A response with status 0: close without a word.
  asio::awaitable<std::optional<HttpResponse>> read_body(Connection& connection,
                                                         boost::beast::flat_buffer& buffer, Parser& parser,
                                                         BodySink& sink) {
    HttpResponse silent;
    silent.status = 0;
    connection.set_deadline(config.idle_timeout);
    const auto length = parser.content_length();
    if (!parser.chunked() && length.value_or(0) == 0) {
      co_return std::nullopt;
    }
    if (buffer.size() == 0 && parser.get().version() >= 11 &&
        boost::beast::iequals(parser.get()[http::field::expect], "100-continue")) {
      const bool written = co_await write_all(connection, "HTTP/1.1 100 Continue\r\n\r\n", {});
      if (!written) {
        co_return silent;
      }
    }
    std::size_t progress = 0;
    auto moved = [&](std::size_t bytes) {
      progress += bytes;
      if (progress >= kProgressBytes) {
        progress = 0;
        connection.set_deadline(config.idle_timeout);
      }
    };
    if (length.has_value() && sink.identity()) {
      sink.expect(static_cast<std::size_t>(*length), kBodyAllocatedBytes);
      while (buffer.size() > 0 && sink.remaining() > 0) {
        const std::size_t here = std::min(buffer.size(), sink.window_size());
        std::memcpy(sink.window(), buffer.data().data(), here);
        buffer.consume(here);
        if (!sink.filled(here)) {
          co_return body_overloaded();
        }
      }
      while (sink.remaining() > 0) {
        const auto [error, bytes] =
            co_await connection.read_some(asio::buffer(sink.window(), sink.window_size()));
        if (error) {
          co_return silent;
        }
        if (!sink.filled(bytes)) {
          co_return body_overloaded();
        }
        moved(bytes);
      }
      co_return std::nullopt;
    }
    while (!parser.is_done()) {
      error_code error = http::make_error_code(http::error::need_more);
      if (buffer.size() > 0) {
        error = {};
        buffer.consume(parser.put(buffer.data(), error));
      }
      if (error && error != http::error::need_more) {
        co_return refusal_of(sink, error);
      }
      if (error == http::error::need_more) {
        if (buffer.size() >= kBodyReadBytes) {  // a chunk header without end
          malformed.fetch_add(1);
          co_return text_response(400, "The request body is malformed: a chunk header is too long.\n");
        }
        const auto [read_error, bytes] = co_await connection.read_some(buffer.prepare(kBodyReadBytes));
        if (read_error) {
          co_return silent;
        }
        buffer.commit(bytes);
        moved(bytes);
      }
    }
    if (!sink.finish()) {
      co_return refusal_of(sink, error_code());
    }
    co_return std::nullopt;
  }

  static HttpRequest make_request(const Parser& parser, BodySink& sink, const Peer& peer) {
    const auto& message = parser.get();
    HttpRequest request;
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    for (const auto& field : message) {
      request.headers.add(std::string_view(field.name_string().data(), field.name_string().size()),
                          std::string(field.value()));
    }
    request.body = sink.take();
    request.peer = peer;
    return request;
  }

  // False: the connection was closed before the handler answered.
  asio::awaitable<bool> call_handler(Connection& connection, HttpRequest request, HttpResponse& response) {
    connection.no_deadline();
    const auto slot = std::make_shared<ResponseSlot>();
    {
      Responder responder([slot](HttpResponse answer) { slot->answer(std::move(answer), slot); });
      handler(std::move(request), std::move(responder));
    }
    while (true) {
      std::optional<HttpResponse> answer = slot->take_or_wait(connection.answered);
      if (answer.has_value()) {
        response = std::move(*answer);
        co_return true;
      }
      if (connection.aborted) {
        slot->abandon();
        co_return false;
      }
      connection.answered.expires_at(Clock::time_point::max());
      co_await connection.answered.async_wait(kUse);
    }
  }

  asio::awaitable<bool> write_all(Connection& connection, std::string_view head, std::string_view body) {
    connection.set_deadline(config.idle_timeout);
    std::size_t progress = 0;
    while (!head.empty() || !body.empty()) {
      std::array<asio::const_buffer, 2> buffers{asio::buffer(head), asio::buffer(body)};
      if (head.empty()) {
        std::swap(buffers[0], buffers[1]);
      }
      const auto [error, bytes] = co_await connection.write_some(buffers);
      if (error) {
        co_return false;
      }
      const std::size_t of_head = std::min(bytes, head.size());
      head.remove_prefix(of_head);
      body.remove_prefix(bytes - of_head);
      progress += bytes;
      if (progress >= kProgressBytes) {
        progress = 0;
        connection.set_deadline(config.idle_timeout);
      }
    }
    co_return true;
  }

  asio::awaitable<bool> write_response(Connection& connection, const HttpResponse& response, bool http_1_0,
                                       bool keep_alive, bool head_only) {
    const std::string head = response_head(response, http_1_0, keep_alive);
    const bool bodiless = head_only || response.status == 204 || response.status == 304;
    const std::string_view body = bodiless ? std::string_view() : std::string_view(response.body);
    const bool written = co_await write_all(connection, head, body);
    co_return written;
  }

  // Answers a request that was not read to its end. Closing with unread bytes would reset the connection and
  // take the answer with it, so what still comes is read and dropped for a short while.
  asio::awaitable<void> answer_and_close(Connection& connection, HttpResponse response) {
    const bool written = co_await write_response(connection, response, false, false, false);
    if (!written) {
      co_return;
    }
    connection.set_deadline(kLingerTime);
    if (!tls.has_value()) {
      co_await connection.end_writing();  // over TLS this would wait for the peer, who may still be sending
    }
    std::vector<char> scratch(kBodyReadBytes);
    std::size_t left = config.body_bytes_max;
    while (left > 0) {
      const auto [error, bytes] = co_await connection.read_some(asio::buffer(scratch));
      if (error) {
        co_return;
      }
      left -= std::min(left, bytes);
    }
  }

  void for_each_loop(const std::function<void(Loop&)>& action) {
    for (const auto& loop : loops) {
      asio::post(loop->io, [&loop = *loop, action] { action(loop); });
    }
  }

  void stop(std::chrono::milliseconds drain) {
    const std::lock_guard lock(stop_mutex);
    if (std::exchange(stopped, true)) {
      return;
    }
    asio::post(loops[0]->io, [this] {
      error_code ignored;
      acceptor->close(ignored);
      accept_pause->cancel();
    });
    for_each_loop([](Loop& loop) {
      loop.draining = true;
      for (Connection* connection : loop.connections) {
        if (connection->idle) {
          connection->abort();
        }
      }
    });
    // Coroutines that are not in a request end by themselves; those in one have `drain`.
    while (!wait_for_tasks(drain)) {
      for_each_loop([](Loop& loop) {
        for (Connection* connection : loop.connections) {
          connection->abort();
        }
      });
      drain = std::chrono::milliseconds(50);  // again, for a connection accepted just before the close
    }
    for (const auto& loop : loops) {
      loop->work.reset();
    }
    for (const auto& loop : loops) {
      loop->thread.join();
    }
  }
};

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerConfig config, HttpHandler handler) {
  auto impl = std::make_unique<Impl>(std::move(config), std::move(handler));
  if (impl->config.tls.enabled) {
    NARU_TRY(SslContext context, make_server_context(impl->config.tls));
    impl->tls.emplace(context.release());
  }
  for (std::size_t i = 0; i < std::max<std::size_t>(1, impl->config.threads); ++i) {
    impl->loops.push_back(std::make_unique<Impl::Loop>());
  }
  NARU_TRY(tcp::acceptor acceptor, listen_on(impl->loops[0]->io, impl->config.address));
  error_code error;
  impl->endpoint = describe(acceptor.local_endpoint(error));
  impl->acceptor.emplace(std::move(acceptor));
  impl->accept_pause.emplace(impl->loops[0]->io);
  impl->spawn(*impl->loops[0], impl->accept());
  for (const auto& loop : impl->loops) {
    loop->thread = std::thread([io = &loop->io] { io->run(); });
  }
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() {
  stop(std::chrono::milliseconds(0));
}

const std::string& HttpServer::endpoint() const {
  return impl_->endpoint;
}

HttpServerStats HttpServer::stats() const {
  HttpServerStats stats;
  stats.connections = impl_->connections.load();
  stats.body_bytes_in_flight = impl_->budget.used();
  stats.requests = impl_->requests.load();
  stats.connections_refused = impl_->refused.load();
  stats.requests_overloaded = impl_->overloads.load();
  stats.requests_too_large = impl_->too_large.load();
  stats.requests_malformed = impl_->malformed.load();
  stats.connections_timed_out = impl_->timed_out.load();
  return stats;
}

void HttpServer::stop(std::chrono::milliseconds drain) {
  impl_->stop(drain);
}

}  // namespace naru::net
