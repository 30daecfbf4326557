#include "prepper/write/index_admin.h"

#include <fmt/format.h>

#include <thread>

#include "core/telemetry/log.h"

namespace naru::prepper {
namespace {

constexpr std::size_t kKnownMax = 4096;
constexpr std::chrono::milliseconds kAgain{500};

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

Result<IndexAdmin::Ensured> IndexAdmin::create(const IndexTarget& target) {
  const auto own = config_.retentions.find(target.dataset);
  const UnixNanos retention = own == config_.retentions.end() ? config_.retention : own->second;
  const UnixNanos now = now_();
  const bool too_old = target.end < now && now - target.end > retention;
  const bool too_new = target.begin > now && target.begin - now > config_.ahead_max;
  if (too_old || too_new) {
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

Result<std::shared_ptr<const Contract>> IndexAdmin::fetch(const IndexTarget& target) {
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
  const auto ttl = static_cast<UnixNanos>(std::chrono::nanoseconds(config_.mapping_ttl).count());
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
