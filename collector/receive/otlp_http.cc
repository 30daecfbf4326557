#include "collector/receive/otlp_http.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>

#include "core/otlp/json.h"

namespace naru::collector {
namespace {

constexpr std::string_view kProtobuf = "application/x-protobuf";
constexpr std::string_view kJson = "application/json";

std::optional<otlp::Signal> signal_of(std::string_view path) {
  if (path == "/v1/logs") {
    return otlp::Signal::kLogs;
  }
  if (path == "/v1/traces") {
    return otlp::Signal::kTraces;
  }
  if (path == "/v1/metrics") {
    return otlp::Signal::kMetrics;
  }
  return std::nullopt;
}

bool is_media_type(std::string_view content_type, std::string_view wanted) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) {
    type.remove_suffix(1);
  }
  return std::ranges::equal(type, wanted,
                            [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; });
}

net::HttpResponse encoded(int status, bool json, std::string body) {
  net::HttpResponse response;
  response.status = status;
  response.headers.set("Content-Type", std::string(json ? kJson : kProtobuf));
  response.body = std::move(body);
  return response;
}

net::HttpResponse refused(const Error& error, bool json, std::chrono::milliseconds retry_after) {
  const Refusal refusal = refusal_of(error.code());
  net::HttpResponse response = encoded(refusal.http_status, json,
                                       json ? otlp::status_json(refusal.grpc_code, error.message())
                                            : otlp::status_message(refusal.grpc_code, error.message()));
  if (refusal.retry) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(retry_after).count();
    response.headers.set("Retry-After", fmt::format("{}", std::max<std::int64_t>(seconds, 1)));
  }
  if (error.code() == ErrorCode::kUnauthenticated) {
    response.headers.set("WWW-Authenticate", "Bearer, Basic realm=\"naru\"");
  }
  return response;
}

void handle(Intake& intake, net::HttpRequest request, net::Responder respond) {
  const std::optional<otlp::Signal> signal = signal_of(request.path());
  if (!signal) {
    respond(net::text_response(404, "this listener takes OTLP on /v1/logs, /v1/traces and /v1/metrics\n"));
    return;
  }
  if (request.method != "POST") {
    net::HttpResponse response = net::text_response(405, "OTLP requests are sent with POST\n");
    response.headers.set("Allow", "POST");
    respond(std::move(response));
    return;
  }
  const std::string_view content_type = request.headers.get("Content-Type");
  const bool json = is_media_type(content_type, kJson);
  if (!json && !is_media_type(content_type, kProtobuf)) {
    respond(net::text_response(415, fmt::format("Content-Type must be {} or {}\n", kProtobuf, kJson)));
    return;
  }
  const Result<Role> role = intake.admit(request.peer, request.headers.get("Authorization"));
  if (!role) {
    respond(refused(role.error(), json, intake.retry_after()));
    return;
  }
  if (json) {
    auto decoded = otlp::request_from_json(*signal, request.body);
    if (!decoded) {
      respond(refused(decoded.error(), json, intake.retry_after()));
      return;
    }
    request.body = std::move(*decoded);
  }
  intake.take(
      *signal, *role, std::move(request.body),
      [json, retry_after = intake.retry_after(), respond = std::move(respond)](Result<void> outcome) mutable {
        respond(outcome ? encoded(200, json, json ? otlp::response_json() : otlp::response_message())
                        : refused(outcome.error(), json, retry_after));
      });
}

}  // namespace

net::HttpHandler otlp_http_handler(Intake& intake) {
  return [&intake](net::HttpRequest request, net::Responder respond) {
    handle(intake, std::move(request), std::move(respond));
  };
}

}  // namespace naru::collector
