#include "core/net/grpc_server.h"

#include <fmt/format.h>
#include <grpc/grpc_security_constants.h>
#include <grpc/support/log.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <mutex>
#include <vector>

#include "core/base/address.h"
#include "core/base/check.h"
#include "core/net/body_sink.h"
#include "core/net/tls_context.h"

namespace naru::net {
namespace {

constexpr std::size_t kStatusTextBytesMax = 1024;
constexpr int kIdentityAndGzip = (1 << GRPC_COMPRESS_NONE) | (1 << GRPC_COMPRESS_GZIP);
constexpr int kPingIntervalMs = 10'000;       // clients may ping this often without being sent away
constexpr int kKeepaliveIntervalMs = 60'000;  // a peer that is gone is noticed after this and
constexpr int kKeepaliveTimeoutMs = 20'000;   // this

void append_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) {
    out.push_back(static_cast<char>(value | 0x80));
  }
  out.push_back(static_cast<char>(value));
}

void append_bytes_field(std::string& out, int number, std::string_view bytes) {
  append_varint(out, static_cast<std::uint64_t>(number) << 3 | 2);
  append_varint(out, bytes.size());
  out.append(bytes);
}

void append_int_field(std::string& out, int number, std::uint64_t value) {
  if (value != 0) {
    append_varint(out, static_cast<std::uint64_t>(number) << 3);
    append_varint(out, value);
  }
}

// google.rpc.Status{code 1, message 2, details 3: Any{type_url 1, value 2: RetryInfo{retry_delay 1:
// Duration}}}
std::string status_details(const GrpcStatus& status) {
  if (!status.retry_delay.has_value()) {
    return {};
  }
  const auto delay = static_cast<std::uint64_t>(std::max<std::int64_t>(0, status.retry_delay->count()));
  std::string duration;
  append_int_field(duration, 1, delay / 1000);
  append_int_field(duration, 2, delay % 1000 * 1'000'000);
  std::string retry_info;
  append_bytes_field(retry_info, 1, duration);
  std::string any;
  append_bytes_field(any, 1, "type.googleapis.com/google.rpc.RetryInfo");
  append_bytes_field(any, 2, retry_info);
  std::string details;
  append_int_field(details, 1, static_cast<std::uint64_t>(status.code));
  append_bytes_field(details, 2, status.text);
  append_bytes_field(details, 3, any);
  return details;
}

grpc::Status to_grpc(GrpcStatus status) {
  if (status.text.size() > kStatusTextBytesMax) {
    status.text.resize(kStatusTextBytesMax);
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code), status.text, status_details(status));
}

std::string to_string(grpc::string_ref text) {
  return std::string(text.data(), text.size());
}

// "ipv4:127.0.0.1:1234" and "ipv6:%5B::1%5D:1234" become host:port.
std::string peer_address(std::string peer) {
  peer.erase(0, peer.find(':') + 1);
  for (const auto& [escaped, plain] : {std::pair("%5B", "["), std::pair("%5D", "]")}) {
    if (const std::size_t at = peer.find(escaped); at != std::string::npos) {
      peer.replace(at, 3, plain);
    }
  }
  return peer;
}

Peer peer_of(const grpc::GenericCallbackServerContext& context, bool tls) {
  Peer peer;
  peer.address = peer_address(context.peer());
  const auto address = parse_address(peer.address);
  peer.loopback = address.has_value() && address->loopback();
  peer.tls = tls;
  const auto authenticated = context.auth_context();
  if (tls && authenticated != nullptr && authenticated->IsPeerAuthenticated()) {
    for (const char* property : {GRPC_PEER_DNS_PROPERTY_NAME, GRPC_PEER_URI_PROPERTY_NAME,
                                 GRPC_PEER_EMAIL_PROPERTY_NAME, GRPC_X509_CN_PROPERTY_NAME}) {
      const auto values = authenticated->FindPropertyValues(property);
      if (peer.tls_identity.empty() && !values.empty()) {
        peer.tls_identity = to_string(values.front());
      }
    }
  }
  return peer;
}

// Cheap: the slice shares the string, which lives until gRPC has sent it.
grpc::ByteBuffer to_buffer(std::string bytes) {
  auto* kept = new std::string(std::move(bytes));
  const grpc::Slice slice(
      kept->data(), kept->size(), [](void* owner) { delete static_cast<std::string*>(owner); }, kept);
  return grpc::ByteBuffer(&slice, 1);
}

void quiet_library_log() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (std::getenv("GRPC_VERBOSITY") == nullptr) {
      gpr_set_log_function([](gpr_log_func_args*) {});
    }
  });
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

