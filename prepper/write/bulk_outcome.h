// What a _bulk answer means for each document and for the request (docs/guarantees.md has the table). Pure.
//
// Documents are matched by their position in `items`; the answer is read as its bytes come, no tree is built.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/net/http.h"

namespace naru::prepper {

// What happens to one document.
enum class Verdict : std::uint8_t {
  kCreated,       // 200, 201
  kDuplicate,     // 409: this record was written before
  kOverloaded,    // 429 for load: again soon, with fewer requests in flight
  kUnavailable,   // 5xx: again later
  kFloodStage,    // 429 cluster_block: the disk is full; hold the index, probe slowly
  kWriteBlocked,  // 403 cluster_block: a late record if the index is declared read-only, else hold the index
  kHold,          // other 403, other 400, anything unknown: the index or the cluster is at fault; hold
  kDocument,      // 400 of the document itself: dead letter
  kMissingIndex,  // 404: create it if its period is inside retention
};

// What happens to the request as a whole.
enum class RequestVerdict : std::uint8_t {
  kItems,       // see the items
  kResend,      // outcome unknown, or the cluster cannot answer now: the same ids again
  kOverloaded,  // 429 without items: again later, with fewer requests in flight
  kTooHeavy,    // 429 of a circuit breaker: likewise, and in halves, since this request may never fit
  kBisect,      // 400 for the body: find the poison document by halves
  kHalve,       // 413: two smaller requests
  kFloodStage,  // 403 or 429 cluster_block for everything
  kHold,        // 401, other 403, 404, redirects: a person must look at credentials or the address
};

struct ItemOutcome {
  Verdict verdict = Verdict::kCreated;
  int status = 0;
  std::string type;    // empty when the document is done
  std::string reason;  // likewise; of the innermost causes too
};

struct BulkOutcome {
  RequestVerdict request = RequestVerdict::kItems;
  int status = 0;                  // of the HTTP answer; 0: none came
  std::string reason;              // for a person, unless kItems
  bool all_created = false;        // kItems: every document was created, and `items` is empty
  std::vector<ItemOutcome> items;  // kItems: one per document, in request order
};

// The node did not answer, or could not: another one may.
bool is_node_fault(const BulkOutcome& outcome);

// Reads one answer after the other: begin(), feed() with its bytes in pieces of any size, finish(). Not
// thread-safe; one per thread.
class BulkReader {
 public:
  // `documents`: how many were sent. An answer that does not have as many items says nothing reliable and
  // counts as kResend.
  void begin(int status, std::size_t documents);
  void feed(std::string_view bytes);
  BulkOutcome finish();
  // An answer that is there as a whole, or did not come.
  BulkOutcome read(const Result<net::HttpResponse>& answer, std::size_t documents);

 private:
  enum class State : std::uint8_t {
    kValue,      // a value must follow
    kFirstItem,  // a value or the end of the array
    kFirstKey,   // a key or the end of the object
    kKey,
    kColon,
    kAfter,  // a comma or the end of the container
    kString,
    kEscape,
    kUnicode,
    kNumber,
    kWord,  // true, false, null
    kDone,
    kBroken,
  };
  // Where a container stands in the answer.
  enum class Place : std::uint8_t { kRoot, kItems, kItem, kOperation, kError, kOther };
  struct Frame {
    Place place;
    bool object;
    std::uint8_t cause;  // kError: how deep in caused_by
  };
  // An error object: of the request or of the item that is being read.
  static constexpr std::size_t kCausesMax = 5;
  struct ErrorText {
    std::string type;
    std::array<std::string, kCausesMax> reasons;  // by depth
    bool present = false;
    void clear();
    std::string reason() const;
  };

  void step(char c);
  void begin_value(char c);
  void open(bool object);
  void close(bool object);
  void end_value();
  void end_string();
  void end_number();
  void end_item();
  void append(std::string_view bytes);
  void append_code_unit();
  std::string* wanted_text();
  void broken() { state_ = State::kBroken; }

  int status_ = 0;
  std::size_t documents_ = 0;
  std::string head_;  // the first bytes, for a person

  State state_ = State::kValue;
  std::vector<Frame> frames_;
  std::string key_;
  bool reading_key_ = false;
  std::string* text_ = nullptr;  // where the current string goes; nullptr: nobody wants it
  std::uint32_t unicode_ = 0, unicode_digits_ = 0, high_surrogate_ = 0;
  bool number_wanted_ = false;
  int number_ = 0;
  std::string_view word_;  // what is left of it

  bool has_items_ = false;
  std::size_t seen_ = 0;  // items
  std::uint32_t operations_ = 0;
  int item_status_ = 0;
  ErrorText error_;
  std::vector<ItemOutcome> items_;  // empty while all were created
};

// The verdict of one item.
Verdict classify_item(int status, std::string_view type, std::string_view reason);
// The verdict of an answer without items. `type`: of its error, if it has one.
RequestVerdict classify_request(int status, std::string_view type);

}  // namespace naru::prepper
