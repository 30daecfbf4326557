// What a _bulk answer means for each document and for the request (formats.md 2.4, contracts.md 2). Pure.
//
// Documents are matched by their position in `items`. Source of statuses and types: the OpenSearch bulk API
// as formats.md 2.4 and real-services.md record it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/net/http.h"

namespace naru::prepper {

// What happens to one document.
enum class Verdict : std::uint8_t {
  kCreated,       // 200, 201
  kDuplicate,     // 409: this record was written before
  kOverloaded,    // 429 rejected_execution: again soon, with fewer requests in flight
  kUnavailable,   // 5xx: again later
  kFloodStage,    // 429 cluster_block: the disk is full; hold the index, probe slowly
  kHold,          // 403, other 400: the index or the cluster is at fault; hold the index, probe slowly
  kDocument,      // 400 of the document itself: dead letter
  kMissingIndex,  // 404: create it if its period is inside retention
};

// What happens to the request as a whole.
enum class RequestVerdict : std::uint8_t {
  kItems,       // see the items
  kResend,      // outcome unknown, or the cluster cannot answer now: the same ids again
  kOverloaded,  // 429 without items: again later, with fewer requests in flight
  kBisect,      // 400 for the body: find the poison document by halves
  kHalve,       // 413: two smaller requests
  kFloodStage,  // 403 cluster_block for everything
  kHold,        // 401, other 403, 404, redirects: a person must look at credentials or the address
};

struct ItemOutcome {
  Verdict verdict = Verdict::kCreated;
  int status = 0;
  std::string type;    // empty when the document is done
  std::string reason;  // likewise
};

struct BulkOutcome {
  RequestVerdict request = RequestVerdict::kItems;
  int status = 0;                  // of the HTTP answer; 0: none came
  std::string reason;              // for a person, unless kItems
  bool all_created = false;        // kItems: every document was created, and `items` is empty
  std::vector<ItemOutcome> items;  // kItems: one per document, in request order
};

// Keeps the parser's memory between answers; one per thread.
class BulkReader {
 public:
  BulkReader();
  ~BulkReader();
  // `documents`: how many were sent. An answer that does not have as many items says nothing reliable and
  // counts as kResend.
  BulkOutcome read(const Result<net::HttpResponse>& answer, std::size_t documents);

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

// The verdict of one item.
Verdict classify_item(int status, std::string_view type, std::string_view reason);

}  // namespace naru::prepper
