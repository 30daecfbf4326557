// OTLP over HTTP: POST /v1/logs, /v1/traces, /v1/metrics in protobuf and JSON (OTLP specification 1.x).
//
// Turns requests into submissions and outcomes into answers; does not listen (core/net does), does not
// authenticate or deliver (Intake does). Content-Encoding is undone by the server.
#pragma once

#include "collector/receive/intake.h"
#include "core/net/http.h"

namespace naru::collector {

// Answers 404 to other paths. `intake` must outlive the handler.
net::HttpHandler otlp_http_handler(Intake& intake);

}  // namespace naru::collector
