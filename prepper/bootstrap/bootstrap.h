// What OpenSearch and the bus need before the first record, made from the declaration
// (declaration/datasets.h): index templates, lifecycle policies, cluster settings, topics, and of live
// indices the fields, settings and aliases that they lack. `naru bootstrap` and `naru up` use it.
//
// plan() only reads. apply() does what plan() says and is idempotent: a second plan() is empty but for notes.
// Nothing that exists is made smaller or deleted; what would lose data is refused, with the way to agree to
// it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/bus/bus.h"
#include "core/net/http.h"
#include "prepper/config.h"

namespace naru::prepper {

// One difference between what is declared and what is there.
struct Change {
  std::string subject;  // "index template logs-otel-v1"
  std::string action;  // "create", "change", "note" (nothing is done about it), "refuse" (it would lose data)
  std::vector<std::string> details;  // "settings.index.codec: default -> best_compression"
};

// The topics that the platform needs, with the prepper's names.
std::vector<bus::TopicConfig> declared_topics(const TopicsDeclaration& declared, const TopicsConfig& topics);

struct BootstrapTargets {
  net::HttpTransport* opensearch = nullptr;  // nullptr: leave OpenSearch alone
  bus::Bus* bus = nullptr;                   // nullptr: leave the bus alone
  bool accept_loss = false;                  // a person agreed to what is refused otherwise
};
// kUnavailable, kTimeout: a server does not answer. kPermissionDenied, kInternal: it refuses. kUnsupported:
// it is no OpenSearch that Naru works with. kInvalidArgument: a declared file.
Result<std::vector<Change>> plan(const PrepperConfig& config, const BootstrapTargets& targets, UnixNanos now);
// Returns what was done. kConflict: something is refused; then nothing was done, and the message has the
// reasons.
Result<std::vector<Change>> apply(const PrepperConfig& config, const BootstrapTargets& targets,
                                  UnixNanos now);

// For a person, one line per change and detail; "nothing to do" when there is none.
std::string to_text(const std::vector<Change>& changes);

}  // namespace naru::prepper
