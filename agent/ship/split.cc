#include "agent/ship/split.h"

#include "core/otlp/build.h"
#include "core/otlp/otlp.h"

namespace naru::agent {

Result<std::pair<std::string, std::string>> split_request(std::string_view request, std::uint64_t records) {
  otlp::LogsBuilder halves[2];
  std::uint64_t seen = 0;
  const auto malformed = [] { return fail(ErrorCode::kCorrupt, "a request of the agent cannot be split"); };
  otlp::Messages groups = otlp::resource_groups(request);
  while (groups.next()) {
    otlp::ResourceGroup group;
    if (!otlp::parse(groups.bytes(), group)) {
      return malformed();
    }
    bool group_open[2] = {false, false};
    otlp::Messages scopes = otlp::scope_groups(group);
    while (scopes.next()) {
      otlp::ScopeGroup scope;
      if (!otlp::parse(scopes.bytes(), scope)) {
        return malformed();
      }
      const otlp::ScopeIdentity identity = otlp::scope_identity(scope.scope);
      if (!identity.present) {
        return malformed();
      }
      bool scope_open[2] = {false, false};
      std::uint64_t index = 0;
      otlp::Messages entries = otlp::records(scope);
      while (entries.next()) {
        const std::size_t half = seen < records ? 0 : 1;
        if (!group_open[half]) {
          halves[half].begin_resource(group.resource);
          group_open[half] = true;
        }
        if (!scope_open[half]) {
          halves[half].begin_scope(identity.source, identity.base + index);
          scope_open[half] = true;
        }
        halves[half].add_encoded(entries.bytes());
        ++index;
        ++seen;
      }
      if (!entries.ok()) {
        return malformed();
      }
    }
    if (!scopes.ok()) {
      return malformed();
    }
  }
  if (!groups.ok()) {
    return malformed();
  }
  return std::pair(halves[0].take(), halves[1].take());
}

}  // namespace naru::agent
