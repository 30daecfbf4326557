// Processors `url` and `user_agent`: what web servers log.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "prepper/processors/builder.h"
#include "prepper/processors/processor.h"

namespace naru::prepper {

struct UrlOptions {
  std::string field = "attributes[\"url.original\"]";
  std::string prefix = "url.";
  bool query_parameters = false;
};
struct UserAgentOptions {
  std::string field = "attributes[\"user_agent.original\"]";
  std::string prefix = "user_agent.";
};
void describe(config::Schema<UrlOptions>& s);
void describe(config::Schema<UserAgentOptions>& s);
std::unique_ptr<Processor> build(const UrlOptions& options, Builder& builder);
std::unique_ptr<Processor> build(const UserAgentOptions& options, Builder& builder);

// What a User-Agent header says; empty where it does not.
struct UserAgent {
  std::string_view name;
  std::string_view version;
  std::string_view os;
  std::string_view os_version;
  std::string_view device;  // Desktop, Mobile, Tablet, Bot, Tool
};
// By product tokens (RFC 9110 section 10.1.5) and the habits of browsers. Pure.
UserAgent parse_user_agent(std::string_view text);

}  // namespace naru::prepper
