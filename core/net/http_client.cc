#include "core/net/http_client.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>

#include <array>
#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <future>
#include <optional>
#include <thread>

#include "core/base/address.h"
#include "core/base/bytes.h"
#include "core/net/tls_context.h"

namespace naru::net {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;
using Endpoints = std::vector<tcp::endpoint>;

constexpr std::size_t kReadBytes = 64u << 10;
constexpr std::uint32_t kHeaderBytesMax = 64u << 10;

struct Url {
  bool tls = false;
  Address address;
  std::string prefix;  // "" or "/path" without a slash at its end
  std::string text;    // scheme://host:port, for messages
};

Result<Url> parse_url(const std::string& text) {
  auto refuse = [&](std::string_view why) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is not a usable URL: {}", text, why));
  };
  Url url;
  std::string_view rest = text;
  if (rest.starts_with("https://")) {
    url.tls = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return refuse("it must begin with http:// or https://");
  }
  const std::size_t slash = rest.find('/');
  std::string authority(rest.substr(0, slash));
  if (slash != std::string_view::npos) {
    url.prefix = rest.substr(slash);
    while (url.prefix.ends_with('/')) {
      url.prefix.pop_back();
    }
  }
  if (text.find_first_of("?# \t\r\n") != std::string::npos) {
    return refuse("it must not hold a query, a fragment or white space");
  }
  if (authority.find('@') != std::string::npos) {
    return refuse("user and password belong into their own settings, where they are not logged");
  }
  const std::size_t colon = authority.rfind(':');
  if (colon == std::string::npos || authority.ends_with(']')) {
    authority += url.tls ? ":443" : ":80";
  }
  auto address = parse_address(authority);
  if (!address) {
    return fail(std::move(address).error().with_context(fmt::format("'{}' is not a usable URL", text)));
  }
  url.address = std::move(*address);
  url.text = fmt::format("{}://{}", url.tls ? "https" : "http", url.address.text());
  return url;
}

// The server turned our certificate down, or wants one. TLS 1.3 says so only after the client has finished
// its handshake, but before it reads anything of a request.
bool is_certificate_alert(const error_code& error) {
  if (error.category() != asio::error::get_ssl_category()) {
    return false;
  }
  switch (ERR_GET_REASON(static_cast<unsigned long>(error.value()))) {
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE: return true;
    default: return false;
  }
}

class HttpClient final : public HttpTransport {
 public:
  HttpClient(HttpClientConfig config, Url url, SslContext tls)
      : config_(std::move(config)), url_(std::move(url)), socket_(io_) {
    if (tls != nullptr) {
      tls_.emplace(tls.release());
    }
    if (!config_.bearer_token.empty()) {
      authorization_ = "Bearer " + config_.bearer_token;
    } else if (!config_.basic_user.empty()) {
      authorization_ = "Basic " + to_base64(config_.basic_user + ":" + config_.basic_password);
    }
  }

  Result<HttpResponse> exchange(HttpRequest request, std::chrono::milliseconds deadline) override {
    deadline_ = Clock::now() + deadline;
    const std::string head = make_head(request);
    bool reused = connected_ && still_open();
    while (true) {
      if (!reused) {
        close();
        NARU_TRY_VOID(connect());
      }
      Attempt attempt = try_once(request, head);
      if (attempt.response.has_value()) {
        if (!attempt.keep_alive) {
          close();
        }
        return std::move(*attempt.response);
      }
      close();
      // The peer closed the idle connection at the same moment: safe to repeat when it read nothing, or when
      // reading twice does no harm (RFC 9110 9.2.2).
      const bool harmless = request.method == "GET" || request.method == "HEAD" || attempt.sent == 0;
      if (reused && attempt.closed_before_answer && harmless) {
        reused = false;
        continue;
      }
      return fail(std::move(*attempt.error));
    }
  }

  void cancel() override {
    cancelled_ = true;
    io_.stop();
  }

 private:
  struct Attempt {
    std::optional<HttpResponse> response;
    bool keep_alive = false;
    std::optional<Error> error;
    bool closed_before_answer = false;
    std::size_t sent = 0;
  };

  std::string make_head(const HttpRequest& request) const {
    std::string head = fmt::format("{} {}{} HTTP/1.1\r\nHost: {}\r\n", request.method, url_.prefix,
                                   request.target, url_.address.text());
    if (!authorization_.empty() && !request.headers.has("Authorization")) {
      head += fmt::format("Authorization: {}\r\n", authorization_);
    }
    for (const auto& [name, value] : request.headers.all()) {
      head += fmt::format("{}: {}\r\n", name, value);
    }
    if (!request.body.empty() || (request.method != "GET" && request.method != "HEAD")) {
      head += fmt::format("Content-Length: {}\r\n", request.body.size());
    }
    head += "\r\n";
    return head;
  }

