#include "core/net/grpc_server.h"

#include <fmt/format.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <fstream>
#include <future>
#include <iterator>
#include <mutex>
#include <thread>

#include "tests/unit/core/net/test_bytes.h"
#include "tests/unit/core/net/test_certificates.h"

namespace naru::net {
namespace {

using std::chrono::milliseconds;
using testing::CertificateAuthority;
using testing::sample_text;

struct Outcome {
  grpc::Status status;
  std::string message;
};

std::string text_of(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string text;
  if (buffer.Dump(&slices).ok()) {
    for (const auto& slice : slices) {
      text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
  }
  return text;
}

// A call under way; get() waits for its end.
struct PendingCall {
  grpc::ClientContext context;
  grpc::ByteBuffer request, response;
  std::promise<grpc::Status> ended;
  Outcome get() {
    grpc::Status status = ended.get_future().get();
    return Outcome{status, text_of(response)};
  }
};

class Client {
 public:
  explicit Client(const std::string& endpoint,
                  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials())
      : stub_(make_channel(endpoint, std::move(credentials))) {}

  std::unique_ptr<PendingCall> begin(const std::string& message, bool gzip = false) {
    auto call = std::make_unique<PendingCall>();
    call->context.AddMetadata("x-tenant", "blue");
    call->context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    if (gzip) {
      call->context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    }
    const grpc::Slice slice(message);
    call->request = grpc::ByteBuffer(&slice, 1);
    stub_.UnaryCall(&call->context, "/test.Service/Method", grpc::StubOptions(), &call->request,
                    &call->response,
                    [raw = call.get()](grpc::Status status) { raw->ended.set_value(std::move(status)); });
    return call;
  }

  Outcome call(const std::string& message, bool gzip = false) { return begin(message, gzip)->get(); }

 private:
  static std::shared_ptr<grpc::Channel> make_channel(const std::string& endpoint,
                                                     std::shared_ptr<grpc::ChannelCredentials> credentials) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(endpoint, credentials, arguments);
  }
  grpc::GenericStub stub_;
};

std::unique_ptr<GrpcServer> serve(GrpcHandler handler, GrpcServerConfig config = {}) {
  auto server = GrpcServer::start(std::move(config), std::move(handler));
  EXPECT_TRUE(server.has_value()) << server.error().message();
  return std::move(*server);
}

void echo(GrpcCall call, GrpcResponder respond) {
  respond.message(std::move(call.message));
}

// Calls that wait for the test's word.
class Gate {
 public:
  GrpcHandler handler() {
    return [this](GrpcCall, GrpcResponder respond) {
      const std::lock_guard lock(mutex_);
      waiting_.push_back(std::move(respond));
      changed_.notify_all();
    };
  }
  void wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_.size() >= count; });
  }
  void answer_all() {
    std::vector<GrpcResponder> taken;
    {
      const std::lock_guard lock(mutex_);
      taken.swap(waiting_);
    }
    for (auto& respond : taken) {
      respond.message("done");
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<GrpcResponder> waiting_;
};

TEST(GrpcServer, HandsOverMethodMetadataMessageAndPeer) {
  GrpcCall seen;
  const auto server = serve([&](GrpcCall call, GrpcResponder respond) {
    seen = std::move(call);
    respond.message("answer");
  });
  Client client(server->endpoint());
  const Outcome outcome = client.call("question");
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
  EXPECT_EQ(outcome.message, "answer");
  EXPECT_EQ(seen.method, "/test.Service/Method");
  EXPECT_EQ(seen.message, "question");
  EXPECT_EQ(seen.metadata.get("x-tenant"), "blue");
  EXPECT_TRUE(seen.peer.address.starts_with("127.0.0.1:")) << seen.peer.address;
  EXPECT_TRUE(seen.peer.loopback);
  EXPECT_FALSE(seen.peer.tls);
}

TEST(GrpcServer, TakesEmptyLargeAndCompressedMessages) {
  const auto server = serve(echo);
  Client client(server->endpoint());
  for (const bool gzip : {false, true}) {
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, std::size_t{100'000}, std::size_t{20u << 20}}) {
      const std::string message = sample_text(size);
      const Outcome outcome = client.call(message, gzip);
      ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
      EXPECT_TRUE(outcome.message == message) << size;
    }
  }
}

TEST(GrpcServer, RefusesMessagesOverTheLimitAlsoAfterDecompression) {
  GrpcServerConfig config;
  config.message_bytes_max = 100'000;
  const auto server = serve(echo, config);
  Client client(server->endpoint());
  EXPECT_TRUE(client.call(sample_text(100'000)).status.ok());
  for (const bool gzip : {false, true}) {
    const Outcome outcome = client.call(std::string(gzip ? 50u << 20 : 100'001, 'x'), gzip);
    EXPECT_EQ(outcome.status.error_code(), grpc::RESOURCE_EXHAUSTED) << outcome.status.error_message();
  }
  EXPECT_TRUE(client.call("next").status.ok());
}

TEST(GrpcServer, RefusesDamagedGzip) {
  const auto server = serve(echo);
  Client client(server->endpoint());
  EXPECT_EQ(client.call("\x1f\x8b damaged").status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(server->stats().calls_malformed, 1u);
}

TEST(GrpcServer, SendsStatusTextAndRetryInfo) {
  const auto server = serve([](GrpcCall, GrpcResponder respond) {
    respond.status(GrpcStatus{GrpcCode::kUnavailable, "Kafka is away", milliseconds(2'500)});
  });
  const Outcome outcome = Client(server->endpoint()).call("x");
  EXPECT_EQ(outcome.status.error_code(), grpc::UNAVAILABLE);
  EXPECT_EQ(outcome.status.error_message(), "Kafka is away");
  // google.rpc.Status{code: 14, message, details: Any{RetryInfo{retry_delay{seconds: 2, nanos: 500000000}}}}
  const std::string duration("\x08\x02\x10\x80\xca\xb5\xee\x01", 8);
  const std::string any = std::string("\x0a\x28") + "type.googleapis.com/google.rpc.RetryInfo" + "\x12\x0a" +
                          "\x0a\x08" + duration;
  EXPECT_EQ(outcome.status.error_details(),
            std::string("\x08\x0e\x12\x0d") + "Kafka is away" + "\x1a" + static_cast<char>(any.size()) + any);
}

TEST(GrpcServer, CutsALongStatusTextRatherThanLoseIt) {
  const auto server = serve([](GrpcCall, GrpcResponder respond) {
    respond.status(GrpcStatus{GrpcCode::kInvalidArgument, std::string(100'000, 'x'), {}});
  });
  const Outcome outcome = Client(server->endpoint()).call("x");
  EXPECT_EQ(outcome.status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(outcome.status.error_message().size(), 1024u);
}

TEST(GrpcServer, AnswersInternalForADroppedCall) {
  const auto server = serve([](GrpcCall, GrpcResponder) {});
  EXPECT_EQ(Client(server->endpoint()).call("x").status.error_code(), grpc::INTERNAL);
}

TEST(GrpcServer, TakesAnswersFromOtherThreads) {
  std::vector<std::thread> others;
  std::mutex mutex;
  const auto server = serve([&](GrpcCall call, GrpcResponder respond) {
    const std::lock_guard lock(mutex);
    others.emplace_back([call = std::move(call), respond = std::move(respond)]() mutable {
      respond.message(std::move(call.message));
    });
  });
  Client client(server->endpoint());
  std::vector<std::unique_ptr<PendingCall>> calls;
  for (int i = 0; i < 20; ++i) {
    calls.push_back(client.begin(std::to_string(i)));
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(calls[i]->get().message, std::to_string(i));
  }
  for (auto& other : others) {
    other.join();
  }
}

TEST(GrpcServer, AsksToComeBackWhenAllCallsAreInUse) {
  Gate gate;
  GrpcServerConfig config;
  config.calls_max = 1;
  const auto server = serve(gate.handler(), config);
  Client client(server->endpoint());
  const auto first = client.begin("x");
  gate.wait_for(1);
  const Outcome refused = client.call("x");
  EXPECT_EQ(refused.status.error_code(), grpc::UNAVAILABLE);
  EXPECT_NE(refused.status.error_details().find("RetryInfo"), std::string::npos);
  EXPECT_EQ(server->stats().calls_overloaded, 1u);
  gate.answer_all();
  EXPECT_TRUE(first->get().status.ok());
}

TEST(GrpcServer, AsksToComeBackWhenCallsInFlightHoldTooMuch) {
  Gate gate;
  GrpcServerConfig config;
  config.message_bytes_in_flight_max = 1000;
  const auto server = serve(gate.handler(), config);
  Client client(server->endpoint());
  const auto first = client.begin(std::string(800, 'x'));
  gate.wait_for(1);
  EXPECT_EQ(server->stats().message_bytes_in_flight, 800u);
  for (const bool gzip : {false, true}) {
    const Outcome refused = client.call(std::string(201, 'x'), gzip);
    EXPECT_EQ(refused.status.error_code(), grpc::UNAVAILABLE);
    EXPECT_NE(refused.status.error_details().find("RetryInfo"), std::string::npos);
  }
  gate.answer_all();
  EXPECT_TRUE(first->get().status.ok());
}

TEST(GrpcServer, SurvivesClientsThatCancel) {
  Gate gate;
  const auto server = serve(gate.handler());
  Client client(server->endpoint());
  for (int i = 0; i < 10; ++i) {
    const auto call = client.begin("x");
    gate.wait_for(i + 1);
    call->context.TryCancel();
    EXPECT_EQ(call->get().status.error_code(), grpc::CANCELLED);
  }
  gate.answer_all();
}

TEST(GrpcServer, DrainsRunningCalls) {
  Gate gate;
  const auto server = serve(gate.handler());
  Client client(server->endpoint());
  const auto call = client.begin("x");
  gate.wait_for(1);
  std::thread stopper([&] { server->stop(milliseconds(60'000)); });
  gate.answer_all();
  EXPECT_TRUE(call->get().status.ok());
  stopper.join();
  EXPECT_EQ(client.call("x").status.error_code(), grpc::UNAVAILABLE);
}

TEST(GrpcServer, CancelsRunningCallsWhenTheDrainIsOver) {
  Gate gate;
  auto server = serve(gate.handler());
  Client client(server->endpoint());
  const auto call = client.begin("x");
  gate.wait_for(1);
  server->stop(milliseconds(1));
  EXPECT_FALSE(call->get().status.ok());
  server.reset();
  gate.answer_all();  // too late, and harmless
}

TEST(GrpcServer, NamesAnAddressThatItCannotUse) {
  const auto server = serve(echo);
  GrpcServerConfig config;
  config.address = server->endpoint();
  const auto second = GrpcServer::start(config, echo);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code(), ErrorCode::kUnavailable);
  EXPECT_NE(second.error().message().find(server->endpoint()), std::string::npos);
  config.address = "nonsense";
  const auto third = GrpcServer::start(config, echo);
  ASSERT_FALSE(third.has_value());
  EXPECT_EQ(third.error().code(), ErrorCode::kInvalidArgument);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

TEST(GrpcServer, HandsTheIdentityOfAVerifiedClientToTheHandler) {
  CertificateAuthority authority;
  const auto server_pair = authority.issue("server", "DNS:localhost,IP:127.0.0.1");
  const auto client_pair = authority.issue("ignored", "DNS:agent-1.example");
  Peer peer;
  GrpcServerConfig config;
  config.tls = TlsServerConfig{true, server_pair.certificate_file, server_pair.key_file, authority.ca_file()};
  const auto server = serve(
      [&](GrpcCall call, GrpcResponder respond) {
        peer = call.peer;
        respond.message({});
      },
      config);
  const std::string endpoint = server->endpoint();
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = read_file(authority.ca_file());
  EXPECT_FALSE(Client(endpoint, grpc::SslCredentials(options)).call("x").status.ok());
  options.pem_private_key = read_file(client_pair.key_file);
  options.pem_cert_chain = read_file(client_pair.certificate_file);
  const Outcome outcome = Client(endpoint, grpc::SslCredentials(options)).call("x");
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
  EXPECT_TRUE(peer.tls);
  EXPECT_EQ(peer.tls_identity, "agent-1.example");
}

TEST(GrpcServer, NamesTheCertificateThatCannotBeUsed) {
  GrpcServerConfig config;
  config.tls = TlsServerConfig{true, "/nonexistent/cert.pem", "/nonexistent/key.pem", {}};
  const auto server = GrpcServer::start(config, echo);
  ASSERT_FALSE(server.has_value());
  EXPECT_EQ(server.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_NE(server.error().message().find("/nonexistent/cert.pem"), std::string::npos);
}

}  // namespace
}  // namespace naru::net
