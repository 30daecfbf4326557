// One mail over SMTP (RFC 5321) to a relay: EHLO, MAIL, RCPT, DATA. No TLS and no login: mail relays of a
// machine room take mail so; whoever needs more puts a local relay in between (docs/notices.md).
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "core/base/result.h"

namespace naru::alerting {

struct Mail {
  std::string from;
  std::vector<std::string> to;
  std::string subject;
  std::string text;
};

// The message with its headers, as it goes behind DATA: CR LF, dots doubled. Pure.
std::string mail_data(const Mail& mail, const std::string& date);

// kUnavailable: no connection, or the relay refuses for now; kInvalidArgument: it refuses the mail for good.
Result<void> send_mail(const std::string& relay, const Mail& mail, std::chrono::milliseconds timeout);

}  // namespace naru::alerting
