// Looks at live records before and after a step of a pipeline, for `naru tap`.
//
// Off until somebody asks, and off again kLease after the last question; then it costs a running pipeline one
// load. What the pipeline redacts anywhere is masked before and after every step. Records are a sample: at
// most kPerSecond, and kKept until they are fetched. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/expr/expr.h"
#include "core/net/http.h"
#include "prepper/record/event.h"
#include "prepper/record/field_table.h"

namespace naru::prepper {

class PipelineSource;

class Tap {
 public:
  static constexpr UnixNanos kLease = 5 * kNanosPerSecond;
  static constexpr std::uint32_t kPerSecond = 200;
  static constexpr std::size_t kKept = 500;
  static constexpr std::string_view kTarget = "/v1/tap";

  // GET /v1/tap?pipeline=P[&step=S][&when=EXPRESSION]&after=N:
  // {"next":N,"records":[{"before":{},"after":{}|null, "outcome":"..."}]}. 404 names what there is, 400 what
  // is wrong with the expression, 403: not from this machine. False: another target.
  bool answer(const net::HttpRequest& request, const PipelineSource& pipelines, net::Responder& respond);

  bool wants(std::uint64_t pipeline) const { return pipeline_.load(std::memory_order_relaxed) == pipeline; }
  // The step that is looked at; empty: from the pipeline's beginning to its end.
  std::string step() const;
  // What the event is now, when the tap takes one more record of this kind.
  std::optional<std::string> before(Event& event, const FieldTable& fields, unsigned redacted_kinds);
  void after(std::string before, const Event* event, std::string_view outcome, unsigned redacted_kinds);

 private:
  void arm(std::uint64_t pipeline, std::string step, std::string when,
           std::shared_ptr<const FieldTable> fields, std::optional<expr::Expression> condition);

  std::atomic<std::uint64_t> pipeline_{0};  // hash of its name; 0: nobody looks
  mutable std::mutex mutex_;
  std::string step_, when_;
  std::shared_ptr<const FieldTable> fields_;  // of the condition
  std::optional<expr::Expression> condition_;
  UnixNanos lease_until_ = 0, second_ = 0;
  std::uint32_t taken_ = 0;  // in this second
  std::uint64_t next_ = 0;   // number of the next record
  std::deque<std::string> records_;
};

// 0 is never a hash of a name.
std::uint64_t tap_key(std::string_view pipeline);

}  // namespace naru::prepper
