// A step of a pipeline: reads and changes one record.
//
// Processors are immutable once built and shared by all workers; what they need while they work is in their
// worker's Scratch. They may throw: the runner (prepper/pipeline/pipeline.h) makes a failure of it.
#pragma once

#include <re2/re2.h>
#include <simdjson.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "prepper/processors/enrichment.h"
#include "prepper/processors/partial_metrics.h"
#include "prepper/processors/pii.h"
#include "prepper/record/event.h"

namespace naru::prepper {

enum class Outcome : std::uint8_t {
  kDone,
  kFailed,  // the record is as it was; Scratch::reason says why
  kDrop,    // no document is wanted of this record
  kMerged,  // the record went into a data point
};

class Tap;

// A JSON parser for each text of one record: what one parsed stays readable while the next one works.
class JsonParsers {
 public:
  void begin_record() { used_ = 0; }
  simdjson::dom::parser& next() {
    if (used_ == parsers_.size()) {
      parsers_.push_back(std::make_unique<simdjson::dom::parser>());
    }
    simdjson::dom::parser& parser = *parsers_[used_++];
    if (parser.capacity() > kKeptBytes) [[unlikely]] {  // of a text of unusual size
      parser = simdjson::dom::parser();
    }
    return parser;
  }

 private:
  static constexpr std::size_t kKeptBytes = 256u << 10;
  std::vector<std::unique_ptr<simdjson::dom::parser>> parsers_;
  std::size_t used_ = 0;
};

// What processors work with, one per worker.
struct Scratch {
  IdentitySource* identities = nullptr;
  Tap* tap = nullptr;  // of whoever looks at live records
  UnixNanos now = 0;   // when the record was received: the same when it is consumed again
  JsonParsers json;
  std::string_view readable;  // the bytes round the record that may be read: its message
  std::string text;           // of whoever runs
  std::string encoded;        // likewise
  std::vector<std::string_view> parts;
  std::vector<re2::StringPiece> captures;
  std::vector<PiiHit> hits;
  EnrichmentView tables;
  PartialMetrics metrics;     // of the resource being worked on
  std::uint32_t ordinal = 0;  // of the record in its message
  UnixNanos delay = 0;        // how long the worker should wait before its next message
  std::string reason;         // of the last failure

  std::uint64_t identity() { return identities->record_identity(); }
  Outcome fail(std::string_view why) {
    reason.assign(why);
    return Outcome::kFailed;
  }
};

class Processor {
 public:
  virtual ~Processor() = default;
  virtual Outcome process(Event& event, Scratch& scratch) const = 0;
  // Kinds of personal data that it takes out, bits 1 << Pii: nobody may look at them anywhere in the
  // pipeline.
  virtual unsigned redacted_kinds() const { return 0; }
};

}  // namespace naru::prepper
