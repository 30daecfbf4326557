#include "core/telemetry/admin.h"

#include <string>
#include <vector>

#include "core/base/json_text.h"

namespace naru::telemetry {
namespace {

net::HttpResponse ready_response(const Health& health) {
  bool ready = true;
  std::string checks;
  for (const Health::Check& check : health.checks()) {
    ready = ready && check.ok;
    checks += checks.empty() ? "" : ",";
    checks += "{\"name\":";
    append_json_string(checks, check.name);
    checks += check.ok ? ",\"ok\":true" : ",\"ok\":false,\"reason\":";
    if (!check.ok) {
      append_json_string(checks, check.reason);
    }
    checks += '}';
  }
  return net::json_response(ready ? 200 : 503, std::string(ready ? "{\"ready\":true" : "{\"ready\":false") +
                                                   ",\"checks\":[" + checks + "]}\n");
}

}  // namespace

net::HttpResponse answer_admin(const net::HttpRequest& request, const Registry& registry,
                               const Health& health) {
  const std::string_view path = request.path();
  const bool known = path == "/metrics" || path == "/livez" || path == "/readyz";
  if (!known) {
    return net::text_response(404, "No such admin endpoint; there are /metrics, /livez and /readyz.\n");
  }
  if (request.method != "GET" && request.method != "HEAD") {
    net::HttpResponse response = net::text_response(405, "Only GET and HEAD are answered here.\n");
    response.headers.set("Allow", "GET, HEAD");
    return response;
  }
  net::HttpResponse response;
  if (path == "/metrics") {
    response = net::text_response(200, registry.expose());
    response.headers.set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
  } else if (path == "/livez") {
    response = net::text_response(200, "ok\n");
  } else {
    response = ready_response(health);
  }
  if (request.method == "HEAD") {
    response.body.clear();
  }
  return response;
}

net::HttpHandler admin_handler(const Registry& registry, const Health& health) {
  return [&registry, &health](net::HttpRequest request, net::Responder respond) {
    respond(answer_admin(request, registry, health));
  };
}

}  // namespace naru::telemetry
