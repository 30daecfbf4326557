#include "prepper/write/bulk_outcome.h"

#include <fmt/format.h>
#include <simdjson.h>

namespace naru::prepper {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

constexpr std::size_t kReasonBytesMax = 512;

std::string_view text_of(simdjson::simdjson_result<element> value) {
  std::string_view out;
  return value.get(out) == simdjson::SUCCESS ? out : std::string_view();
}

// The innermost cause says what was wrong: mapper_parsing_exception wraps the rest.
std::string reason_of(object error) {
  std::string out(text_of(error["reason"]).substr(0, kReasonBytesMax));
  object cause = error;
  for (int depth = 0; depth < 4; ++depth) {
    object inner;
    if (cause["caused_by"].get(inner) != simdjson::SUCCESS) {
      break;
    }
    const std::string_view reason = text_of(inner["reason"]);
    if (!reason.empty()) {
      out += "; caused by: ";
      out += reason.substr(0, kReasonBytesMax);
    }
    cause = inner;
  }
  return out;
}

BulkOutcome of_request(RequestVerdict verdict, int status, std::string reason) {
  BulkOutcome out;
  out.request = verdict;
  out.status = status;
  out.reason = std::move(reason);
  return out;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// Lucene's two words for a value over 32,766 bytes: of an indexed term and of a doc value.
bool is_term_limit(std::string_view reason) {
  return contains(reason, "immense term") || contains(reason, "is too large, must be <=");
}

}  // namespace

struct BulkReader::Parser {
  simdjson::dom::parser dom;
};

BulkReader::BulkReader() : parser_(std::make_unique<Parser>()) {}
BulkReader::~BulkReader() = default;

Verdict classify_item(int status, std::string_view type, std::string_view reason) {
  if (status == 200 || status == 201) {
    return Verdict::kCreated;
  }
  if (status == 409) {
    return Verdict::kDuplicate;
  }
  if (status == 429) {
    return type == "cluster_block_exception" ? Verdict::kFloodStage : Verdict::kOverloaded;
  }
  if (status == 404) {
    return type == "index_not_found_exception" ? Verdict::kMissingIndex : Verdict::kHold;
  }
  if (status == 400) {
    // "Limit of total fields" also comes wrapped in a mapper_parsing_exception; it is the index's fault.
    const bool field_limit = contains(reason, "Limit of total fields");
    const bool document = type == "mapper_parsing_exception" || type == "document_parsing_exception" ||
                          type == "strict_dynamic_mapping_exception" ||
                          (type == "illegal_argument_exception" && is_term_limit(reason));
    return document && !field_limit ? Verdict::kDocument : Verdict::kHold;
  }
  return status >= 500 ? Verdict::kUnavailable : Verdict::kHold;
}

BulkOutcome BulkReader::read(const Result<net::HttpResponse>& answer, std::size_t documents) {
  if (!answer) {
    return of_request(RequestVerdict::kResend, 0, answer.error().message());
  }
  const int status = answer->status;
  element root;
  const bool is_json =
      parser_->dom.parse(answer->body.data(), answer->body.size()).get(root) == simdjson::SUCCESS;
  if (status != 200) {
    std::string type, reason;
    object error;
    if (is_json && root["error"].get(error) == simdjson::SUCCESS) {
      type = text_of(error["type"]);
      reason = fmt::format("{} {}: {}", status, type, reason_of(error));
    } else {
      reason = fmt::format("{} {}", status, answer->body.substr(0, kReasonBytesMax));
    }
    if (status == 400) {
      return of_request(RequestVerdict::kBisect, status, std::move(reason));
    }
    if (status == 413) {
      return of_request(RequestVerdict::kHalve, status, std::move(reason));
    }
    if (status == 429) {
      return of_request(RequestVerdict::kOverloaded, status, std::move(reason));
    }
    if (status == 403 && type == "cluster_block_exception") {
      return of_request(RequestVerdict::kFloodStage, status, std::move(reason));
    }
    return of_request(status >= 500 ? RequestVerdict::kResend : RequestVerdict::kHold, status,
                      std::move(reason));
  }
  array items;
  if (!is_json || root["items"].get(items) != simdjson::SUCCESS || items.size() != documents) {
    return of_request(RequestVerdict::kResend, status,
                      fmt::format("the answer does not have {} items: {}", documents,
                                  answer->body.substr(0, kReasonBytesMax)));
  }
  BulkOutcome out;
  out.status = status;
  out.all_created = true;
  out.items.reserve(documents);
  for (element item : items) {
    object operation;
    object members;
    std::int64_t item_status = 0;
    if (item.get(operation) != simdjson::SUCCESS || operation.size() != 1 ||
        (*operation.begin()).value.get(members) != simdjson::SUCCESS ||
        members["status"].get(item_status) != simdjson::SUCCESS) {
      return of_request(RequestVerdict::kResend, status, "an item of the answer has no status");
    }
    ItemOutcome& outcome = out.items.emplace_back();
    outcome.status = static_cast<int>(item_status);
    object error;
    if (members["error"].get(error) == simdjson::SUCCESS) {
      outcome.type = text_of(error["type"]);
      outcome.reason = reason_of(error);
    }
    outcome.verdict = classify_item(outcome.status, outcome.type, outcome.reason);
    out.all_created = out.all_created && outcome.verdict == Verdict::kCreated;
  }
  if (out.all_created) {
    out.items.clear();
  }
  return out;
}

}  // namespace naru::prepper
