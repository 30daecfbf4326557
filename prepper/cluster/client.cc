#include "prepper/cluster/client.h"

#include <fmt/format.h>

namespace naru::prepper {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

void flatten(const element& value, const std::string& path, Flat& out) {
  const auto below = [&](std::string_view name) {
    return path.empty() ? std::string(name) : path + "." + std::string(name);
  };
  object members;
  array items;
  std::string_view text;
  if (value.get(members) == simdjson::SUCCESS) {
    if (members.size() == 0) {
      out[path] = "{}";
    }
    for (const auto& [name, member] : members) {
      flatten(member, below(name), out);
    }
  } else if (value.get(items) == simdjson::SUCCESS) {
    std::size_t i = 0;
    for (const element& item : items) {
      flatten(item, below(std::to_string(i++)), out);
    }
  } else if (value.get(text) == simdjson::SUCCESS) {
    out[path] = text;
  } else {
    out[path] = simdjson::minify(value);
  }
}

Result<net::HttpResponse> call(net::HttpTransport& opensearch, std::string method, std::string target,
                               std::string body) {
  net::HttpRequest request;
  request.method = std::move(method);
  request.target = std::move(target);
  if (!body.empty()) {
    request.headers.set("Content-Type", "application/json");
    request.body = std::move(body);
  }
  return opensearch.exchange(std::move(request), kAdminTimeout);
}

Error refused(std::string_view what, const net::HttpResponse& answer) {
  const ErrorCode code = answer.status == 401                           ? ErrorCode::kUnauthenticated
                         : answer.status == 403                         ? ErrorCode::kPermissionDenied
                         : answer.status >= 500 || answer.status == 429 ? ErrorCode::kUnavailable
                                                                        : ErrorCode::kInternal;
  return Error(code,
               fmt::format("{}: OpenSearch answered {} {}", what, answer.status, answer.body.substr(0, 500)));
}

Result<void> expect_ok(Result<net::HttpResponse> answer, const std::string& what) {
  if (!answer) {
    return fail(answer.error().with_context(what));
  }
  if (answer->status != 200) {
    return fail(refused(what, *answer));
  }
  return {};
}

Result<std::unique_ptr<JsonAnswer>> get_json(net::HttpTransport& opensearch, const std::string& target,
                                             std::string_view what) {
  NARU_TRY(const net::HttpResponse answer, call(opensearch, "GET", target));
  auto out = std::make_unique<JsonAnswer>();
  if (answer.status != 200 || out->parser.parse(answer.body).get(out->root) != simdjson::SUCCESS) {
    return fail(refused(what, answer));
  }
  return out;
}

}  // namespace naru::prepper
