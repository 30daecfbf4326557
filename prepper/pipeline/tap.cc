#include "prepper/pipeline/tap.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "core/base/hash.h"
#include "core/base/json_text.h"
#include "prepper/contract/value_writer.h"
#include "prepper/pipeline/pipeline.h"
#include "prepper/processors/pii.h"

namespace naru::prepper {
namespace {

std::string masked(std::string_view text, unsigned kinds) {
  std::vector<PiiHit> hits;
  if (kinds != 0) {
    find_pii(text, kinds, hits);
  }
  std::string out;
  std::size_t from = 0;
  for (const PiiHit& hit : hits) {
    out += text.substr(from, hit.begin - from);
    out += fmt::format("[{}]", to_string(hit.kind));
    from = hit.end;
  }
  return out += text.substr(from);
}

// Without the limits of an index.
std::string event_json(const Event& event, unsigned redacted_kinds) {
  constexpr std::size_t kNone = std::numeric_limits<std::uint32_t>::max();
  ValueWriter values({.term_bytes_max = kNone,
                      .path_bytes_max = kNone,
                      .name_bytes_max = kNone,
                      .leaves_max = std::numeric_limits<std::uint32_t>::max(),
                      .depth_max = 64});
  JsonOut out;
  out.raw("{\"time\":");
  if (event.time() != 0) {
    out.time(event.time());
  } else {
    out.raw("null");
  }
  if (event.signal() == otlp::Signal::kLogs) {
    out.raw(",\"severity_number\":");
    out.integer(event.log().severity_number);
    out.raw(",\"severity_text\":");
    out.string(event.log().severity_text);
    out.raw(",\"body\":");
    bool valid = true;
    const std::size_t before = out.size();
    if (!values.write_json(out, event.body(), valid)) {
      out.rewind(before);
      out.raw("null");
    }
  } else {
    out.raw(",\"name\":");
    out.string(event.signal() == otlp::Signal::kTraces ? event.span().name : event.metric().name);
  }
  out.raw(",\"attributes\":");
  if (!values.write_bag(out, event.attributes(), 0).ok) {
    out.raw("{}");
  }
  out.raw(",\"resource\":");
  if (!values.write_bag(out, event.resource(), 0).ok) {
    out.raw("{}");
  }
  out.raw('}');
  return masked(out.view(), redacted_kinds);
}

net::HttpResponse problem(int status, std::string_view what) {
  return net::json_response(status, "{\"error\":" + json_string(what) + "}");
}

}  // namespace

std::uint64_t tap_key(std::string_view pipeline) {
  return std::max<std::uint64_t>(xxh3_64(pipeline), 1);
}

std::string Tap::step() const {
  const std::lock_guard lock(mutex_);
  return step_;
}

std::optional<std::string> Tap::before(Event& event, const FieldTable& fields, unsigned redacted_kinds) {
  const UnixNanos now = monotonic_now();
  const std::lock_guard lock(mutex_);
  if (now > lease_until_) {
    pipeline_.store(0, std::memory_order_relaxed);
    return std::nullopt;
  }
  if (now - second_ >= kNanosPerSecond) {
    second_ = now;
    taken_ = 0;
  }
  if (taken_ >= kPerSecond) {
    return std::nullopt;
  }
  if (condition_) {
    event.use(*fields_);
    const bool matches = condition_->matches(event);
    event.use(fields);
    if (!matches) {
      return std::nullopt;
    }
  }
  ++taken_;
  return event_json(event, redacted_kinds);
}

void Tap::after(std::string before, const Event* event, std::string_view outcome, unsigned redacted_kinds) {
  std::string record =
      fmt::format(R"({{"before":{},"after":{},"outcome":{}}})", before,
                  event != nullptr ? event_json(*event, redacted_kinds) : "null", json_string(outcome));
  const std::lock_guard lock(mutex_);
  records_.push_back(std::move(record));
  ++next_;
  if (records_.size() > kKept) {
    records_.pop_front();
  }
}

void Tap::arm(std::uint64_t pipeline, std::string step, std::string when,
              std::shared_ptr<const FieldTable> fields, std::optional<expr::Expression> condition) {
  const std::lock_guard lock(mutex_);
  if (pipeline_.load() != pipeline || step_ != step || when_ != when) {
    records_.clear();
    step_ = std::move(step);
    when_ = std::move(when);
    fields_ = std::move(fields);
    condition_ = std::move(condition);
  }
  lease_until_ = monotonic_now() + kLease;
  pipeline_.store(pipeline, std::memory_order_relaxed);
}

bool Tap::answer(const net::HttpRequest& request, const PipelineSource& pipelines, net::Responder& respond) {
  if (request.path() != kTarget) {
    return false;
  }
  if (!request.peer.loopback && request.peer.tls_identity.empty()) {
    respond(problem(
        403, "records are shown on the prepper's own machine, or to a client with a certificate, only"));
    return true;
  }
  const auto set = pipelines.current();
  const std::string name = request.query_parameter("pipeline"), step = request.query_parameter("step");
  const Pipeline* const pipeline = set != nullptr ? set->find(name) : nullptr;
  if (pipeline == nullptr) {
    respond(problem(404, fmt::format("there is no pipeline '{}'; there are {}", name,
                                     set != nullptr ? set->names() : "none")));
    return true;
  }
  if (!step.empty() && !pipeline->has_step(step)) {
    respond(problem(
        404, fmt::format("pipeline '{}' has no step '{}'; it has {}", name, step, pipeline->step_names())));
    return true;
  }
  std::string when = request.query_parameter("when");
  auto fields = std::make_shared<FieldTable>();
  std::optional<expr::Expression> condition;
  if (!when.empty()) {
    auto compiled = expr::Expression::compile_condition(when, fields->vocabulary(pipeline->signal()));
    if (!compiled) {
      respond(problem(400, compiled.error().message()));
      return true;
    }
    condition = std::move(*compiled);
  }
  arm(tap_key(name), step, std::move(when), std::move(fields), std::move(condition));
  std::uint64_t after = 0;
  const std::string text = request.query_parameter("after");
  std::from_chars(text.data(), text.data() + text.size(), after);
  const std::lock_guard lock(mutex_);
  std::string body = fmt::format("{{\"next\":{},\"records\":[", next_);
  const std::uint64_t first = next_ - records_.size();
  for (std::uint64_t i = std::max(after, first); i < next_; ++i) {
    body += (body.back() == '[' ? "" : ",") + records_[i - first];
  }
  respond(net::json_response(200, body + "]}"));
  return true;
}

}  // namespace naru::prepper
