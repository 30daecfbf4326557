// A store in a directory of its own, and JSON comparison, for the tests of the store.
#pragma once

#include <gtest/gtest.h>
#include <simdjson.h>

#include <memory>
#include <string>

#include "core/telemetry/metrics.h"
#include "store/api.h"
#include "store/store.h"
#include "tests/unit/temp_dir.h"

namespace naru::store {

// A store that can be closed and opened again on the same directory.
class TestStore {
 public:
  TestStore() {
    config.directory = directory_.path() + "/store";
    config.disk_free_min = 0;
    config.maintain_millis = 0;
    open();
  }
  ~TestStore() { close(); }
  void open() {
    registry = std::make_unique<telemetry::Registry>();
    auto opened = Store::open(config, *registry);
    ASSERT_TRUE(opened) << opened.error().message();
    store = std::move(*opened);
    api = std::make_unique<StoreApi>(*store, *registry);
  }
  void close() {
    api.reset();
    store.reset();
    registry.reset();
  }
  net::HttpResponse call(const std::string& method, const std::string& target, std::string body = {}) {
    net::HttpRequest request;
    request.method = method;
    request.target = target;
    request.body = std::move(body);
    return api->answer(std::move(request));
  }
  // The body of a call that must answer 200.
  std::string ok(const std::string& method, const std::string& target, std::string body = {}) {
    net::HttpResponse response = call(method, target, std::move(body));
    EXPECT_EQ(response.status, 200) << method << ' ' << target << ": " << response.body;
    return response.body;
  }

  StoreConfig config;
  std::unique_ptr<telemetry::Registry> registry;
  std::unique_ptr<Store> store;
  std::unique_ptr<StoreApi> api;

 private:
  test::TempDir directory_;
};

// Where `actual` differs from `expected`, as a path and a reason; empty: it does not. Members that `expected`
// does not name are free; the string "*" fits anything; lists must have the same length.
std::string difference(simdjson::dom::element expected, simdjson::dom::element actual,
                       const std::string& path = "");
std::string difference(const std::string& expected, const std::string& actual);

}  // namespace naru::store
