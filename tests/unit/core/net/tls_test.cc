#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "core/net/http_client.h"
#include "core/net/http_server.h"
#include "tests/unit/core/net/test_bytes.h"
#include "tests/unit/core/net/test_certificates.h"

namespace naru::net {
namespace {

using std::chrono::milliseconds;
using testing::CertificateAuthority;
using testing::sample_text;

constexpr milliseconds kLong{10'000};

class Tls : public ::testing::Test {
 protected:
  void start(const CertificateAuthority::Pair& pair, const std::string& client_ca = {}) {
    HttpServerConfig config;
    config.tls = TlsServerConfig{true, pair.certificate_file, pair.key_file, client_ca};
    auto server = HttpServer::start(config, [this](HttpRequest request, Responder respond) {
      peer_ = request.peer;
      connections_.insert(request.peer.address);
      respond(text_response(200, std::move(request.body)));
    });
    ASSERT_TRUE(server.has_value()) << server.error().message();
    server_ = std::move(*server);
  }

  Result<HttpResponse> call(const TlsClientConfig& tls, const std::string& host = "127.0.0.1",
                            std::string body = {}) {
    HttpClientConfig config;
    config.url = "https://" + host + server_->endpoint().substr(server_->endpoint().rfind(':'));
    config.tls = tls;
    auto client = make_http_client(config);
    if (!client) {
      return fail(client.error());
    }
    HttpRequest request;
    request.method = "POST";
    request.body = body;
    auto first = (*client)->exchange(request, kLong);
    if (!first) {
      return first;
    }
    return (*client)->exchange(std::move(request), kLong);  // and once more on the same connection
  }

  TlsClientConfig trusting() const { return TlsClientConfig{true, authority_.ca_file(), {}, {}}; }

  TlsClientConfig with_certificate(const std::string& common_name, const std::string& names) {
    const auto pair = authority_.issue(common_name, names);
    return TlsClientConfig{true, authority_.ca_file(), pair.certificate_file, pair.key_file};
  }

  CertificateAuthority authority_;
  std::unique_ptr<HttpServer> server_;
  Peer peer_;
  std::set<std::string> connections_;  // by the client's port
};

TEST_F(Tls, CarriesLargeBodiesOnOneConnection) {
  start(authority_.issue("server", "DNS:localhost,IP:127.0.0.1"));
  const std::string body = sample_text(3u << 20);
  const auto response = call(trusting(), "127.0.0.1", body);
  ASSERT_TRUE(response.has_value()) << response.error().message();
  EXPECT_TRUE(response->body == body);
  EXPECT_TRUE(peer_.tls);
  EXPECT_EQ(peer_.tls_identity, "");
  EXPECT_EQ(connections_.size(), 1u);
}

TEST_F(Tls, VerifiesTheHostNameByName) {
  start(authority_.issue("server", "DNS:localhost"));
  EXPECT_TRUE(call(trusting(), "localhost").has_value());
  const auto wrong = call(trusting(), "127.0.0.1");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_EQ(wrong.error().code(), ErrorCode::kUnavailable);
  EXPECT_NE(wrong.error().message().find("certificate is refused"), std::string::npos)
      << wrong.error().message();
}

TEST_F(Tls, RefusesACertificateOfAnotherName) {
  start(authority_.issue("localhost", "DNS:other.example"));
  const auto wrong = call(trusting(), "localhost");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_EQ(wrong.error().code(), ErrorCode::kUnavailable);
}

TEST_F(Tls, RefusesAServerOfAnotherAuthority) {
  start(authority_.issue("server", "IP:127.0.0.1"));
  CertificateAuthority other;
  const auto response = call(TlsClientConfig{true, other.ca_file(), {}, {}});
  ASSERT_FALSE(response.has_value());
  EXPECT_EQ(response.error().code(), ErrorCode::kUnavailable);
}

TEST_F(Tls, HandsTheIdentityOfAVerifiedClientToTheHandler) {
  start(authority_.issue("server", "IP:127.0.0.1"), authority_.ca_file());
  ASSERT_TRUE(call(with_certificate("ignored", "email:a@b.example,DNS:agent-1.example")).has_value());
  EXPECT_EQ(peer_.tls_identity, "agent-1.example");
  ASSERT_TRUE(call(with_certificate("ignored", "URI:spiffe://example/agent")).has_value());
  EXPECT_EQ(peer_.tls_identity, "spiffe://example/agent");
  ASSERT_TRUE(call(with_certificate("only-common-name", "")).has_value());
  EXPECT_EQ(peer_.tls_identity, "only-common-name");
}

TEST_F(Tls, TurnsAwayClientsWithoutACertificateOfTheAuthority) {
  start(authority_.issue("server", "IP:127.0.0.1"), authority_.ca_file());
  CertificateAuthority other;
  const auto foreign = other.issue("agent", "");
  for (const TlsClientConfig& config :
       {trusting(),
        TlsClientConfig{true, authority_.ca_file(), foreign.certificate_file, foreign.key_file}}) {
    const auto response = call(config);
    ASSERT_FALSE(response.has_value());
    EXPECT_TRUE(response.error().code() == ErrorCode::kUnavailable ||
                response.error().code() == ErrorCode::kIo)
        << response.error().message();
  }
  EXPECT_EQ(server_->stats().requests, 0u);
}

TEST_F(Tls, NamesTheFileThatCannotBeUsed) {
  const auto good = authority_.issue("server", "");
  const auto other = authority_.issue("other", "");
  const std::string garbage = authority_.directory() + "/garbage.pem";
  std::ofstream(garbage) << "not PEM\n";
  const struct {
    TlsServerConfig config;
    std::string named;
  } cases[] = {
      {{true, "/nonexistent/cert.pem", good.key_file, ""}, "/nonexistent/cert.pem"},
      {{true, garbage, good.key_file, ""}, garbage},
      {{true, good.certificate_file, garbage, ""}, garbage},
      {{true, good.certificate_file, other.key_file, ""}, other.key_file},
      {{true, good.certificate_file, good.key_file, garbage}, garbage},
  };
  for (const auto& [config, named] : cases) {
    HttpServerConfig server;
    server.tls = config;
    const auto started = HttpServer::start(server, [](HttpRequest, Responder) {});
    ASSERT_FALSE(started.has_value());
    EXPECT_EQ(started.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(started.error().message().find(named), std::string::npos) << started.error().message();
  }
  HttpClientConfig client;
  client.url = "https://localhost:1";
  client.tls.ca_file = garbage;
  const auto made = make_http_client(client);
  ASSERT_FALSE(made.has_value());
  EXPECT_NE(made.error().message().find(garbage), std::string::npos);
}

TEST_F(Tls, ClosesAPlainConnectionToATlsPortAndGoesOn) {
  start(authority_.issue("server", "IP:127.0.0.1"));
  HttpClientConfig plain;
  plain.url = "http://" + server_->endpoint();
  const auto client = make_http_client(plain);
  ASSERT_TRUE(client.has_value());
  EXPECT_FALSE((*client)->exchange(HttpRequest(), kLong).has_value());
  EXPECT_TRUE(call(trusting()).has_value());
}

}  // namespace
}  // namespace naru::net
