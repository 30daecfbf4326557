#include "alerting/decide/decider.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "core/base/json_text.h"

namespace naru::alerting {
namespace {

namespace dom = simdjson::dom;

constexpr std::string_view kSignalPrefix = "signal/";
constexpr std::string_view kAlertPrefix = "alert/";
constexpr std::string_view kGroupPrefix = "group/";
constexpr std::string_view kHistoryPrefix = "history/";
constexpr std::size_t kReasonBytesMax = 1'000;

void append_text(std::string& out, std::string_view name, std::string_view value) {
  out += fmt::format("{}\"{}\":", out.size() > 1 ? "," : "", name);
  append_json_string(out, value);
}

std::string text_of(const dom::object& object, std::string_view field) {
  std::string_view text;
  return object.at_key(field).get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

std::int64_t int_of(const dom::object& object, std::string_view field) {
  std::int64_t number = 0;
  return object.at_key(field).get(number) == simdjson::SUCCESS ? number : 0;
}

bool bool_of(const dom::object& object, std::string_view field) {
  bool truth = false;
  return object.at_key(field).get(truth) == simdjson::SUCCESS && truth;
}

std::string labels_json(const rules::Labels& labels) {
  std::string out = "{";
  for (const auto& [name, value] : labels) {
    if (out.size() > 1) {
      out += ',';
    }
    append_json_string(out, name);
    out += ':';
    append_json_string(out, value);
  }
  return out + "}";
}

StateRecord signal_record(const Signal& signal) {
  StateRecord record{fmt::format("{}{}\x1f{}", kSignalPrefix, signal.target, signal.fingerprint),
                     std::nullopt};
  if (signal.level == Status::kHealthy) {
    return record;
  }
  std::string value = "{";
  append_text(value, "target", signal.target);
  append_text(value, "fingerprint", signal.fingerprint);
  append_text(value, "source", signal.source);
  append_text(value, "level", to_string(signal.level));
  append_text(value, "reason", signal.reason);
  value +=
      fmt::format(R"(,"at":{},"records":{},"evidence":{}}})", signal.at, signal.records, signal.evidence);
  record.value = std::move(value);
  return record;
}

std::optional<Signal> parse_signal(const dom::object& object) {
  const auto level = rules::parse_level(text_of(object, "level"));
  Signal out{.target = text_of(object, "target"),
             .fingerprint = text_of(object, "fingerprint"),
             .source = text_of(object, "source"),
             .level = level.value_or(Status::kHealthy),
             .at = static_cast<UnixNanos>(int_of(object, "at")),
             .reason = text_of(object, "reason")};
  out.records = static_cast<std::uint64_t>(int_of(object, "records"));
  if (dom::element evidence; object["evidence"].get(evidence) == simdjson::SUCCESS) {
    out.evidence = simdjson::minify(evidence);
  }
  return level && !out.target.empty() ? std::optional(std::move(out)) : std::nullopt;
}

std::string evidence_of(const LevelChange& change) {
  std::string out = "{\"rule\":";
  append_json_string(out, change.rule_name);
  if (change.rule != nullptr) {
    out += fmt::format(R"(,"measure":"{}","value":{},"threshold":{},"windowSeconds":{})",
                       to_string(change.rule->measure), change.value, change.threshold,
                       change.rule->window.count());
  }
  if (change.records > 0) {
    out += fmt::format(R"(,"records":{})", change.records);
  }
  out += ",\"labels\":" + labels_json(change.labels);
  if (change.to > change.from) {
    out += ",\"counted\":{\"topic\":";
    append_json_string(out, change.feed.topic);
    out +=
        fmt::format(R"(,"partition":{},"from":{},"to":{}}})", change.feed.partition, change.from, change.to);
  }
  return out + "}";
}

std::string clean(std::string_view text) {
  std::string out(text.substr(0, kReasonBytesMax));
  std::ranges::replace_if(out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return out;
}

}  // namespace

StateRecord to_state(const SavedGroup& group) {
  std::string key(kGroupPrefix);
  key += group.rule;
  for (const std::string& value : group.group) {
    key += '\x1f' + value;
  }
  if (group.level == Level::kHealthy) {
    return {std::move(key), std::nullopt};
  }
  std::string value = "{";
  append_text(value, "level", to_string(group.level));
  value += fmt::format(R"(,"caution":[{},{}],"critical":[{},{}],"newest":{}}})", group.caution.from,
                       group.caution.until, group.critical.from, group.critical.until, group.newest);
  return {std::move(key), std::move(value)};
}

std::optional<SavedGroup> parse_saved_group(std::string_view key, std::string_view value) {
  if (!key.starts_with(kGroupPrefix)) {
    return std::nullopt;
  }
  key.remove_prefix(kGroupPrefix.size());
  SavedGroup out;
  bool first = true;
  for (;;) {
    const std::size_t end = key.find('\x1f');
    std::string part(key.substr(0, end));
    if (std::exchange(first, false)) {
      out.rule = std::move(part);
    } else {
      out.group.push_back(std::move(part));
    }
    if (end == std::string_view::npos) {
      break;
    }
    key.remove_prefix(end + 1);
  }
  dom::parser parser;
  dom::object object;
  if (parser.parse(value.data(), value.size()).get(object) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  const auto level = rules::parse_level(text_of(object, "level"));
  const auto run = [&](std::string_view field, Run& to) {
    dom::array pair;
    std::int64_t ends[2] = {kNever, kNever};
    if (object.at_key(field).get(pair) == simdjson::SUCCESS) {
      std::size_t at = 0;
      for (const dom::element one : pair) {
        if (at < 2 && one.get(ends[at]) != simdjson::SUCCESS) {
          return;
        }
        ++at;
      }
    }
    to = {ends[0], ends[1]};
  };
  run("caution", out.caution);
  run("critical", out.critical);
  out.newest = int_of(object, "newest");
  out.level = level.value_or(Level::kHealthy);
  return level ? std::optional(std::move(out)) : std::nullopt;
}

Decider::Decider(const DeciderConfig& config, Mapping mapping)
    : config_(config), mapping_(std::move(mapping)), alerts_(config.alerts_max) {
  for (const TargetConfig& target : config_.targets) {
    plans_.emplace(target.name, RoutePlan(target));
  }
}

Result<std::unique_ptr<Decider>> Decider::make(const DeciderConfig& config) {
  NARU_TRY(Mapping mapping, Mapping::compile(config.mappings));
  return std::unique_ptr<Decider>(new Decider(config, std::move(mapping)));
}

// --- restoring

void Decider::restore_status(const StatusEvent& event) {
  highest_epoch_ = std::max(highest_epoch_, event.version.epoch);
  const auto known = board_.targets().find(event.target);
  if (known == board_.targets().end() || known->second.version < event.version) {
    board_.restore_status(event);
  }
}

void Decider::restore_route(std::string_view json) {
  dom::parser parser;
  dom::object object;
  if (parser.parse(json.data(), json.size()).get(object) != simdjson::SUCCESS) {
    return;
  }
  RouteState state;
  state.target = text_of(object, "target");
  state.version = {static_cast<std::uint64_t>(int_of(object, "epoch")),
                   static_cast<std::uint64_t>(int_of(object, "sequence"))};
  state.reason = text_of(object, "reason");
  state.at = parse_rfc3339(text_of(object, "at")).value_or(0);
  state.locked = bool_of(object, "locked");
  dom::array list;
  if (object["switches"].get(list) == simdjson::SUCCESS) {
    for (const dom::element one : list) {
      if (std::uint64_t at = 0; one.get(at) == simdjson::SUCCESS) {
        state.switches.push_back(at);
      }
    }
  }
  if (object["acted"].get(list) == simdjson::SUCCESS) {
    for (const dom::element one : list) {
      if (std::string_view route; one.get(route) == simdjson::SUCCESS) {
        state.acted.emplace(route);
      }
    }
  }
  highest_epoch_ = std::max(highest_epoch_, state.version.epoch);
  auto& saved = saved_routes_[state.target];
  std::string shift_to;
  if (dom::object shift; object["shift"].get(shift) == simdjson::SUCCESS) {
    shift_to = text_of(shift, "to");
    state.shift_percent = static_cast<unsigned>(std::clamp<std::int64_t>(int_of(shift, "percent"), 0, 99));
  }
  if (saved.state.version <= state.version) {
    saved = {std::move(state), text_of(object, "active"), std::move(shift_to)};
  }
}

bool Decider::restore_state(std::string_view key, std::string_view value) {
  dom::parser parser;
  dom::object object;
  if (parser.parse(value.data(), value.size()).get(object) != simdjson::SUCCESS) {
    return false;
  }
  if (key.starts_with(kSignalPrefix)) {
    std::optional<Signal> signal = parse_signal(object);
    if (signal) {
      board_.restore_signal(std::move(*signal));
    }
    return signal.has_value();
  }
  if (key.starts_with(kAlertPrefix)) {
    alerts_.remember(text_of(object, "source"), text_of(object, "fingerprint"),
                     {static_cast<UnixNanos>(int_of(object, "startsAt")), bool_of(object, "resolved")});
    return true;
  }
  if (key.starts_with(kHistoryPrefix)) {
    history_.push_back({static_cast<std::uint64_t>(int_of(object, "number")), std::string(value)});
    return true;
  }
  return false;
}

void Decider::begin(std::uint64_t epoch, UnixNanos now) {
  version_ = {epoch, 0};
  std::ranges::sort(history_, {}, &HistoryEntry::number);
  for (auto& [name, saved] : saved_routes_) {
    if (const auto plan = plans_.find(name); plan != plans_.end()) {
      plan->second.restore(std::move(saved.state), saved.active, saved.shift_to);
    }
  }
  saved_routes_.clear();
  for (const auto& [target, state] : board_.targets()) {
    for (auto& [name, plan] : plans_) {
      // Not the evidence of then: it was weighed then.
      plan.status_changed(target, state.status, 0, now);
    }
  }
}

// --- deciding

void Decider::note(std::string json, Decisions& out) {
  const std::uint64_t number = history_.empty() ? 1 : history_.back().number + 1;
  std::string entry = fmt::format("{{\"number\":{},{}", number, json.substr(1));
  out.state.push_back({fmt::format("{}{}", kHistoryPrefix, number % config_.history_max), entry});
  history_.push_back({number, std::move(entry)});
  while (history_.size() > config_.history_max) {
    history_.pop_front();
  }
}

void Decider::tell(std::optional<StatusEvent> event, Decisions& out) {
  if (!event) {
    return;
  }
  event->version = next();
  board_.published(*event);
  std::string line = "{";
  append_text(line, "kind", "status");
  line += "," + to_json(*event).substr(1);
  note(std::move(line), out);
  for (auto& [name, plan] : plans_) {
    if (plan.watches(event->target)) {
      plan.status_changed(event->target, event->status, event->records, event->at);
      out.routes.insert(name);  // it shows the status
    }
  }
  out.events.push_back(std::move(*event));
}

void Decider::apply(const Signal& signal, Decisions& out) {
  const Signal* const known = board_.find(signal.target, signal.fingerprint);
  if ((known == nullptr ? Status::kHealthy : known->level) == signal.level) {
    return;
  }
  out.state.push_back(signal_record(signal));
  tell(board_.set(signal), out);
}

void Decider::rule_changed(const LevelChange& change, const SavedGroup& saved, Decisions& out) {
  out.state.push_back(to_state(saved));
  Signal signal;
  std::string group;
  for (const std::string& value : change.group) {
    group += '\x1f' + value;
  }
  signal.fingerprint = fingerprint_of(change.rule_name, group);
  signal.source = "rule/" + change.rule_name;
  signal.level = change.level;
  signal.at = change.at;
  signal.reason = clean(change.reason);
  signal.evidence = evidence_of(change);
  signal.records = change.records;
  if (change.rule == nullptr) {
    // Its target is known by the signal only.
    for (const auto& [target, state] : board_.targets()) {
      if (board_.find(target, signal.fingerprint) != nullptr) {
        signal.target = target;
        apply(signal, out);
        return;
      }
    }
    return;
  }
  std::vector<std::string> names;
  for (const auto& [name, value] : change.labels) {
    names.push_back(name);
  }
  const auto text = rules::LabelText::parse(change.rule->target, names);
  signal.target = text ? text->render(change.labels, change.value).substr(0, 249) : change.rule_name;
  if (const auto summary = change.rule->annotations.find("summary");
      summary != change.rule->annotations.end() && change.level > change.previous) {
    if (const auto parsed = rules::LabelText::parse(summary->second, names)) {
      signal.reason = clean(parsed->render(change.labels, change.value) + "; " + change.reason);
    }
  }
  apply(signal, out);
}

AlertOrder::Verdict Decider::alert(const Alert& alert, UnixNanos now, Decisions& out) {
  const AlertOrder::Verdict verdict = alerts_.judge(alert);
  if (verdict != AlertOrder::Verdict::kNew || alert.unknown) {
    return verdict;
  }
  const std::optional<Mapped> mapped = mapping_.map(alert);
  const bool resolved = alert.state == Alert::State::kResolved;
  alerts_.remember(alert.source, alert.fingerprint, {alert.starts_at, resolved});
  std::string value = "{";
  append_text(value, "source", alert.source);
  append_text(value, "fingerprint", alert.fingerprint);
  value += fmt::format(R"(,"startsAt":{},"resolved":{}}})", alert.starts_at, resolved);
  out.state.push_back({fmt::format("{}{}", kAlertPrefix, AlertOrder::key_of(alert.source, alert.fingerprint)),
                       std::move(value)});
  if (const std::optional<std::string> forgotten = alerts_.take_forgotten()) {
    out.state.push_back({fmt::format("{}{}", kAlertPrefix, *forgotten), std::nullopt});
  }
  if (!mapped) {
    return verdict;
  }
  Signal signal;
  signal.target = mapped->target;
  signal.fingerprint = fingerprint_of(alert.source, alert.fingerprint);
  signal.source = alert.source;
  signal.level = resolved ? Status::kHealthy : mapped->level;
  signal.at = now;
  const auto summary = alert.annotations.find("summary");
  const auto name = alert.labels.find("alertname");
  signal.reason =
      clean(fmt::format("{}{}", resolved ? "resolved: " : "",
                        summary != alert.annotations.end() && !summary->second.empty() ? summary->second
                        : name != alert.labels.end()                                   ? name->second
                                                                                       : alert.fingerprint));
  signal.evidence = "{\"alert\":";
  append_json_string(signal.evidence, alert.fingerprint);
  signal.evidence += fmt::format(R"(,"startsAt":"{}","labels":{})", format_rfc3339(alert.starts_at),
                                 labels_json(alert.labels));
  if (!alert.url.empty()) {
    signal.evidence += ",\"url\":";
    append_json_string(signal.evidence, alert.url);
  }
  signal.evidence += "}";
  apply(signal, out);
  step_routes(now, out);
  return verdict;
}

Result<void> Decider::set_status(const std::string& target, Status status, const std::string& reason,
                                 const std::string& who, UnixNanos now, Decisions& out) {
  if (target.empty() || target.size() > 249) {
    return fail(ErrorCode::kInvalidArgument, "a target has 1 to 249 characters");
  }
  if (reason.empty()) {
    return fail(ErrorCode::kInvalidArgument, "give a reason: it is what others will read");
  }
  Signal signal;
  signal.target = target;
  signal.source = "person/" + clean(who);
  signal.fingerprint = fingerprint_of(target, "person");
  signal.level = status;
  signal.at = now;
  signal.reason = clean(reason);
  for (const Signal* settled : board_.signals(target)) {
    Signal gone = *settled;
    gone.level = Status::kHealthy;
    out.state.push_back(signal_record(gone));
  }
  out.state.push_back(signal_record(signal));
  std::optional<StatusEvent> event = board_.overrule(signal);
  if (!event) {
    std::string line = "{";
    append_text(line, "kind", "audit");
    append_text(line, "type", target);
    append_text(line, "source", signal.source);
    append_text(line, "reason", signal.reason);
    append_text(line, "status", to_string(status));
    append_text(line, "at", format_rfc3339(now));
    note(line + "}", out);
  }
  tell(std::move(event), out);
  step_routes(now, out);
  return {};
}

Result<void> Decider::set_route(std::string_view target, const RouteOrder& order, const std::string& reason,
                                const std::string& who, UnixNanos now, Decisions& out) {
  const auto found = plans_.find(target);
  if (found == plans_.end()) {
    return fail(ErrorCode::kNotFound, fmt::format("there is no target '{}' with routes", target));
  }
  if (reason.empty()) {
    return fail(ErrorCode::kInvalidArgument, "give a reason: it is what others will read");
  }
  RoutePlan& plan = found->second;
  std::optional<RouteChange> change;
  const std::string why = clean(fmt::format("{}: {}", who, reason));
  if (!order.route.empty()) {
    if (const auto problem = order.percent ? plan.shift(order.route, *order.percent, why, now, change)
                                           : plan.set(order.route, why, now, change)) {
      return fail(order.percent ? ErrorCode::kInvalidArgument : ErrorCode::kNotFound, *problem);
    }
  }
  if (order.lock) {
    plan.lock(*order.lock, clean(who));
  }
  std::string line = "{";
  append_text(line, "kind", "audit");
  append_text(line, "type", plan.config().name);
  append_text(line, "source", "person/" + clean(who));
  append_text(line, "reason", clean(reason));
  append_text(line, "route", order.route.empty() ? "-" : order.route);
  if (order.percent) {
    append_text(line, "percent", std::to_string(*order.percent));
  }
  append_text(line, "lock", !order.lock ? "-" : *order.lock ? "locked" : "unlocked");
  append_text(line, "at", format_rfc3339(now));
  note(line + "}", out);
  if (change) {
    out.changes.push_back(*change);
  } else {
    out.stated.insert(plan.config().name);
  }
  publish_route(plan, out);
  return {};
}

void Decider::probed(std::string_view target, std::size_t route, bool well, UnixNanos now, Decisions& out) {
  const auto found = plans_.find(target);
  if (found == plans_.end() || route >= found->second.config().routes.size()) {
    return;
  }
  if (found->second.probed(route, well, now)) {
    publish_route(found->second, out);
    step_routes(now, out);
  }
}

void Decider::blind(const std::string& why, UnixNanos now, Decisions& out) {
  Signal signal;
  signal.target = kBlindTarget;
  signal.fingerprint = fingerprint_of(kBlindTarget, "blind");
  signal.source = "naru-alerting";
  signal.level = why.empty() ? Status::kHealthy : Status::kCaution;
  signal.at = now;
  signal.reason = why.empty() ? "everything is counted again" : "blind: " + why;
  signal.evidence = R"({"blind":true})";
  apply(signal, out);
}

void Decider::step_routes(UnixNanos now, Decisions& out) {
  for (auto& [name, plan] : plans_) {
    std::optional<RouteChange> change = plan.step(now);
    if (const std::string why = plan.take_back(); !why.empty()) {
      std::string line = "{";
      append_text(line, "kind", "audit");
      append_text(line, "type", name);
      append_text(line, "source", "failover");
      append_text(line, "reason", why);
      append_text(line, "at", format_rfc3339(now));
      note(line + "}", out);
      out.stated.insert(name);
      out.routes.insert(name);
    }
    std::string& told = held_[name];
    if (change) {
      std::string line = "{";
      append_text(line, "kind", "route");
      append_text(line, "type", name);
      append_text(line, "from", change->from);
      append_text(line, "to", change->to);
      append_text(line, "reason", change->reason);
      line += fmt::format(R"(,"dryRun":{},"at":"{}"}})", change->dry_run, format_rfc3339(change->at));
      note(std::move(line), out);
      out.changes.push_back(*change);
      publish_route(plan, out);
    } else if (out.routes.contains(name)) {
      publish_route(plan, out);
    } else if (plan.held().empty() != told.empty()) {
      publish_route(plan, out);  // why nothing happens is shown, too
    }
    told = plan.held();
  }
}

void Decider::publish_route(RoutePlan& plan, Decisions& out) {
  plan.published(next());
  out.routes.insert(plan.config().name);
}

void Decider::tick(UnixNanos now, Decisions& out) {
  step_routes(now, out);
}

const RoutePlan* Decider::plan(std::string_view target) const {
  const auto found = plans_.find(target);
  return found == plans_.end() ? nullptr : &found->second;
}

std::string Decider::route_json(std::string_view target) const {
  const RoutePlan* const found = plan(target);
  return found == nullptr ? std::string() : to_json(*found, board_.status(found->watched(0)));
}

}  // namespace naru::alerting
