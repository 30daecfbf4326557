#include "prepper/processors/syslog.h"

#include "core/syslog/syslog.h"
#include "prepper/processors/convert.h"
#include "prepper/processors/text_processor.h"

namespace naru::prepper {
namespace {

// Syslog severities as OpenTelemetry's data model maps them.
constexpr std::int32_t kSeverityNumbers[] = {21, 19, 18, 17, 13, 10, 9, 5};
constexpr std::string_view kSeverityTexts[] = {"emerg",   "alert",  "crit", "err",
                                               "warning", "notice", "info", "debug"};

class SyslogProcessor final : public TextProcessor {
 public:
  SyslogProcessor(std::uint32_t field, SyslogOptions options)
      : TextProcessor(field), options_(std::move(options)) {}

 protected:
  Outcome read(std::string_view text, Event& event, Scratch& scratch) const override {
    if (!text.starts_with('<')) {
      return scratch.fail("the text has no syslog priority");
    }
    const syslog::SyslogMessage message = syslog::parse_syslog(text, event.reference_time(scratch.now));
    const auto set = [&](std::string_view name, std::string_view value) {
      if (!value.empty()) {
        set_attribute(event, options_.prefix, name, text_value(value));
      }
    };
    set_attribute(event, options_.prefix, "facility", int_value(message.facility));
    set("appname", message.app);
    set("procid", message.process_id);
    set("msgid", message.message_id);
    set("hostname", message.host);
    syslog::for_each_parameter(message.structured_data, [&](auto id, auto name, auto value) {
      std::string full = options_.prefix + "structured_data.";
      full.append(id).append(".").append(name);
      const std::string_view key = event.arena().copy(full);
      event.attributes().set(key, hash_name(key), text_value(event.arena().copy(value)));
    });
    event.set_severity(kSeverityNumbers[message.severity & 7], kSeverityTexts[message.severity & 7]);
    if (message.time != 0) {
      event.set_time(message.time);
    }
    if (options_.set_body) {
      event.set(field_, text_value(message.text));
    }
    return Outcome::kDone;
  }

 private:
  SyslogOptions options_;
};

}  // namespace

void describe(config::Schema<SyslogOptions>& s) {
  s.field("field", &SyslogOptions::field, "Field with the text.");
  s.field("prefix", &SyslogOptions::prefix, "Put before the names of the new attributes.");
  s.field("set_body", &SyslogOptions::set_body, "The field becomes the message without its header.");
}

std::unique_ptr<Processor> build(const SyslogOptions& options, Builder& builder) {
  const std::uint32_t field =
      options.set_body ? builder.target("field", options.field) : builder.field("field", options.field);
  if (builder.signal() != otlp::Signal::kLogs) {
    builder.error("field", "only logs have a severity and a body");
  }
  return std::make_unique<SyslogProcessor>(field, options);
}

}  // namespace naru::prepper