  // Runs `start(handler)` until its end or the deadline. nullopt: the deadline passed and the connection is
  // closed.
  template <class Start>
  std::optional<error_code> run(Clock::time_point until, Start start) {
    std::optional<error_code> outcome;
    io_.restart();
    if (cancelled_) {  // after restart(), or a stop() of cancel() could be undone unseen
      return std::nullopt;
    }
    start([&outcome](const error_code& error, auto&&...) { outcome = error; });
    io_.run_until(until);
    if (outcome.has_value()) {
      return outcome;
    }
    error_code ignored;
    layer().close(ignored);
    while (!outcome.has_value()) {  // the handler must not outlive this, whenever cancel() comes
      io_.restart();
      io_.run();
    }
    return std::nullopt;
  }

  tcp::socket& layer() { return stream_.has_value() ? stream_->next_layer() : socket_; }

  void close() {
    error_code ignored;
    layer().close(ignored);
    stream_.reset();
    socket_ = tcp::socket(io_);
    buffer_.clear();
    connected_ = false;
  }

  // On an idle connection nothing may come. What does is its end, or bytes that belong to no request.
  bool still_open() {
    pollfd descriptor{layer().native_handle(), POLLIN, 0};
    return buffer_.size() == 0 && ::poll(&descriptor, 1, 0) == 0;
  }

  std::unexpected<Error> unreachable(std::string_view why) const {
    return fail(ErrorCode::kUnavailable, fmt::format("cannot connect to {}: {}", url_.text, why));
  }

  Result<void> connect() {
    const Clock::time_point until = std::min(deadline_, Clock::now() + config_.connect_timeout);
    NARU_TRY(const Endpoints endpoints, resolve(until));
    auto outcome = run(until, [&](auto done) { asio::async_connect(socket_, endpoints, std::move(done)); });
    if (!outcome.has_value()) {
      return unreachable("no connection in time");
    }
    if (*outcome) {
      return unreachable(outcome->message());
    }
    error_code ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
    socket_.set_option(asio::socket_base::keep_alive(true), ignored);
    if (tls_.has_value()) {
      NARU_TRY_VOID(start_tls(until));
    }
    connected_ = true;
    return {};
  }

