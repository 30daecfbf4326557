// The console's page from inside the program. Loads nothing from another host and forbids the browser to.
#pragma once

#include <optional>
#include <string_view>

#include "core/net/http.h"

namespace naru::console {

// The file at `path` ("/" is the page), with type, ETag and a Content-Security-Policy that allows only the
// page's own files. nullopt: there is no such file. Thread-safe.
std::optional<net::HttpResponse> serve(std::string_view path);

}  // namespace naru::console
