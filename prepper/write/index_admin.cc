#include "prepper/write/index_admin.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <simdjson.h>

#include <algorithm>
#include <thread>

#include "core/telemetry/log.h"
#include "prepper/cluster/cluster_state.h"

namespace naru::prepper {
namespace {

constexpr std::size_t kKnownMax = 4096;
constexpr std::chrono::milliseconds kAgain{500};
constexpr UnixNanos kRefusedTtl =
    5 * kNanosPerSecond;  // an index that is refused is asked for again after this

Error unexpected(std::string_view what, const net::HttpResponse& answer) {
  return Error(answer.status >= 500 || answer.status == 429 ? ErrorCode::kUnavailable : ErrorCode::kInternal,
               fmt::format("{}: OpenSearch answered {} {}", what, answer.status, answer.body.substr(0, 300)));
}

}  // namespace

IndexAdmin::IndexAdmin(IndexAdminConfig config, std::unique_ptr<net::HttpTransport> transport,
                       std::vector<Promoted> registry,
                       std::map<otlp::Signal, std::shared_ptr<const Contract>> declared,
                       std::function<UnixNanos()> now)
    : config_(std::move(config)),
      registry_(std::move(registry)),
      declared_(std::move(declared)),
      now_(std::move(now)),
      transport_(std::move(transport)) {}

bool IndexAdmin::in_retention(const IndexTarget& target) const {
  const UnixNanos now = now_();
  const bool too_old =
      target.end < now &&
      now - target.end > to_nanos(config_.datasets.resolve(target.signal, target.dataset).delete_after);
  const bool too_new = target.begin > now && target.begin - now > config_.ahead_max;
  return !too_old && !too_new;
}

bool IndexAdmin::declared_read_only(const IndexTarget& target) const {
  const UnixNanos after = to_nanos(config_.datasets.resolve(target.signal, target.dataset).read_only_after);
  const UnixNanos now = now_();
  return after != 0 && target.end < now && now - target.end >= after;
}

std::shared_ptr<const IndexTarget> IndexAdmin::late_target(const IndexTarget& target, UnixNanos time) const {
  const std::optional<std::string> name = normal_dataset(target.dataset + "_late");
  if (target.late || !name.has_value()) {
    return nullptr;
  }
  IndexTarget out =
      make_target(target.signal, *name, config_.datasets.resolve(target.signal, *name).period, time);
  out.late = true;
  return in_retention(out) ? std::make_shared<const IndexTarget>(std::move(out)) : nullptr;
}

Result<std::vector<bool>> IndexAdmin::find(const std::string& index, std::span<const std::string_view> ids) {
  net::HttpRequest request;
  request.method = "POST";
  request.target = "/" + index + "/_mget?_source=false&filter_path=docs._id,docs.found";
  request.headers.set("Content-Type", "application/json");
  request.body = fmt::format("{{\"ids\":[\"{}\"]}}", fmt::join(ids, "\",\""));  // base64url
  Result<net::HttpResponse> answer = [&] {
    const std::lock_guard lock(transport_mutex_);
    return transport_->exchange(std::move(request), config_.request_timeout);
  }();
  if (!answer) {
    return fail(answer.error());
  }
  if (answer->status != 200) {
    return fail(unexpected("looking for documents in " + index, *answer));
  }
  simdjson::dom::parser parser;
  simdjson::dom::array documents;
  if (parser.parse(answer->body)["docs"].get(documents) != simdjson::SUCCESS ||
      documents.size() != ids.size()) {
    return fail(unexpected("looking for documents in " + index, *answer));
  }
  std::vector<bool> out;
  for (const simdjson::dom::element document : documents) {
    std::string_view id;
    bool found = false;
    // A document whose shard does not answer has no `found`.
    if (document["_id"].get(id) != simdjson::SUCCESS || id != ids[out.size()] ||
        document["found"].get(found) != simdjson::SUCCESS) {
      return fail(ErrorCode::kUnavailable,
                  fmt::format("looking for documents in {}: no answer for {}", index, ids[out.size()]));
    }
    out.push_back(found);
  }
  return out;
}

Result<IndexAdmin::Ensured> IndexAdmin::create(const IndexTarget& target) {
  if (!in_retention(target)) {
    return Ensured::kOutsideRetention;
  }
  net::HttpRequest request;
  request.method = "PUT";
  request.target = "/" + target.name;
  const std::lock_guard lock(transport_mutex_);
  NARU_TRY(const net::HttpResponse answer, transport_->exchange(std::move(request), config_.request_timeout));
  if (answer.status == 200 || answer.body.find("resource_already_exists_exception") != std::string::npos) {
    return Ensured::kReady;
  }
  return fail(unexpected("creating index " + target.name, answer));
}

Result<IndexAdmin::Ensured> IndexAdmin::ensure(const IndexTarget& target) {
  return create(target);
}

Result<void> IndexAdmin::check_server() {
  if (server_known_) {
    return {};
  }
  const std::lock_guard lock(transport_mutex_);
  NARU_TRY(const net::HttpResponse answer, transport_->exchange(net::HttpRequest{}, config_.request_timeout));
  if (const auto problem = server_problem(answer)) {
    return fail(ErrorCode::kUnsupported, *problem);
  }
  if (answer.status >= 500 || answer.status == 401) {
    return fail(unexpected("asking which server this is", answer));
  }
  server_known_ = true;
  return {};
}

Result<std::shared_ptr<const Contract>> IndexAdmin::fetch(const IndexTarget& target) {
  NARU_TRY_VOID(check_server());
  for (int attempt = 0; attempt < 2; ++attempt) {
    net::HttpRequest request;
    request.target = "/" + target.name + "/_mapping";
    Result<net::HttpResponse> answer = [&] {
      const std::lock_guard lock(transport_mutex_);
      return transport_->exchange(std::move(request), config_.request_timeout);
    }();
    if (!answer) {
      return fail(answer.error());
    }
    if (answer->status == 200) {
      return Contract::compile(answer->body, registry_);
    }
    if (answer->status != 404) {
      return fail(unexpected("reading the mapping of " + target.name, *answer));
    }
    NARU_TRY(const Ensured ensured, create(target));
    if (ensured == Ensured::kOutsideRetention) {
      break;
    }
  }
  return declared_.at(target.signal);
}

std::shared_ptr<const Contract> IndexAdmin::contract(const IndexTarget& target) {
  const auto ttl = to_nanos(config_.mapping_ttl);
  std::shared_ptr<const Contract> stale;
  {
    const std::lock_guard lock(known_mutex_);
    if (const auto at = known_.find(target.name); at != known_.end()) {
      const UnixNanos now = now_();
      if (now < at->second.read_at + ttl) {
        return at->second.contract;
      }
      stale = at->second.contract;
      at->second.read_at = now;  // the others go on with the stale one meanwhile
    }
  }
  UnixNanos logged = 0;
  while (!stopping_) {
    Result<std::shared_ptr<const Contract>> fetched = fetch(target);
    if (fetched) {
      const std::lock_guard lock(known_mutex_);
      if (known_.size() >= kKnownMax) {
        known_.clear();
      }
      known_[target.name] = {*fetched, now_()};
      return *fetched;
    }
    if (stale != nullptr) {
      return stale;  // fields are only ever added to a mapping, so it still fits
    }
    if (fetched.error().code() == ErrorCode::kInternal) {
      // This index is refused (the limit of shards, a right): the writer will hold its documents, and the
      // others must not wait here behind them.
      const std::lock_guard lock(known_mutex_);
      const UnixNanos now = now_();
      known_[target.name] = {declared_.at(target.signal),
                             now - std::min(now, ttl - std::min(ttl, kRefusedTtl))};
      return declared_.at(target.signal);
    }
    if (const UnixNanos now = now_(); now - logged > 30 * kNanosPerSecond) {
      logged = now;
      telemetry::log_warn("prepper", "documents for {} wait: {}", target.name, fetched.error().message());
    }
    std::this_thread::sleep_for(kAgain);
  }
  return declared_.at(target.signal);
}

void IndexAdmin::forget(const std::string& index) {
  const std::lock_guard lock(known_mutex_);
  known_.erase(index);
}

}  // namespace naru::prepper