Result<std::shared_ptr<grpc::ServerCredentials>> credentials_of(const TlsServerConfig& tls) {
  if (!tls.enabled) {
    return grpc::InsecureServerCredentials();
  }
  // gRPC only says that something failed; OpenSSL tells which file and why.
  NARU_TRY([[maybe_unused]] const SslContext checked, make_server_context(tls));
  grpc::SslServerCredentialsOptions options(tls.client_ca_file.empty()
                                                ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                                : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_key_cert_pairs.push_back({read_file(tls.key_file), read_file(tls.certificate_file)});
  if (!tls.client_ca_file.empty()) {
    options.pem_root_certs = read_file(tls.client_ca_file);
  }
  return grpc::SslServerCredentials(options);
}

}  // namespace

GrpcResponder::~GrpcResponder() {
  if (send_) {
    status(GrpcStatus{
        GrpcCode::kInternal, "The call was dropped without an answer: this is a defect of the server.", {}});
  }
}

void GrpcResponder::message(std::string bytes) {
  answer(std::move(bytes));
}

void GrpcResponder::status(GrpcStatus status) {
  NARU_CHECK(status.code != GrpcCode::kOk, "a status without a message must be an error");
  answer(std::unexpected(std::move(status)));
}

void GrpcResponder::answer(Answer answer) {
  NARU_CHECK(send_, "a call was answered twice");
  Send send = std::move(send_);
  send_ = nullptr;
  send(std::move(answer));
}

struct GrpcServer::Impl : grpc::CallbackGenericService {
  class Call;

  // Where the handler's answer meets the call, which may have been cancelled meanwhile.
  struct AnswerSlot {
    AnswerSlot(std::size_t bytes_max, std::shared_ptr<ByteBudget> shared)
        : budget(std::move(shared)), sink(bytes_max, *budget) {}
    const std::shared_ptr<ByteBudget>
        budget;     // the handler may hold its responder longer than the server lives
    BodySink sink;  // holds the message's share of the budget until the answer
    std::mutex mutex;
    Call* call = nullptr;  // null once the call is finished
  };

  Impl(GrpcServerConfig config_in, GrpcHandler handler_in)
      : config(std::move(config_in)),
        handler(std::move(handler_in)),
        budget(std::make_shared<ByteBudget>(config.message_bytes_in_flight_max)) {}

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override;

  GrpcStatus overloaded(std::string text) {
    overloads.fetch_add(1);
    return GrpcStatus{GrpcCode::kUnavailable, std::move(text), config.retry_delay};
  }
  GrpcStatus over_limit() {
    too_large.fetch_add(1);
    return GrpcStatus{GrpcCode::kResourceExhausted,
                      fmt::format("The message is over {} bytes after decompression; send smaller batches.",
                                  config.message_bytes_max),
                      {}};
  }
  GrpcStatus bad_message(std::string text) {
    malformed.fetch_add(1);
    return GrpcStatus{GrpcCode::kInvalidArgument, std::move(text), {}};
  }

  const GrpcServerConfig config;
  const GrpcHandler handler;
  const std::shared_ptr<ByteBudget> budget;
  std::string endpoint;
  std::atomic<std::size_t> calls{0};
  std::atomic<std::uint64_t> handled{0}, overloads{0}, too_large{0}, malformed{0};
  std::mutex stop_mutex;
  bool stopped = false;
  std::unique_ptr<grpc::Server> server;
};

