// The OpenSearch-compatible HTTP face of a Store: a subset that writers, the console and dashboards use.
//
// Answers look like OpenSearch 2.19.1. A path, parameter, query, aggregation or key that is not known is
// answered 400 (405 for a method) with its name, never skipped. handle() returns at once: bulks and all other
// requests run on two small pools of threads with bounded queues; over the bound a request is answered 429
// rejected_execution_exception. Knows no authentication: bind it to loopback or put a proxy before it.
#pragma once

#include <cstddef>
#include <memory>

#include "core/net/http.h"
#include "core/telemetry/metrics.h"
#include "store/store.h"

namespace naru::store {

struct ApiConfig {
  std::size_t bulk_threads = 2;
  std::size_t search_threads = 2;
  std::size_t queue_max = 128;  // waiting requests of each pool
};

class StoreApi {
 public:
  // Both must outlive this.
  StoreApi(Store& store, telemetry::Registry& registry, ApiConfig config = {});
  // Answers what is queued, then ends the threads.
  ~StoreApi();

  void handle(net::HttpRequest request, net::Responder respond);
  // handle() as a value for HttpServer or LocalTransport; must not outlive this.
  net::HttpHandler handler();

  // The answer to one request, on the calling thread.
  net::HttpResponse answer(net::HttpRequest request);

 private:
  class Pool;
  Store& store_;
  telemetry::Counter rejected_;
  std::unique_ptr<Pool> bulks_;
  std::unique_ptr<Pool> others_;
};

}  // namespace naru::store
