// What the answer to an export request means for the batch. Pure. Source: OTLP 1.x, "OTLP/HTTP Response".
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/net/http.h"

namespace naru::agent {

enum class Verdict {
  kDelivered,  // all but `rejected` records are durable on the other side
  kAgain,      // the same again later (429, 502, 503, 504, no answer)
  kSmaller,    // this batch as it is will never pass (400, 413, 422): halve it
  kBlocked,    // nothing passes until a person acts (401, 403, 404, a defect there): later, with an alarm
};

struct Outcome {
  Verdict verdict = Verdict::kAgain;
  std::uint64_t rejected = 0;  // partial success: the collector will not take them, and says not to resend
  std::optional<std::chrono::milliseconds> retry_after;  // as the peer asked, at most kRetryAfterMax
  std::string reason;                                    // for a person; empty for a full success
};

// A peer's Retry-After is followed up to this long.
inline constexpr std::chrono::milliseconds kRetryAfterMax{5 * 60 * 1000};

Outcome classify(const Result<net::HttpResponse>& answer, UnixNanos now);

// Seconds or an HTTP date (RFC 9110, 10.2.3: the fixed form only). nullopt: neither.
std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view text, UnixNanos now);

}  // namespace naru::agent
