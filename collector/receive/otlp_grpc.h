// OTLP over gRPC: the Export methods of logs, traces and metrics.
//
// Turns calls into submissions and outcomes into answers; core/net's gRPC server listens and unpacks.
#pragma once

#include "collector/receive/intake.h"
#include "core/net/grpc_server.h"

namespace naru::collector {

// Answers UNIMPLEMENTED to other methods. `intake` must outlive the handler.
net::GrpcHandler otlp_grpc_handler(Intake& intake);

}  // namespace naru::collector
