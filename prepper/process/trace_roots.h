// Root spans that were seen a moment ago, so that the other spans of their traces can carry the trace group.
//
// A child that comes in a message before its root's, or to another worker or process, has none: its trace is
// found by its root. Holding spans back until their root has come would give every child its group at the
// price of delay and memory. Bounded; not thread-safe: one per worker.
#pragma once

#include <cstring>
#include <string>

#include "core/otlp/otlp.h"
#include "prepper/processors/keyed_slots.h"

namespace naru::prepper {

class TraceRoots {
 public:
  static constexpr std::uint32_t kTracesMax = 16'384;
  struct Root {
    std::string name;
    std::int32_t status_code = 0;
    UnixNanos start = 0, end = 0;
  };

  void note(const otlp::Span& span) {
    roots_.with(key(span), ++clock_, [&](Root& root, bool) {
      root = {std::string(span.name), span.status_code, span.start, span.end};
    });
  }
  // Calls f(root) when the root of the span's trace is known.
  template <class F>
  void find(const otlp::Span& span, F&& f) {
    roots_.peek(key(span), std::forward<F>(f));
  }

 private:
  static Hash128 key(const otlp::Span& span) {
    Hash128 out{};
    std::memcpy(out.data(), span.trace_id.data(), std::min(out.size(), span.trace_id.size()));
    return out;
  }
  KeyedSlots<Root> roots_{kTracesMax};
  UnixNanos clock_ = 0;  // counts uses
};

}  // namespace naru::prepper
