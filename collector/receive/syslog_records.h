// Syslog messages as one OTLP logs request. Pure.
//
// Resource: host.name and service.name (the app), so that one program on one host keeps its order.
// Attributes: syslog.facility (int), syslog.procid, syslog.msgid, syslog.structured_data.<id>.<name>. Body:
// the text of the message.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "core/base/clock.h"

namespace naru::collector {

// Identity: `source` with positions 0, 1, ... in the order of `messages`; draw a new source for each batch.
// `fallback_host` stands in for messages that name no host: the sender's address.
struct SyslogBatch {
  std::span<const std::string> messages;
  std::string_view fallback_host;
  UnixNanos observed = 0;
  std::array<unsigned char, 16> source{};
};
std::string encode_syslog(const SyslogBatch& batch);

}  // namespace naru::collector
