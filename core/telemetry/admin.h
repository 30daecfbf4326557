// The endpoints that every program has on its admin listener: GET /metrics, /livez, /readyz.
//
// Answers only; the program owns the listener and puts its own admin endpoints before this one.
#pragma once

#include "core/net/http.h"
#include "core/telemetry/health.h"
#include "core/telemetry/metrics.h"

namespace naru::telemetry {

// /metrics: text exposition 0.0.4. /livez: 200 as long as this process answers at all. /readyz: 200, or 503
// when a check is red, with {"ready":..., "checks":[{"name":..., "ok":..., "reason":...}]}. HEAD as GET
// without a body. Another method 405, another path 404.
net::HttpResponse answer_admin(const net::HttpRequest& request, const Registry& registry,
                               const Health& health);

// The same as a handler. Both arguments must outlive it.
net::HttpHandler admin_handler(const Registry& registry, const Health& health);

}  // namespace naru::telemetry