// One unary call: reads a message, hands it over, sends the answer, deletes itself.
class GrpcServer::Impl::Call final : public grpc::ServerGenericBidiReactor {
 public:
  Call(Impl& owner, grpc::GenericCallbackServerContext& context)
      : owner_(owner),
        context_(context),
        slot_(std::make_shared<AnswerSlot>(owner.config.message_bytes_max, owner.budget)) {
    slot_->call = this;
    if (owner_.calls.fetch_add(1) >= owner_.config.calls_max) {
      finish(std::unexpected(owner_.overloaded(fmt::format(
          "All {} calls of this server are in use; send it again later.", owner_.config.calls_max))));
      return;
    }
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      finish(std::unexpected(owner_.bad_message("The call came without a message.")));
      return;
    }
    if (!take_message()) {
      finish(std::unexpected(refusal()));
      return;
    }
    GrpcCall call;
    call.method = context_.method();
    for (const auto& [name, value] : context_.client_metadata()) {
      call.metadata.add(std::string_view(name.data(), name.size()), to_string(value));
    }
    call.message = slot_->sink.take();
    call.peer = peer_of(context_, owner_.config.tls.enabled);
    owner_.handled.fetch_add(1, std::memory_order_relaxed);
    GrpcResponder responder(
        [slot = slot_](GrpcResponder::Answer answer) { finish(*slot, std::move(answer)); });
    owner_.handler(std::move(call), std::move(responder));
  }

  void OnCancel() override {
    finish(std::unexpected(GrpcStatus{GrpcCode::kCancelled, "The call was cancelled.", {}}));
  }

  void OnDone() override {
    owner_.calls.fetch_sub(1);
    delete this;
  }

 private:
  // The first of the answer and the cancellation finishes the call; the other finds it gone.
  static void finish(AnswerSlot& slot, GrpcResponder::Answer answer) {
    Call* call = nullptr;
    {
      const std::lock_guard lock(slot.mutex);
      call = std::exchange(slot.call, nullptr);
    }
    if (call == nullptr) {
      return;
    }
    if (answer.has_value()) {
      call->response_ = to_buffer(std::move(*answer));
      call->StartWriteAndFinish(&call->response_, grpc::WriteOptions(), grpc::Status::OK);
    } else {
      call->Finish(to_grpc(std::move(answer).error()));
    }
  }
  void finish(GrpcResponder::Answer answer) { finish(*slot_, std::move(answer)); }

  bool take_message() {
    std::vector<grpc::Slice> slices;
    if (!request_.Dump(&slices).ok()) {
      return false;
    }
    request_.Clear();
    BodySink& sink = slot_->sink;
    const bool gzip = slices.size() > 0 && slices[0].size() >= 2 && slices[0].begin()[0] == 0x1f &&
                      slices[0].begin()[1] == 0x8b;
    std::size_t size = 0;
    for (const grpc::Slice& slice : slices) {
      size += slice.size();
    }
    if (gzip) {
      sink.set_encoding("gzip");
    } else {
      sink.expect(size, size);  // gRPC has refused what is over the limit
    }
    for (const grpc::Slice& slice : slices) {
      const auto* bytes = reinterpret_cast<const char*>(slice.begin());
      if (gzip) {
        if (!sink.append(std::string_view(bytes, slice.size()))) {
          return false;
        }
        continue;
      }
      std::memcpy(sink.window(), bytes, slice.size());
      if (!sink.filled(slice.size())) {
        return false;
      }
    }
    return sink.finish();
  }

  GrpcStatus refusal() {
    switch (slot_->sink.fault()) {
      case BodySink::Fault::kTooLarge: return owner_.over_limit();
      case BodySink::Fault::kOverloaded:
        return owner_.overloaded(
            fmt::format("The calls in flight hold {} bytes already; send it again later.",
                        owner_.config.message_bytes_in_flight_max));
      case BodySink::Fault::kMalformed:
      case BodySink::Fault::kNone: break;
    }
    return owner_.bad_message("The message is damaged: it is not a whole gzip stream.");
  }

  Impl& owner_;
  grpc::GenericCallbackServerContext& context_;
  const std::shared_ptr<AnswerSlot> slot_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
};

grpc::ServerGenericBidiReactor* GrpcServer::Impl::CreateReactor(grpc::GenericCallbackServerContext* context) {
  return new Call(*this, *context);
}

Result<std::unique_ptr<GrpcServer>> GrpcServer::start(GrpcServerConfig config, GrpcHandler handler) {
  quiet_library_log();
  NARU_TRY(Address address, parse_address(config.address));
  NARU_TRY(auto credentials, credentials_of(config.tls));
  auto impl = std::make_unique<Impl>(std::move(config), std::move(handler));
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(impl->config.address, credentials, &port);
  builder.RegisterCallbackGenericService(impl.get());
  builder.SetMaxReceiveMessageSize(static_cast<int>(impl->config.message_bytes_max));
  // The library would undo gzip without any limit, so it hands the compressed bytes over.
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  builder.AddChannelArgument(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, kIdentityAndGzip);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS,
                             static_cast<int>(impl->config.connection_idle_timeout.count()));
  impl->server = builder.BuildAndStart();
  if (impl->server == nullptr || port == 0) {
    return fail(
        ErrorCode::kUnavailable,
        fmt::format("cannot listen on {}: another program uses this address, or it is not one of this "
                    "machine; choose another",
                    impl->config.address));
  }
  address.port = static_cast<std::uint16_t>(port);
  impl->endpoint = address.text();
  return std::unique_ptr<GrpcServer>(new GrpcServer(std::move(impl)));
}

GrpcServer::GrpcServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

GrpcServer::~GrpcServer() {
  stop(std::chrono::milliseconds(0));
}

const std::string& GrpcServer::endpoint() const {
  return impl_->endpoint;
}

GrpcServerStats GrpcServer::stats() const {
  GrpcServerStats stats;
  stats.calls = impl_->calls.load();
  stats.message_bytes_in_flight = impl_->budget->used();
  stats.calls_handled = impl_->handled.load();
  stats.calls_overloaded = impl_->overloads.load();
  stats.calls_too_large = impl_->too_large.load();
  stats.calls_malformed = impl_->malformed.load();
  return stats;
}

void GrpcServer::stop(std::chrono::milliseconds drain) {
  const std::lock_guard lock(impl_->stop_mutex);
  if (!std::exchange(impl_->stopped, true)) {
    impl_->server->Shutdown(std::chrono::system_clock::now() + drain);
  }
}

}  // namespace naru::net
