// Requests for administration: JSON in, JSON out, and what a refusal is called.
#pragma once

#include <simdjson.h>

#include <chrono>
#include <map>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/net/http.h"

namespace naru::prepper {

// A parsed answer; elements are views into the parser.
struct JsonAnswer {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
};

inline constexpr std::chrono::milliseconds kAdminTimeout{30'000};

Result<net::HttpResponse> call(net::HttpTransport& opensearch, std::string method, std::string target,
                               std::string body = {});
// kUnauthenticated (401), kPermissionDenied (403), kUnavailable (429, 5xx), else kInternal; says `what` was
// tried and what OpenSearch said.
Error refused(std::string_view what, const net::HttpResponse& answer);
// Errors: no answer, or another status than 200.
Result<void> expect_ok(Result<net::HttpResponse> answer, const std::string& what);
// A GET whose answer must be 200 and JSON.
Result<std::unique_ptr<JsonAnswer>> get_json(net::HttpTransport& opensearch, const std::string& target,
                                             std::string_view what);

// A JSON value as path -> text, so that nested and dotted forms, numbers and their texts compare equal.
using Flat = std::map<std::string, std::string>;
void flatten(const simdjson::dom::element& value, const std::string& path, Flat& out);

}  // namespace naru::prepper
