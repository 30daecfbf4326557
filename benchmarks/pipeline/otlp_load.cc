// Sends OTLP log exports over gRPC as fast as they are acknowledged, and counts what was acknowledged.
//
//   naru-bench-otlp-load --to 127.0.0.1:4317 --records 1000000 --batch 1000 --size 300 --in-flight 16
//
// Prints {"acknowledged":..,"refused":..,"seconds":..}. A request that is refused is sent again, as a client
// does.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <memory>

#include "core/otlp/build.h"

namespace {

using namespace naru;

constexpr char kMethod[] = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

struct Options {
  std::string to = "127.0.0.1:4317";
  std::uint64_t records = 1'000'000;
  std::uint64_t batch = 1000;
  std::uint64_t size = 300;
  std::uint64_t in_flight = 16;
};

// Plain client records, as an SDK sends them: a time, a severity, a string body; no identity of ours.
std::string make_request(const Options& options, std::uint64_t first, std::uint64_t count) {
  std::string resource_attributes;
  otlp::append_string_attribute(resource_attributes, otlp::kResourceAttributes, "service.name", "bench");
  otlp::append_string_attribute(resource_attributes, otlp::kResourceAttributes, "service.instance.id",
                                "i" + std::to_string(first / options.batch % 8));
  std::string out;
  const std::size_t resource = otlp::begin_message_field(out, 1);
  otlp::append_bytes_field(out, 1, resource_attributes);
  const std::size_t scope = otlp::begin_message_field(out, 2);
  const UnixNanos now = wall_now();
  for (std::uint64_t i = first; i < first + count; ++i) {
    std::string body = "record " + std::to_string(i) + ' ';
    body.resize(std::max<std::size_t>(body.size(), options.size), 'x');
    const std::size_t record = otlp::begin_message_field(out, 2);
    otlp::append_fixed64_field(out, 1, now + i);
    otlp::append_varint_field(out, 2, 9);
    std::string any;
    otlp::append_bytes_field(any, 1, body);
    otlp::append_bytes_field(out, 5, any);
    otlp::end_message_field(out, record);
  }
  otlp::end_message_field(out, scope);
  otlp::end_message_field(out, resource);
  return out;
}

struct Call {
  std::string request;
  std::uint64_t records = 0;
  std::unique_ptr<grpc::ClientContext> context;
  grpc::ByteBuffer response;
  grpc::Status status;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
};

void start(Call& call, grpc::GenericStub& stub, grpc::CompletionQueue& queue) {
  call.context = std::make_unique<grpc::ClientContext>();
  grpc::Slice slice(call.request.data(), call.request.size(), grpc::Slice::STATIC_SLICE);
  const grpc::ByteBuffer message(&slice, 1);
  call.reader = stub.PrepareUnaryCall(call.context.get(), kMethod, message, &queue);
  call.reader->StartCall();
  call.reader->Finish(&call.response, &call.status, &call);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Sends OTLP/gRPC log exports and counts the acknowledged records.");
  app.add_option("--to", options.to, "host:port of the collector");
  app.add_option("--records", options.records, "records in all");
  app.add_option("--batch", options.batch, "records a request");
  app.add_option("--size", options.size, "bytes a body");
  app.add_option("--in-flight", options.in_flight, "requests under way at once");
  CLI11_PARSE(app, argc, argv);

  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  grpc::GenericStub stub(
      grpc::CreateCustomChannel(options.to, grpc::InsecureChannelCredentials(), arguments));
  grpc::CompletionQueue queue;

  std::uint64_t next = 0, acknowledged = 0, refused = 0, under_way = 0;
  const auto send_next = [&](std::unique_ptr<Call> call) {
    if (next == options.records) {
      return;
    }
    call->records = std::min(options.batch, options.records - next);
    call->request = make_request(options, next, call->records);
    next += call->records;
    ++under_way;
    start(*call.release(), stub, queue);
  };
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint64_t i = 0; i < options.in_flight; ++i) {
    send_next(std::make_unique<Call>());
  }
  void* tag = nullptr;
  bool ok = false;
  while (under_way > 0 && queue.Next(&tag, &ok)) {
    std::unique_ptr<Call> call(static_cast<Call*>(tag));
    if (!call->status.ok()) {
      ++refused;
      start(*call.release(), stub, queue);
      continue;
    }
    --under_way;
    acknowledged += call->records;
    send_next(std::move(call));
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::cout << R"({"acknowledged":)" << acknowledged << R"(,"refused":)" << refused << R"(,"seconds":)"
            << seconds.count() << "}\n";
  return 0;
}
