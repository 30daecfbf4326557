// One HTTP request to a whole URL on a connection of its own: probes, effects, notices.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/net/http.h"

namespace naru::alerting {

// kInvalidArgument: the URL; kUnavailable, kTimeout, kIo as HttpTransport. `content_type` empty: GET.
Result<net::HttpResponse> call_url(const std::string& url, std::string_view content_type, std::string body,
                                   std::chrono::milliseconds timeout);
// The URL without what may be secret in it: scheme, host and port.
std::string redacted_url(std::string_view url);
Result<void> check_url(const std::string& url);

}  // namespace naru::alerting
