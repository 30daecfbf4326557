// The HTTP API of naru-alerting on its admin listener (docs/failover.md, docs/webhooks.md):
//
//   POST /webhooks/{grafana|alertmanager|kibana|generic}      alerts of others
//   GET  /v1/status[/{target}]                                 PUT /v1/status/{target}
//   {"status","reason","by"} GET  /v1/routes/{target}?wait=30s                          PUT
//   /v1/routes/{target} {"route","lock","reason","by"} GET  /v1/limits    POST /v1/limits/{name}/acquire PUT
//   /v1/limits/{name} {"perSecond"} GET  /v1/overview                                          everything,
//   for the console
//
// A change is answered 2xx when it is durable, 503 when it is not (Alertmanager takes 429 for final).
// Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "alerting/config.h"
#include "alerting/leader/leader.h"
#include "core/net/http.h"
#include "core/telemetry/metrics.h"

namespace naru::alerting {

class Api {
 public:
  Api(const AlertingConfig& config, Leader& leader, Settled& settled, LimitService& limits,
      telemetry::Registry& registry);

  // False: another target.
  bool answer(net::HttpRequest& request, net::Responder& respond);

 private:
  void webhook(const std::string& provider, net::HttpRequest& request, net::Responder respond);
  void status(const std::string& target, net::HttpRequest& request, net::Responder respond);
  void routes(const std::string& target, net::HttpRequest& request, net::Responder respond);
  void limits(const std::string& rest, net::HttpRequest& request, net::Responder respond);
  // Of all but webhooks: this machine, a client certificate or the token. False: it was answered.
  bool admits(const net::HttpRequest& request, net::Responder& respond) const;
  telemetry::Counter count(std::string_view provider, std::string_view outcome) const;

  const AlertingConfig config_;
  Leader& leader_;
  Settled& settled_;
  LimitService& limits_;
  telemetry::Registry& registry_;
};

}  // namespace naru::alerting
