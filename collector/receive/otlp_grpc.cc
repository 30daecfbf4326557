#include "collector/receive/otlp_grpc.h"

#include <optional>

namespace naru::collector {
namespace {

std::optional<otlp::Signal> signal_of(std::string_view method) {
  if (method == "/opentelemetry.proto.collector.logs.v1.LogsService/Export") {
    return otlp::Signal::kLogs;
  }
  if (method == "/opentelemetry.proto.collector.trace.v1.TraceService/Export") {
    return otlp::Signal::kTraces;
  }
  if (method == "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export") {
    return otlp::Signal::kMetrics;
  }
  return std::nullopt;
}

net::GrpcStatus refused(const Error& error, std::chrono::milliseconds retry_after) {
  const Refusal refusal = refusal_of(error.code());
  net::GrpcStatus status;
  status.code = static_cast<net::GrpcCode>(refusal.grpc_code);
  status.text = error.message();
  if (refusal.retry) {
    status.retry_delay = retry_after;
  }
  return status;
}

void handle(Intake& intake, net::GrpcCall call, net::GrpcResponder respond) {
  const std::optional<otlp::Signal> signal = signal_of(call.method);
  if (!signal) {
    respond.status({net::GrpcCode::kUnimplemented,
                    "this listener takes OTLP exports of logs, traces and metrics, not " + call.method,
                    std::nullopt});
    return;
  }
  const Result<Role> role = intake.admit(call.peer, call.metadata.get("authorization"));
  if (!role) {
    respond.status(refused(role.error(), intake.retry_after()));
    return;
  }
  intake.take(
      *signal, *role, std::move(call.message),
      [retry_after = intake.retry_after(), respond = std::move(respond)](Result<void> outcome) mutable {
        if (outcome) {
          respond.message({});  // no partial_success
        } else {
          respond.status(refused(outcome.error(), retry_after));
        }
      });
}

}  // namespace

net::GrpcHandler otlp_grpc_handler(Intake& intake) {
  return [&intake](net::GrpcCall call, net::GrpcResponder respond) {
    handle(intake, std::move(call), std::move(respond));
  };
}

}  // namespace naru::collector
