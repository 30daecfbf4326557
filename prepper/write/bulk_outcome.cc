#include "prepper/write/bulk_outcome.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace naru::prepper {
namespace {

constexpr std::size_t kReasonBytesMax = 512;
constexpr std::size_t kKeyBytesMax = 64;  // longer keys are none of ours
constexpr std::size_t kDepthMax = 64;

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// Lucene's two words for a value over 32,766 bytes: of an indexed term and of a doc value.
bool is_term_limit(std::string_view reason) {
  return contains(reason, "immense term") || contains(reason, "is too large, must be <=");
}

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}
bool is_number_part(char c) {
  return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

void append_utf8(std::string& out, std::uint32_t code) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80U | ((code >> shift) & 0x3fU)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0U | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0U | (code >> 12));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0U | (code >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace

// Key on the status first: older clusters name some types differently. Within 400 and 403 the type decides.
Verdict classify_item(int status, std::string_view type, std::string_view reason) {
  switch (status) {
    case 200:
    case 201: return Verdict::kCreated;
    case 409:
      // Any other conflict would not mean that the record is there.
      return type.empty() || contains(type, "version_conflict") ? Verdict::kDuplicate : Verdict::kHold;
    case 429: return type == "cluster_block_exception" ? Verdict::kFloodStage : Verdict::kOverloaded;
    case 403: return type == "cluster_block_exception" ? Verdict::kWriteBlocked : Verdict::kHold;
    case 404: return type == "index_not_found_exception" ? Verdict::kMissingIndex : Verdict::kHold;
    case 400: break;
    default: return status >= 500 ? Verdict::kUnavailable : Verdict::kHold;
  }
  // "Limit of total fields" also comes wrapped in a mapper_parsing_exception; it is the index's fault.
  const bool document = type == "mapper_parsing_exception" || type == "document_parsing_exception" ||
                        type == "strict_dynamic_mapping_exception" ||
                        (type == "illegal_argument_exception" && is_term_limit(reason));
  return document && !contains(reason, "Limit of total fields") ? Verdict::kDocument : Verdict::kHold;
}

RequestVerdict classify_request(int status, std::string_view type) {
  const bool blocked = type == "cluster_block_exception";
  switch (status) {
    case 400: return RequestVerdict::kBisect;
    case 413: return RequestVerdict::kHalve;
    case 403: return blocked ? RequestVerdict::kFloodStage : RequestVerdict::kHold;
    case 429:
      if (blocked) {
        return RequestVerdict::kFloodStage;
      }
      return type == "circuit_breaking_exception" ? RequestVerdict::kTooHeavy : RequestVerdict::kOverloaded;
    default: return status >= 500 ? RequestVerdict::kResend : RequestVerdict::kHold;
  }
}

void BulkReader::ErrorText::clear() {
  present = false;
  type.clear();
  for (std::string& reason : reasons) {
    reason.clear();
  }
}

// The innermost cause says what was wrong: mapper_parsing_exception wraps the rest.
std::string BulkReader::ErrorText::reason() const {
  std::string out = reasons[0];
  for (std::size_t i = 1; i < reasons.size(); ++i) {
    if (!reasons[i].empty()) {
      out += "; caused by: " + reasons[i];
    }
  }
  return out;
}

void BulkReader::begin(int status, std::size_t documents) {
  status_ = status;
  documents_ = documents;
  head_.clear();
  state_ = State::kValue;
  frames_.clear();
  has_items_ = false;
  seen_ = 0;
  error_.clear();
  items_.clear();
}

void BulkReader::feed(std::string_view bytes) {
  if (head_.size() < kReasonBytesMax) {
    head_ += bytes.substr(0, kReasonBytesMax - head_.size());
  }
  while (!bytes.empty() && state_ != State::kBroken) {
    if (state_ == State::kString) {
      const std::size_t end = std::min(bytes.find_first_of("\"\\"), bytes.size());
      append(bytes.substr(0, end));
      bytes.remove_prefix(end);
      if (bytes.empty()) {
        return;
      }
    }
    step(bytes.front());
    bytes.remove_prefix(1);
  }
}

void BulkReader::step(char c) {
  switch (state_) {
    case State::kString:
      if (c == '\\') {
        state_ = State::kEscape;
      } else {
        end_string();
      }
      return;
    case State::kEscape: {
      if (c == 'u') {
        unicode_ = 0;
        unicode_digits_ = 0;
        state_ = State::kUnicode;
        return;
      }
      constexpr std::string_view kLetters = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
      const std::size_t at = kLetters.find(c);
      if (at == std::string_view::npos) {
        broken();
        return;
      }
      state_ = State::kString;
      append(kMeant.substr(at, 1));
      return;
    }
    case State::kUnicode: {
      const char lower = static_cast<char>(c | 0x20);
      const bool digit = c >= '0' && c <= '9';
      if (!digit && (lower < 'a' || lower > 'f')) {
        broken();
        return;
      }
      unicode_ = unicode_ * 16 + static_cast<std::uint32_t>(digit ? c - '0' : lower - 'a' + 10);
      if (++unicode_digits_ == 4) {
        state_ = State::kString;
        append_code_unit();
      }
      return;
    }
    case State::kNumber:
      if (is_number_part(c)) {
        const bool digit = c >= '0' && c <= '9';
        constexpr int kStatusMax = 1'000;
        number_ = digit && number_ < kStatusMax ? number_ * 10 + (c - '0') : kStatusMax;
        return;
      }
      end_number();
      break;  // `c` is what follows it
    case State::kWord:
      if (c != word_.front()) {
        broken();
      } else if (word_.remove_prefix(1); word_.empty()) {
        end_value();
      }
      return;
    default: break;
  }
  if (is_space(c)) {
    return;
  }
  switch (state_) {
    case State::kFirstItem:
      if (c == ']') {
        close(false);
        return;
      }
      [[fallthrough]];
    case State::kValue: begin_value(c); return;
    case State::kFirstKey:
      if (c == '}') {
        close(true);
        return;
      }
      [[fallthrough]];
    case State::kKey:
      if (c != '"') {
        broken();
        return;
      }
      key_.clear();
      reading_key_ = true;
      text_ = &key_;
      high_surrogate_ = 0;
      state_ = State::kString;
      return;
    case State::kColon: c == ':' ? void(state_ = State::kValue) : broken(); return;
    case State::kAfter:
      if (c == ',') {
        state_ = frames_.back().object ? State::kKey : State::kValue;
      } else if (c == '}' || c == ']') {
        close(c == '}');
      } else {
        broken();
      }
      return;
    default: broken(); return;  // kDone: nothing may follow the answer
  }
}

void BulkReader::begin_value(char c) {
  const bool in_object = !frames_.empty() && frames_.back().object;
  const bool is_status = in_object && frames_.back().place == Place::kOperation && key_ == "status";
  switch (c) {
    case '{': open(true); return;
    case '[': open(false); return;
    case '"':
      reading_key_ = false;
      text_ = wanted_text();
      high_surrogate_ = 0;
      state_ = State::kString;
      return;
    case 't': word_ = "rue"; break;
    case 'f': word_ = "alse"; break;
    case 'n': word_ = "ull"; break;
    default:
      if (!is_number_part(c)) {
        broken();
        return;
      }
      number_wanted_ = is_status;
      number_ = 0;
      state_ = State::kNumber;
      step(c);
      return;
  }
  state_ = State::kWord;
}

void BulkReader::open(bool object) {
  if (frames_.size() >= kDepthMax) {
    broken();
    return;
  }
  Frame frame{.place = Place::kOther, .object = object, .cause = 0};
  if (frames_.empty()) {
    frame.place = object ? Place::kRoot : Place::kOther;
  } else {
    const Frame& outer = frames_.back();
    const auto enter_error = [&](std::size_t cause) {
      if (object && cause < kCausesMax) {
        frame.place = Place::kError;
        frame.cause = static_cast<std::uint8_t>(cause);
        error_.present = true;
      }
    };
    switch (outer.place) {
      case Place::kRoot:
        if (key_ == "items" && !object) {
          frame.place = Place::kItems;
          has_items_ = true;
        } else if (key_ == "error") {
          enter_error(0);
        }
        break;
      case Place::kItems:
        frame.place = object ? Place::kItem : Place::kOther;
        operations_ = 0;
        item_status_ = 0;
        error_.clear();
        break;
      case Place::kItem:
        frame.place = object ? Place::kOperation : Place::kOther;
        ++operations_;
        break;
      case Place::kOperation:
        if (key_ == "error") {
          enter_error(0);
        }
        break;
      case Place::kError:
        if (key_ == "caused_by") {
          enter_error(outer.cause + 1U);
        }
        break;
      case Place::kOther: break;
    }
  }
  frames_.push_back(frame);
  state_ = object ? State::kFirstKey : State::kFirstItem;
}

void BulkReader::close(bool object) {
  if (frames_.back().object != object) {
    broken();
    return;
  }
  const Place place = frames_.back().place;
  frames_.pop_back();
  end_value();
  if (place == Place::kItem) {
    end_item();
  }
}

void BulkReader::end_value() {
  state_ = frames_.empty() ? State::kDone : State::kAfter;
}

std::string* BulkReader::wanted_text() {
  if (frames_.empty() || !frames_.back().object) {
    return nullptr;
  }
  const Frame& frame = frames_.back();
  if (frame.place == Place::kError && key_ == "reason") {
    return &error_.reasons[frame.cause];
  }
  if (frame.place == Place::kError && frame.cause == 0 && key_ == "type") {
    return &error_.type;
  }
  // Some proxies and old clusters answer a plain text.
  if ((frame.place == Place::kRoot || frame.place == Place::kOperation) && key_ == "error") {
    error_.present = true;
    return &error_.reasons[0];
  }
  return nullptr;
}

void BulkReader::append(std::string_view bytes) {
  if (text_ == nullptr) {
    return;
  }
  const std::size_t max = reading_key_ ? kKeyBytesMax : kReasonBytesMax;
  const std::size_t room = max - text_->size();
  *text_ += bytes.substr(0, room);
  if (bytes.size() > room) {
    // No half character: the text goes into a header of a dead letter.
    while (!text_->empty() && (static_cast<unsigned char>(text_->back()) & 0xc0U) == 0x80U) {
      text_->pop_back();
    }
    if (!text_->empty() && (static_cast<unsigned char>(text_->back()) & 0x80U) != 0) {
      text_->pop_back();
    }
    text_ = nullptr;
  }
}

void BulkReader::append_code_unit() {
  constexpr std::uint32_t kHigh = 0xd800, kLow = 0xdc00, kEnd = 0xe000, kReplacement = 0xfffd;
  std::uint32_t code = unicode_;
  if (code >= kHigh && code < kLow) {
    high_surrogate_ = code;
    return;
  }
  if (code >= kLow && code < kEnd) {
    code = high_surrogate_ != 0 ? 0x10000 + ((high_surrogate_ - kHigh) << 10) + (code - kLow) : kReplacement;
  }
  high_surrogate_ = 0;
  std::string encoded;
  append_utf8(encoded, code);
  append(encoded);
}

void BulkReader::end_string() {
  if (reading_key_) {
    state_ = State::kColon;
  } else {
    end_value();
  }
}

void BulkReader::end_number() {
  if (number_wanted_) {
    item_status_ = number_;
  }
  end_value();
}

void BulkReader::end_item() {
  if (operations_ != 1 || item_status_ == 0 || seen_ == documents_) {
    broken();
    return;
  }
  const Verdict verdict = error_.present ? classify_item(item_status_, error_.type, error_.reason())
                                         : classify_item(item_status_, {}, {});
  if (verdict != Verdict::kCreated && items_.empty()) {
    items_.reserve(documents_);
    ItemOutcome created;
    created.status = 201;
    items_.resize(seen_, created);
  }
  if (verdict != Verdict::kCreated || !items_.empty()) {
    items_.push_back({verdict, item_status_, error_.type, error_.present ? error_.reason() : std::string()});
  }
  ++seen_;
}

BulkOutcome BulkReader::finish() {
  BulkOutcome out;
  out.status = status_;
  const bool complete = state_ == State::kDone;
  if (status_ != 200) {
    const bool named = complete && !has_items_ && error_.present;
    out.request = classify_request(status_, named ? std::string_view(error_.type) : std::string_view());
    out.reason = named ? fmt::format("{} {}: {}", status_, error_.type, error_.reason())
                       : fmt::format("{} {}", status_, head_);
    return out;
  }
  if (!complete || !has_items_ || seen_ != documents_) {
    out.request = RequestVerdict::kResend;
    out.reason = fmt::format("200, but the answer does not have {} whole items: {}", documents_, head_);
    return out;
  }
  out.all_created = items_.empty();
  out.items = std::exchange(items_, {});
  return out;
}

BulkOutcome BulkReader::read(const Result<net::HttpResponse>& answer, std::size_t documents) {
  if (!answer) {
    BulkOutcome out;
    out.request = RequestVerdict::kResend;
    out.reason = answer.error().message();
    return out;
  }
  begin(answer->status, documents);
  feed(answer->body);
  return finish();
}

bool is_node_fault(const BulkOutcome& outcome) {
  constexpr int kBadGateway = 502, kUnavailable = 503, kGatewayTimeout = 504;
  return outcome.request == RequestVerdict::kResend &&
         (outcome.status == 0 || outcome.status == kBadGateway || outcome.status == kUnavailable ||
          outcome.status == kGatewayTimeout);
}

}  // namespace naru::prepper
