// How to reach a cluster: any of its nodes for questions, or one that is named for bulk requests.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/net/http.h"

namespace naru::prepper {

struct ClusterAccess {
  // One peer behind one transport, such as the store of this process.
  // NOLINTNEXTLINE(google-explicit-constructor): that is what a factory alone means
  ClusterAccess(net::HttpTransportFactory only)
      : any(std::move(only)), seeds({""}), node([any = any](const std::string&) { return any(); }) {}
  ClusterAccess(net::HttpTransportFactory any_node, std::vector<std::string> urls,
                std::function<std::unique_ptr<net::HttpTransport>(const std::string&)> one_node)
      : any(std::move(any_node)), seeds(std::move(urls)), node(std::move(one_node)) {}

  net::HttpTransportFactory any;   // uses one address until it does not answer
  std::vector<std::string> seeds;  // addresses of the configuration; not empty
  // To one address, of the seeds or of the cluster's own list; nullptr: the address cannot be used.
  // Thread-safe.
  std::function<std::unique_ptr<net::HttpTransport>(const std::string&)> node;
};

}  // namespace naru::prepper
