#include "prepper/processors/registry.h"

#include <algorithm>
#include <array>

#include "prepper/processors/aggregate.h"
#include "prepper/processors/date.h"
#include "prepper/processors/delimited.h"
#include "prepper/processors/dissect.h"
#include "prepper/processors/enrich.h"
#include "prepper/processors/fields.h"
#include "prepper/processors/grok.h"
#include "prepper/processors/json.h"
#include "prepper/processors/redact.h"
#include "prepper/processors/select.h"
#include "prepper/processors/syslog.h"
#include "prepper/processors/web.h"

namespace naru::prepper {

std::span<const ProcessorKind> processor_kinds() {
  static const std::array kKinds = {
      kind<JsonOptions>("json", "A JSON object in a text becomes attributes.", "json: {keep: false}"),
      kind<GrokOptions>("grok", "A text is taken apart by grok patterns.",
                        R"(grok: {patterns: ["%{IPORHOST:client.address} %{GREEDYDATA:message}"]})"),
      kind<RegexOptions>("regex", "A text is taken apart by an RE2 expression with named groups.",
                         R"(regex: {pattern: "took (?P<took_ms>[0-9]+) ms"})"),
      kind<DissectOptions>("dissect", "A text is cut at fixed delimiters; much faster than patterns.",
                           R"(dissect: {pattern: "%{host} - %{user} [%{timestamp}] %{status:int}"})"),
      kind<LogfmtOptions>("logfmt", "Pairs such as level=info msg=\"a b\" become attributes.", "logfmt: {}"),
      kind<KeyValueOptions>("key_value", "Pairs with separators of your own become attributes.",
                            R"(key_value: {pair_separator: ";", separator: ":"})"),
      kind<CsvOptions>("csv", "A row of comma-separated values becomes attributes.",
                       "csv: {columns: [user, 'amount:double']}"),
      kind<SyslogOptions>("syslog",
                          "A syslog text (RFC 5424 or 3164) becomes body, severity, time and attributes.",
                          "syslog: {}"),
      kind<UrlOptions>("url", "A URL is taken apart.", "url: {field: attributes.request}"),
      kind<UserAgentOptions>("user_agent", "A User-Agent header becomes browser, system and device.",
                             "user_agent: {}"),
      kind<DateOptions>("date", "A text becomes the record's time.",
                        R"(date: {field: attributes.timestamp, formats: ["dd/MMM/yyyy:HH:mm:ss Z"]})"),
      kind<SeverityOptions>("severity", "A word such as WARN becomes severity number and text.",
                            "severity: {field: attributes.level}"),
      kind<SetOptions>("set", "Writes a field: a text, an expression or a format.",
                       R"(set: {field: attributes.slow, expression: "attributes.took_ms > 500"})"),
      kind<RemoveOptions>("remove", "Removes fields.", "remove: {fields: [attributes.password]}"),
      kind<KeepOptions>("keep", "Removes all attributes but these.", "keep: {attributes: [user, 'http.*']}"),
      kind<RenameOptions>("rename", "Gives an attribute another name.",
                          "rename: {from: attributes.msg, to: attributes.message}"),
      kind<CopyOptions>("copy", "Copies a field to another.",
                        R"(copy: {from: 'resource.attributes["host.name"]', to: attributes.host})"),
      kind<MoveOptions>("move", "Moves a field to another.", "move: {from: attributes.message, to: body}"),
      kind<ConvertOptions>("convert", "Changes the type of fields.",
                           "convert: {fields: [attributes.status], type: int}"),
      kind<CaseOptions>("case", "Writes texts in upper or lower case.",
                        "case: {fields: [attributes.method], to: upper}"),
      kind<SplitOptions>("split", "A text becomes an array.",
                         "split: {field: attributes.tags, separator: ','}"),
      kind<JoinOptions>("join", "An array becomes a text.", "join: {field: attributes.tags, separator: ' '}"),
      kind<TruncateOptions>("truncate", "Cuts long texts.", "truncate: {fields: [body], bytes_max: 8KiB}"),
      kind<DropOptions>("drop", "Lets records go that `when` selects.",
                        R"(drop: {when: 'severity.number < 9'})"),
      kind<SampleOptions>("sample", "Keeps a share of the records, the same ones each time.",
                          "sample: {keep: 0.1, by: [traceId]}"),
      kind<ThrottleOptions>("throttle", "Keeps at most so many records a second of each key.",
                            "throttle: {by: [attributes.user], rate: 100}"),
      kind<DedupeOptions>("dedupe", "Lets records go that say again what another said a moment ago.",
                          "dedupe: {by: [body], window: 10s}"),
      kind<RedactOptions>("redact", "Masks or hashes personal data in texts.",
                          "redact: {kinds: [email, card, token]}"),
      kind<EnrichOptions>("enrich", "Looks fields up in a table.",
                          "enrich: {table: services.csv, column: name, field: attributes.service, set: "
                          "{team: attributes.team}}"),
      kind<GeoIpOptions>(
          "geoip", "Looks an address up in a MaxMind database.",
          "geoip: {database: GeoLite2-City.mmdb, field: 'attributes[\"client.address\"]', prefix: client.}"),
      kind<AggregateOptions>(
          "aggregate", "Records become data points: counts, or distributions of a number.",
          R"(aggregate: {metric: http.server.request.duration, unit: ms, by: [attributes.route], value: attributes.took_ms})"),
      kind<LogToMetricOptions>(
          "log_to_metric", "A metric beside the records.",
          R"(log_to_metric: {metric: errors, by: ['resource.attributes["service.name"]'], when: 'severity.number >= 17'})"),
  };
  return kKinds;
}

const ProcessorKind* find_processor_kind(std::string_view name) {
  const auto kinds = processor_kinds();
  const auto found = std::ranges::find(kinds, name, &ProcessorKind::name);
  return found == kinds.end() ? nullptr : &*found;
}

}  // namespace naru::prepper
