// Records of the control topics, as a leader reads them back: key, NUL, value.
#include "alerting/decide/decider.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace naru;
  using namespace naru::alerting;
  constexpr UnixNanos kNow = 1'795'000'000 * kNanosPerSecond;
  TargetConfig target;
  target.name = "broker";
  target.routes = {{.name = "main", .url = {}, .watch = "broker.main", .probe = {}},
                   {.name = "sub", .url = {}, .watch = {}, .probe = {}}};
  target.fail_back = FailBack::kAutomatic;
  const auto decider = Decider::make({.targets = {target}, .mappings = {}}).value();
  fuzz::Input input(data, size);
  while (!input.rest().empty()) {
    const std::uint8_t kind = input.byte();
    const std::string_view key = input.until('\0'), value = input.until('\0');
    if (kind % 3 == 0) {
      if (const auto event = parse_status_event(value)) {
        decider->restore_status(*event);
      }
    } else if (kind % 3 == 1) {
      decider->restore_route(value);
    } else if (const auto group = parse_saved_group(key, value)) {
      const StateRecord again = to_state(*group);
      fuzz::must(again.value && parse_saved_group(again.key, *again.value).has_value(),
                 "a kept group can be kept again");
    } else {
      decider->restore_state(key, value);
    }
  }
  decider->begin(decider->highest_epoch() + 1, kNow);
  Decisions out;
  decider->tick(kNow, out);
  decider->tick(kNow + 7'200 * kNanosPerSecond, out);
  fuzz::must(decider->plan("broker")->state().active < 2, "the active route is one of the routes");
  fuzz::must(!decider->route_json("broker").empty(), "there is a route");
  return 0;
}
