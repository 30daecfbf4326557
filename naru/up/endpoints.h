// <data>/endpoints.json: where the listeners of a `naru up` on that directory are, for scripts and for the
// other verbs. It says where they were bound last, not that they are there now.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace naru {

struct Endpoint {
  std::string what;     // console, store, otlp-grpc, otlp-http, syslog-udp, syslog-tcp, admin
  std::string address;  // host:port
};

std::string endpoints_path(std::string_view data_directory);

// By temp file and rename, so that a reader never sees half of it. kIo.
Result<void> write_endpoints(const std::string& path, const std::vector<Endpoint>& endpoints);
// The address of one listener. kNotFound: no such file, or it does not name the listener; kCorrupt: it is not
// what write_endpoints() writes.
Result<std::string> read_endpoint(const std::string& path, std::string_view what);

}  // namespace naru
