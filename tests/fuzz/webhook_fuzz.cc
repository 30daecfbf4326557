// Payloads of the four webhooks, and what the decider makes of them: no state may break, nothing may throw.
#include "alerting/decide/decider.h"
#include "alerting/webhook/payload.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace naru;
  using namespace naru::alerting;
  constexpr Provider kProviders[] = {Provider::kGrafana, Provider::kAlertmanager, Provider::kKibana,
                                     Provider::kGeneric};
  constexpr UnixNanos kNow = 1'795'000'000 * kNanosPerSecond;
  fuzz::Input input(data, size);
  const Provider provider = kProviders[input.byte() % 4];
  const Result<Payload> payload = parse_payload(provider, input.rest(), kNow);
  if (!payload) {
    fuzz::must(!payload.error().message().empty(), "an error says what is wrong");
    return 0;
  }
  fuzz::must(payload->alerts.size() <= kAlertsMax, "no more alerts than allowed");
  TargetConfig target;
  target.name = "broker";
  target.routes = {{.name = "main", .url = {}, .watch = "broker.main", .probe = {}},
                   {.name = "sub", .url = {}, .watch = {}, .probe = {}}};
  const auto decider = Decider::make({.targets = {target}, .mappings = {}}).value();
  decider->begin(1, kNow);
  Version last;
  for (int twice = 0; twice < 2; ++twice) {
    for (const Alert& alert : payload->alerts) {
      Decisions out;
      decider->alert(alert, kNow, out);
      for (const StatusEvent& event : out.events) {
        fuzz::must(event.version > last, "versions only grow");
        last = event.version;
        const auto read = parse_status_event(to_json(event));
        fuzz::must(read.has_value() && read->target == event.target, "an event can be read again");
      }
      for (const StateRecord& record : out.state) {
        fuzz::must(!record.value || decider->restore_state(record.key, *record.value),
                   "what is kept can be restored");
      }
    }
  }
  return 0;
}
