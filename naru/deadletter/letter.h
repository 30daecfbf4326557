// One dead letter as the verbs of `naru deadletter` see it: what it says, and how it is shown. Pure.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/bus/dead_letter.h"
#include "core/bus/origin.h"
#include "core/expr/expr.h"
#include "core/otlp/otlp.h"

namespace naru::deadletter {

struct Letter {
  bus::RecordPosition position;  // where it lies
  UnixMillis timestamp_ms = 0;   // of the record's receipt
  std::string id;                // _id of the document that it would have been
  std::string value;             // single-record OTLP request, or what could not be decoded
  bus::DeadLetterHead head;
  std::string problem;  // what is wrong with its headers, for a person; empty: nothing
  std::optional<bus::Origin> origin;
};

Letter make_letter(bus::RecordPosition position, UnixMillis timestamp_ms, std::string_view id,
                   std::string_view value, std::span<const bus::Header> headers);

std::string position_text(const bus::RecordPosition& position);  // topic/partition/offset

// The signal of a value that can be replayed to its own topic; nullopt: it cannot be decoded.
std::optional<otlp::Signal> decodable(const Letter& letter);

// How much of the record itself is shown. Redacted: its length and XXH3-128 instead of its contents, and what
// OpenSearch quotes of it in its reason left out.
enum class Contents : bool { kRedacted, kRaw };

// One line of `list --output json`, and what `show` prints: {"id","position","kind",...,"record"}; with kRaw
// also "value", base64.
std::string to_json(const Letter& letter, Contents contents);
std::string text_head();
std::string to_text(const Letter& letter, Contents contents);

// An element of dlqObjects as Data Prepper writes it (formats.md 2.13), with errorType, source, attempts and
// firstFailedAt beside.
std::string to_dlq_object(const Letter& letter, Contents contents);

// What OpenSearch quotes of a value in a reason, 'like this' or "this", replaced by dots.
std::string redact_quotes(std::string_view reason);

// Fields of --filter: dl.id kind type reason status index attempts source config_hash first_failed_at
// failed_at pipeline topic partition offset; record.body name severity_text severity_number;
// record.attributes["..."], record.resource["..."].
class LetterFilter {
 public:
  // kInvalidArgument: where and what is wrong.
  static Result<LetterFilter> compile(std::string_view text);
  bool matches(const Letter& letter) const;

 private:
  LetterFilter(expr::Expression condition, std::vector<expr::Field> fields)
      : condition_(std::move(condition)), fields_(std::move(fields)) {}
  expr::Expression condition_;
  std::vector<expr::Field> fields_;  // by the numbers that the condition asks for
};
inline constexpr std::string_view kFieldsHelp =
    "dl.id, dl.kind, dl.type, dl.reason, dl.status, dl.index, dl.attempts, dl.source, dl.config_hash, "
    "dl.first_failed_at, dl.failed_at, dl.pipeline, dl.topic, dl.partition, dl.offset, record.body, "
    "record.name, record.severity_text, record.severity_number, record.attributes[\"...\"], "
    "record.resource[\"...\"]";

}  // namespace naru::deadletter
