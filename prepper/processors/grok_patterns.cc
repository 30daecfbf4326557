// The usual names of grok patterns (those of Logstash's and Data Prepper's documentation), written for RE2:
// no look-around, no back references.
#include <algorithm>
#include <array>
#include <utility>

#include "prepper/processors/grok.h"

namespace naru::prepper {
namespace {

using Pattern = std::pair<std::string_view, const char*>;
constexpr std::array kPatterns = {
    // words and numbers
    Pattern{"USERNAME", R"re([a-zA-Z0-9._-]+)re"},
    Pattern{"USER", R"re(%{USERNAME})re"},
    Pattern{"EMAILLOCALPART", R"re([a-zA-Z0-9!#$%&'*+/=?^_{|}~.-]{1,64})re"},
    Pattern{"EMAILADDRESS", R"re(%{EMAILLOCALPART}@%{HOSTNAME})re"},
    Pattern{"INT", R"re([+-]?[0-9]+)re"},
    Pattern{"POSINT", R"re([1-9][0-9]*)re"},
    Pattern{"NONNEGINT", R"re([0-9]+)re"},
    Pattern{"BASE10NUM", R"re([+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+))re"},
    Pattern{"NUMBER", R"re(%{BASE10NUM})re"},
    Pattern{"BASE16NUM", R"re((?:0[xX])?[0-9A-Fa-f]+)re"},
    Pattern{"WORD", R"re(\b\w+\b)re"},
    Pattern{"NOTSPACE", R"re(\S+)re"},
    Pattern{"SPACE", R"re(\s*)re"},
    Pattern{"DATA", R"re(.*?)re"},
    Pattern{"GREEDYDATA", R"re(.*)re"},
    Pattern{"MULTILINEDATA", R"re((?s:.*))re"},
    Pattern{"QUOTEDSTRING", R"re("(?:\\.|[^\\"])*"|'(?:\\.|[^\\'])*')re"},
    Pattern{"QS", R"re(%{QUOTEDSTRING})re"},
    Pattern{"UUID", R"re([A-Fa-f0-9]{8}-(?:[A-Fa-f0-9]{4}-){3}[A-Fa-f0-9]{12})re"},
    Pattern{"URN", R"re(urn:[0-9A-Za-z][0-9A-Za-z-]{0,31}:\S+)re"},
    // networks
    Pattern{"MAC", R"re((?:[A-Fa-f0-9]{2}[:-]){5}[A-Fa-f0-9]{2}|(?:[A-Fa-f0-9]{4}\.){2}[A-Fa-f0-9]{4})re"},
    Pattern{
        "IPV4",
        R"re((?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9]))re"},
    Pattern{"IPV6", R"re((?:[0-9A-Fa-f]{0,4}:){2,7}(?:%{IPV4}|[0-9A-Fa-f]{0,4})(?:%[0-9A-Za-z]+)?)re"},
    Pattern{"IP", R"re(%{IPV6}|%{IPV4})re"},
    Pattern{"HOSTNAME",
            R"re(\b[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,62})(?:\.[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,62}))*\.?)re"},
    Pattern{"HOST", R"re(%{HOSTNAME})re"},
    Pattern{"IPORHOST", R"re(%{IP}|%{HOSTNAME})re"},
    Pattern{"HOSTPORT", R"re((?:%{IPORHOST}):%{POSINT})re"},
    // paths
    Pattern{"UNIXPATH", R"re((?:/[^\s/]*)+)re"},
    Pattern{"WINPATH", R"re((?:[A-Za-z]:|\\)(?:\\[^\\?*]*)+)re"},
    Pattern{"PATH", R"re(%{UNIXPATH}|%{WINPATH})re"},
    Pattern{"TTY", R"re(/dev/(?:pts|tty[a-z0-9]?)/?[0-9]*)re"},
    Pattern{"URIPROTO", R"re([A-Za-z][A-Za-z0-9+.-]*)re"},
    Pattern{"URIHOST", R"re((?:%{IPORHOST})(?::%{POSINT})?)re"},
    Pattern{"URIPATH", R"re((?:/[A-Za-z0-9$.+!*'(){},~:;=@#%&_|<>\[\]-]*)+)re"},
    Pattern{"URIQUERY", R"re([A-Za-z0-9$.+!*'|(){},~@#%&/=:;_?\[\]<>-]*)re"},
    Pattern{"URIPARAM", R"re(\?%{URIQUERY})re"},
    Pattern{"URIPATHPARAM", R"re(%{URIPATH}(?:%{URIPARAM})?)re"},
    Pattern{"URI", R"re(%{URIPROTO}://(?:%{USER}(?::[^@\s]*)?@)?(?:%{URIHOST})?(?:%{URIPATHPARAM})?)re"},
    // times
    Pattern{
        "MONTH",
        R"re(\b(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\b)re"},
    Pattern{"MONTHNUM", R"re(0?[1-9]|1[0-2])re"},
    Pattern{"MONTHNUM2", R"re(0[1-9]|1[0-2])re"},
    Pattern{"MONTHDAY", R"re(0[1-9]|[12][0-9]|3[01]|[1-9])re"},
    Pattern{"DAY", R"re((?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?)re"},
    Pattern{"YEAR", R"re([0-9]{4}|[0-9]{2})re"},
    Pattern{"HOUR", R"re(2[0-3]|[01]?[0-9])re"},
    Pattern{"MINUTE", R"re([0-5][0-9])re"},
    Pattern{"SECOND", R"re((?:[0-5]?[0-9]|60)(?:[:.,][0-9]+)?)re"},
    Pattern{"TIME", R"re((?:%{HOUR}):%{MINUTE}(?::%{SECOND})?)re"},
    Pattern{"DATE_US", R"re((?:%{MONTHNUM})[/-](?:%{MONTHDAY})[/-](?:%{YEAR}))re"},
    Pattern{"DATE_EU", R"re((?:%{MONTHDAY})[./-](?:%{MONTHNUM})[./-](?:%{YEAR}))re"},
    Pattern{"DATE", R"re(%{DATE_US}|%{DATE_EU})re"},
    Pattern{"DATESTAMP", R"re((?:%{DATE})[- ]%{TIME})re"},
    Pattern{"TZ", R"re([A-Z]{3,4})re"},
    Pattern{"ISO8601_TIMEZONE", R"re(Z|[+-](?:%{HOUR}):?%{MINUTE})re"},
    Pattern{"ISO8601_SECOND", R"re(%{SECOND})re"},
    Pattern{
        "TIMESTAMP_ISO8601",
        R"re([0-9]{4}-(?:%{MONTHNUM})-(?:%{MONTHDAY})[T ](?:%{HOUR}):?%{MINUTE}(?::?%{SECOND})?(?:%{ISO8601_TIMEZONE})?)re"},
    Pattern{"HTTPDATE", R"re((?:%{MONTHDAY})/%{MONTH}/(?:%{YEAR}):%{TIME} %{INT})re"},
    Pattern{"SYSLOGTIMESTAMP", R"re(%{MONTH} +(?:%{MONTHDAY}) %{TIME})re"},
    Pattern{"DATESTAMP_RFC822", R"re(%{DAY} %{MONTH} (?:%{MONTHDAY}) (?:%{YEAR}) %{TIME} %{TZ})re"},
    Pattern{"DATESTAMP_RFC2822",
            R"re(%{DAY}, (?:%{MONTHDAY}) %{MONTH} (?:%{YEAR}) %{TIME} (?:%{ISO8601_TIMEZONE}))re"},
    Pattern{"DATESTAMP_OTHER", R"re(%{DAY} %{MONTH} (?:%{MONTHDAY}) %{TIME} %{TZ} (?:%{YEAR}))re"},
    Pattern{"DATESTAMP_EVENTLOG",
            R"re([0-9]{4}(?:%{MONTHNUM2})(?:%{MONTHDAY})(?:%{HOUR})%{MINUTE}%{SECOND})re"},
    // programs
    Pattern{"PROG", R"re([\x21-\x5a\x5c\x5e-\x7e]+)re"},
    Pattern{"SYSLOGPROG", R"re(%{PROG:process.name}(?:\[%{POSINT:process.pid:int}\])?)re"},
    Pattern{"SYSLOGHOST", R"re(%{IPORHOST})re"},
    Pattern{"SYSLOGFACILITY", R"re(<%{NONNEGINT:facility:int}\.%{NONNEGINT:priority:int}>)re"},
    Pattern{
        "SYSLOGBASE",
        R"re(%{SYSLOGTIMESTAMP:timestamp} (?:%{SYSLOGFACILITY} )?(?:%{SYSLOGHOST:host.name}) %{SYSLOGPROG}:)re"},
    Pattern{
        "LOGLEVEL",
        R"re([Aa]lert|ALERT|[Tt]race|TRACE|[Dd]ebug|DEBUG|[Nn]otice|NOTICE|[Ii]nfo(?:rmation)?|INFO(?:RMATION)?|[Ww]arn(?:ing)?|WARN(?:ING)?|[Ee]rr(?:or)?|ERR(?:OR)?|[Cc]rit(?:ical)?|CRIT(?:ICAL)?|[Ff]atal|FATAL|[Ss]evere|SEVERE|EMERG(?:ENCY)?|[Ee]merg(?:ency)?)re"},
    Pattern{"JAVACLASS", R"re((?:[a-zA-Z$_][a-zA-Z$_0-9]*\.)*[a-zA-Z$_][a-zA-Z$_0-9]*)re"},
    Pattern{"JAVAFILE", R"re([A-Za-z0-9_. -]+)re"},
    Pattern{"JAVAMETHOD", R"re(<(?:cl)?init>|[a-zA-Z$_][a-zA-Z$_0-9]*)re"},
    Pattern{"JAVATHREAD", R"re([A-Z]{2}-Processor[0-9]+)re"},
    // web servers
    Pattern{"HTTPDUSER", R"re(%{EMAILADDRESS}|%{USER})re"},
    Pattern{
        "COMMONAPACHELOG",
        R"re((?:%{IPORHOST:client.address}) (?:-|%{HTTPDUSER:user.identity}) (?:-|%{HTTPDUSER:user.name}) \[%{HTTPDATE:timestamp}\] "(?:%{WORD:http.request.method} %{NOTSPACE:url.original}(?: HTTP/%{NUMBER:http.version})?|%{DATA:http.request.raw})" (?:-|%{INT:http.response.status_code:int}) (?:-|%{INT:http.response.body.bytes:int}))re"},
    Pattern{"HTTPD_COMMONLOG", R"re(%{COMMONAPACHELOG})re"},
    Pattern{
        "COMBINEDAPACHELOG",
        R"re(%{COMMONAPACHELOG} "(?:-|%{DATA:http.request.referrer})" "(?:-|%{DATA:user_agent.original})")re"},
    Pattern{"HTTPD_COMBINEDLOG", R"re(%{COMBINEDAPACHELOG})re"},
};

}  // namespace

const char* find_grok_pattern(std::string_view name) {
  const auto known = std::ranges::find(kPatterns, name, &Pattern::first);
  return known == kPatterns.end() ? nullptr : known->second;
}

}  // namespace naru::prepper
