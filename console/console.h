// The console behind one HTTP handler: its page, and searches forwarded to the store or to OpenSearch.
//
// Forwards reading only: GET /v1/overview of naru-alerting, GET /api/ and POST /api/<target>/{_search,_count}
// as JSON, where a target is one of the read aliases logs, traces, metrics or an index of ours. An alias with
// parameters `from` and `to` (milliseconds) becomes the indices of that time. Authenticates nobody: bind it
// to loopback or put something that does in front.
#pragma once

#include <chrono>
#include <cstddef>

#include "core/net/http.h"

namespace naru::console {

struct ConsoleConfig {
  std::size_t searches_max = 4;              // at once, each on a thread and a connection of its own
  std::size_t waiting_max = 64;              // over it 503
  std::size_t request_bytes_max = 1u << 20;  // of one search; over it 413
  std::chrono::milliseconds search_timeout{30'000};
  // Answer under any host name. Otherwise only under numbers and localhost: a name of another site that
  // points at this address would let that site's pages read the searches (DNS rebinding); such requests get
  // 403.
  bool any_host = false;
  // The API of naru-alerting, whose GET /v1/overview the page of alerts shows; empty: 404.
  net::HttpTransportFactory alerting;
};

// `search` makes the connections to the search API; its transports are used by one thread each and closed
// with the last copy of the handler. Answers 502 with a sentence when the search API is away.
net::HttpHandler make_console_handler(net::HttpTransportFactory search, ConsoleConfig config = {});

}  // namespace naru::console