  Result<void> start_tls(Clock::time_point until) {
    stream_.emplace(std::move(socket_), *tls_);
    SSL* handle = stream_->native_handle();
    error_code ignored;
    asio::ip::make_address(url_.address.host, ignored);
    const bool number = !ignored;
    if (number) {
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(handle), url_.address.host.c_str());
    } else {
      SSL_set_tlsext_host_name(handle, url_.address.host.c_str());
      SSL_set1_host(handle, url_.address.host.c_str());
    }
    auto outcome =
        run(until, [&](auto done) { stream_->async_handshake(ssl::stream_base::client, std::move(done)); });
    if (!outcome.has_value()) {
      return unreachable("no TLS handshake in time (is TLS switched on there?)");
    }
    if (*outcome) {
      const long verified = SSL_get_verify_result(handle);
      return unreachable(verified != X509_V_OK ? fmt::format("its certificate is refused: {}",
                                                             X509_verify_cert_error_string(verified))
                                               : fmt::format("TLS: {}", outcome->message()));
    }
    return {};
  }

  // getaddrinfo cannot be cancelled, so a slow look-up is left behind on its own thread, at most one.
  Result<Endpoints> resolve(Clock::time_point until) {
    error_code error;
    const auto number = asio::ip::make_address(url_.address.host, error);
    if (!error) {
      return Endpoints{tcp::endpoint(number, url_.address.port)};
    }
    if (!lookup_.valid()) {
      std::promise<Result<Endpoints>> promise;
      lookup_ = promise.get_future();
      std::thread([address = url_.address, promise = std::move(promise)]() mutable {
        asio::io_context io;
        tcp::resolver resolver(io);
        error_code lookup_error;
        Endpoints endpoints;
        for (const auto& entry : resolver.resolve(address.host, std::to_string(address.port), lookup_error)) {
          endpoints.push_back(entry.endpoint());
        }
        if (lookup_error || endpoints.empty()) {
          promise.set_value(fail(ErrorCode::kUnavailable, lookup_error.message()));
        } else {
          promise.set_value(std::move(endpoints));
        }
      }).detach();
    }
    if (lookup_.wait_until(until) != std::future_status::ready) {
      return unreachable("the host name is not resolved in time");
    }
    auto result = lookup_.get();
    if (!result) {
      return unreachable(fmt::format("the host name cannot be resolved: {}", result.error().message()));
    }
    return result;
  }

  std::optional<error_code> write(const std::string& head, const std::string& body, std::size_t& sent) {
    const std::array<asio::const_buffer, 2> buffers{asio::buffer(head), asio::buffer(body)};
    return run(deadline_, [&](auto done) {
      auto count = [&sent, done](const error_code& error, std::size_t bytes) mutable {
        sent = bytes;
        done(error);
      };
      if (stream_.has_value()) {
        asio::async_write(*stream_, buffers, std::move(count));
      } else {
        asio::async_write(socket_, buffers, std::move(count));
      }
    });
  }

  std::optional<error_code> read_more() {
    const auto space = buffer_.prepare(kReadBytes);
    return run(deadline_, [&](auto done) {
      auto commit = [this, done](const error_code& error, std::size_t bytes) mutable {
        buffer_.commit(bytes);
        done(error);
      };
      if (stream_.has_value()) {
        stream_->async_read_some(space, std::move(commit));
      } else {
        socket_.async_read_some(space, std::move(commit));
      }
    });
  }

  Attempt try_once(const HttpRequest& request, const std::string& head) {
    Attempt attempt;
    const auto written = write(head, request.body, attempt.sent);
    if (!written.has_value()) {
      attempt.error = timed_out(request);
      return attempt;
    }
    // A server that refuses a request early answers and stops reading: the answer may be there already.
    read_answer(request, attempt);
    if (attempt.closed_before_answer && *written) {
      attempt.error = broken(request, *written);
    }
    return attempt;
  }

  Error timed_out(const HttpRequest& request) const {
    return Error(ErrorCode::kTimeout,
                 fmt::format("{}: no answer to {} {} in time", url_.text, request.method, request.path()));
  }

  Error broken(const HttpRequest& request, const error_code& error) const {
    if (is_certificate_alert(error)) {
      return Error(ErrorCode::kUnavailable,
                   fmt::format("{} refuses our certificate: {}", url_.text, error.message()));
    }
    return Error(ErrorCode::kIo, fmt::format("{}: the connection broke during {} {}: {}", url_.text,
                                             request.method, request.path(), error.message()));
  }

  // Fills attempt.response or attempt.error.
  void read_answer(const HttpRequest& request, Attempt& attempt) {
    while (true) {
      http::response_parser<http::string_body> parser;
      parser.header_limit(kHeaderBytesMax);
      parser.body_limit(config_.response_bytes_max);
      parser.skip(request.method == "HEAD");
      parser.eager(true);
      if (!read_message(request, parser, attempt)) {
        return;
      }
      const int status = static_cast<int>(parser.get().result_int());
      if (status >= 100 && status < 200) {
        continue;  // 100 Continue and other interim answers
      }
      HttpResponse response;
      response.status = status;
      for (const auto& field : parser.get()) {
        response.headers.add(std::string_view(field.name_string().data(), field.name_string().size()),
                             std::string(field.value()));
      }
      attempt.keep_alive = parser.keep_alive();
      response.body = std::move(parser.get().body());
      attempt.response = std::move(response);
      return;
    }
  }

  bool read_message(const HttpRequest& request, http::response_parser<http::string_body>& parser,
                    Attempt& attempt) {
    bool got_some = false;
    while (!parser.is_done()) {
      error_code error = http::make_error_code(http::error::need_more);
      if (buffer_.size() > 0) {
        got_some = true;
        error = {};
        buffer_.consume(parser.put(buffer_.data(), error));
      }
      if (error == http::error::body_limit) {
        attempt.error = Error(ErrorCode::kTooLarge,
                              fmt::format("{}: the answer to {} {} is over {} bytes", url_.text,
                                          request.method, request.path(), config_.response_bytes_max));
        return false;
      }
      if (error && error != http::error::need_more) {
        attempt.error =
            Error(ErrorCode::kIo, fmt::format("{}: the answer to {} {} is not valid HTTP: {}", url_.text,
                                              request.method, request.path(), error.message()));
        return false;
      }
      if (parser.is_done()) {
        break;
      }
      const auto read = read_more();
      if (!read.has_value()) {
        attempt.error = timed_out(request);
        return false;
      }
      if (*read) {
        error_code end;
        if (got_some && *read == asio::error::eof) {
          parser.put_eof(end);
          if (!end && parser.is_done()) {
            break;
          }
        }
        attempt.closed_before_answer = !got_some;
        attempt.error = broken(request, *read);
        return false;
      }
    }
    return true;
  }

  const HttpClientConfig config_;
  const Url url_;
  std::string authorization_;
  asio::io_context io_{1};
  std::optional<ssl::context> tls_;
  tcp::socket socket_;
  std::optional<ssl::stream<tcp::socket>> stream_;  // takes socket_ over when TLS is on
  boost::beast::flat_buffer buffer_;
  bool connected_ = false;
  std::atomic<bool> cancelled_{false};
  Clock::time_point deadline_;
  std::future<Result<Endpoints>> lookup_;
};

}  // namespace

Result<std::unique_ptr<HttpTransport>> make_http_client(const HttpClientConfig& config) {
  NARU_TRY(Url url, parse_url(config.url));
  SslContext tls;
  if (url.tls) {
    NARU_TRY(tls, make_client_context(config.tls));
  } else if (config.tls.enabled) {
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("TLS is configured, but the URL '{}' begins with http://; write https://", config.url));
  }
  return std::make_unique<HttpClient>(config, std::move(url), std::move(tls));
}

Result<void> check_http_url(const std::string& url) {
  HttpClientConfig config;
  config.url = url;
  NARU_TRY(const auto tried, make_http_client(config));
  return {};
}

}  // namespace naru::net
