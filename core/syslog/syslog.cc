#include "core/syslog/syslog.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace naru::syslog {
namespace {

constexpr unsigned kPriorityMax = 191;
constexpr std::size_t kOctetCountDigitsMax = 9;

// <PRI>, at most three digits. Leaves `text` as it was when there is none.
std::optional<unsigned> take_priority(std::string_view& text) {
  if (text.size() < 3 || text[0] != '<') {
    return std::nullopt;
  }
  const std::size_t close = text.substr(0, 5).find('>');
  unsigned priority = 0;
  if (close == std::string_view::npos || close == 1) {
    return std::nullopt;
  }
  const auto [end, error] = std::from_chars(text.data() + 1, text.data() + close, priority);
  if (error != std::errc{} || end != text.data() + close || priority > kPriorityMax) {
    return std::nullopt;
  }
  text.remove_prefix(close + 1);
  return priority;
}

// The word before the next space; the space is taken too.
std::string_view take_word(std::string_view& text) {
  const std::size_t space = text.find(' ');
  const std::string_view word = text.substr(0, space);
  text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
  return word;
}

std::string_view without_nil(std::string_view word) {
  return word == "-" ? std::string_view{} : word;
}

// Structured data ends behind the last `]` of its elements; quoted values may hold any character.
std::optional<std::string_view> take_structured_data(std::string_view& text) {
  std::size_t at = 0;
  while (at < text.size() && text[at] == '[') {
    bool quoted = false;
    ++at;
    while (at < text.size() && (quoted || text[at] != ']')) {
      if (quoted && text[at] == '\\') {
        ++at;
      } else if (text[at] == '"') {
        quoted = !quoted;
      }
      ++at;
    }
    if (at >= text.size()) {
      return std::nullopt;
    }
    ++at;
  }
  const std::string_view data = text.substr(0, at);
  text.remove_prefix(at);
  return data;
}

bool parse_rfc5424(std::string_view text, SyslogMessage& out) {
  if (!text.starts_with("1 ")) {
    return false;
  }
  text.remove_prefix(2);
  const std::string_view time = take_word(text);
  if (time != "-") {
    const auto parsed = parse_rfc3339(time);
    if (!parsed) {
      return false;
    }
    out.time = *parsed;
  }
  out.host = without_nil(take_word(text));
  out.app = without_nil(take_word(text));
  out.process_id = without_nil(take_word(text));
  out.message_id = without_nil(take_word(text));
  if (text.starts_with('[')) {
    const auto data = take_structured_data(text);
    if (!data) {
      return false;
    }
    out.structured_data = *data;
  } else if (text.starts_with('-')) {
    text.remove_prefix(1);
  } else {
    return false;
  }
  if (text.starts_with(' ')) {
    text.remove_prefix(1);
  }
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) {
    text.remove_prefix(kByteOrderMark.size());
  }
  out.text = text;
  return true;
}

std::optional<unsigned> month_number(std::string_view name) {
  constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto* const found = std::ranges::find(kMonths, name);
  return found == kMonths.end() ? std::nullopt
                                : std::optional(static_cast<unsigned>(found - kMonths.begin()) + 1);
}

// "Nov 21 01:02:03" of the year that brings it nearest to `observed`, in the zone that does.
std::optional<UnixNanos> bsd_time(std::string_view text, UnixNanos observed) {
  const auto month = month_number(text.substr(0, 3));
  if (!month || text[3] != ' ' || text[6] != ' ') {
    return std::nullopt;
  }
  const char day_tens = text[4] == ' ' ? '0' : text[4];
  const int year = to_civil(observed).year;
  std::optional<std::int64_t> nearest;
  for (int candidate = std::max(1970, year - 1); candidate <= year + 1; ++candidate) {
    std::string iso = std::to_string(candidate) + '-' + static_cast<char>('0' + *month / 10) +
                      static_cast<char>('0' + *month % 10) + '-' + day_tens + text[5] + 'T';
    iso.append(text.substr(7, 8)).append("Z");
    const auto parsed = parse_rfc3339(iso);
    if (!parsed) {
      continue;  // 29 February of another year, or no time at all
    }
    const auto distance = static_cast<std::int64_t>(*parsed - observed);
    if (!nearest || std::abs(distance) < std::abs(*nearest)) {
      nearest = distance;
    }
  }
  if (!nearest) {
    return std::nullopt;
  }
  constexpr auto kQuarter = static_cast<std::int64_t>(15 * 60 * kNanosPerSecond);
  constexpr auto kZoneMax = static_cast<std::int64_t>(14 * kNanosPerHour);
  std::int64_t distance = *nearest;
  if (std::abs(distance) <= kZoneMax + kQuarter / 2) {
    const std::int64_t half = distance >= 0 ? kQuarter / 2 : -kQuarter / 2;
    distance -= (distance + half) / kQuarter * kQuarter;
  }
  return observed + static_cast<UnixNanos>(distance);
}

// "tag[pid]: text" of RFC 3164 section 5.3.
void take_tag(std::string_view text, SyslogMessage& out) {
  const std::size_t end = text.find_first_of("[: ");
  if (end == std::string_view::npos || end == 0 || end > 48 || text[end] == ' ') {
    out.text = text;
    return;
  }
  std::string_view rest = text.substr(end);
  std::string_view process_id;
  if (rest[0] == '[') {
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos || close + 1 >= rest.size() || rest[close + 1] != ':') {
      out.text = text;
      return;
    }
    process_id = rest.substr(1, close - 1);
    rest.remove_prefix(close + 1);
  }
  rest.remove_prefix(1);
  if (rest.starts_with(' ')) {
    rest.remove_prefix(1);
  }
  out.app = text.substr(0, end);
  out.process_id = process_id;
  out.text = rest;
}

void parse_rfc3164(std::string_view text, UnixNanos observed, SyslogMessage& out) {
  constexpr std::size_t kStamp = 15;
  const auto time =
      text.size() > kStamp && text[kStamp] == ' ' ? bsd_time(text.substr(0, kStamp), observed) : std::nullopt;
  if (!time) {
    take_tag(text, out);
    return;
  }
  out.time = *time;
  text.remove_prefix(kStamp + 1);
  // Local senders leave the host out: then the first word is the tag, which ends in ':' or ']:'.
  const std::size_t space = text.find(' ');
  const std::string_view first = text.substr(0, space);
  if (space != std::string_view::npos && !first.ends_with(':')) {
    out.host = first;
    text.remove_prefix(space + 1);
  }
  take_tag(text, out);
}

}  // namespace

SyslogMessage parse_syslog(std::string_view message, UnixNanos observed) {
  while (!message.empty() && (message.back() == '\n' || message.back() == '\r' || message.back() == '\0')) {
    message.remove_suffix(1);
  }
  SyslogMessage out;
  std::string_view rest = message;
  const auto priority = take_priority(rest);
  if (!priority) {
    out.text = message;
    return out;
  }
  out.facility = *priority / 8;
  out.severity = *priority % 8;
  SyslogMessage strict = out;
  if (parse_rfc5424(rest, strict)) {
    return strict;
  }
  parse_rfc3164(rest, observed, out);
  return out;
}

namespace detail {

bool StructuredData::bad() {
  ok_ = false;
  return false;
}

bool StructuredData::next() {
  while (!rest_.empty()) {
    if (!in_element_) {
      if (rest_[0] != '[') {
        return bad();
      }
      rest_.remove_prefix(1);
      const std::size_t end = rest_.find_first_of(" ]");
      if (end == std::string_view::npos || end == 0) {
        return bad();
      }
      id_ = rest_.substr(0, end);
      rest_.remove_prefix(end);
      in_element_ = true;
    }
    while (rest_.starts_with(' ')) {
      rest_.remove_prefix(1);
    }
    if (rest_.starts_with(']')) {
      rest_.remove_prefix(1);
      in_element_ = false;
      continue;
    }
    const std::size_t equals = rest_.find("=\"");
    if (equals == std::string_view::npos || equals == 0) {
      return bad();
    }
    name_ = rest_.substr(0, equals);
    rest_.remove_prefix(equals + 2);
    value_.clear();
    while (!rest_.empty() && rest_[0] != '"') {
      if (rest_[0] == '\\' && rest_.size() > 1 && (rest_[1] == '"' || rest_[1] == '\\' || rest_[1] == ']')) {
        rest_.remove_prefix(1);
      }
      value_ += rest_[0];
      rest_.remove_prefix(1);
    }
    if (rest_.empty()) {
      return bad();
    }
    rest_.remove_prefix(1);
    return true;
  }
  return in_element_ ? bad() : false;
}

}  // namespace detail

void SyslogFramer::keep(std::string_view bytes) {
  const std::size_t room = message_bytes_max_ - pending_.size();
  pending_.append(bytes.substr(0, room));
  if (bytes.size() > room) {
    skipped_bytes_ += bytes.size() - room;
    cut_ = true;
  }
}

void SyslogFramer::end_message(std::vector<std::string>& messages) {
  cut_messages_ += cut_ ? 1 : 0;
  cut_ = false;
  if (!pending_.empty()) {
    messages.push_back(std::move(pending_));
  }
  pending_.clear();
  state_ = State::kStart;
}

bool SyslogFramer::feed(std::string_view chunk, std::vector<std::string>& messages) {
  while (!chunk.empty()) {
    switch (state_) {
      case State::kStart:
        state_ = chunk[0] >= '1' && chunk[0] <= '9' ? State::kCount : State::kLine;
        count_ = 0;
        count_digits_ = 0;
        break;
      case State::kCount: {
        const char c = chunk[0];
        chunk.remove_prefix(1);
        if (c == ' ') {
          state_ = State::kCounted;
        } else if (c < '0' || c > '9' || ++count_digits_ > kOctetCountDigitsMax) {
          return false;
        } else {
          count_ = count_ * 10 + static_cast<std::size_t>(c - '0');
        }
        break;
      }
      case State::kCounted: {
        const std::string_view part = chunk.substr(0, count_);
        keep(part);
        chunk.remove_prefix(part.size());
        count_ -= part.size();
        if (count_ == 0) {
          end_message(messages);
        }
        break;
      }
      case State::kLine: {
        const std::size_t end = chunk.find_first_of(std::string_view("\n\0", 2));
        keep(chunk.substr(0, end));
        if (end == std::string_view::npos) {
          return true;
        }
        chunk.remove_prefix(end + 1);
        end_message(messages);
        break;
      }
    }
  }
  return true;
}

std::string SyslogFramer::finish() {
  std::string rest = state_ == State::kLine ? std::move(pending_) : std::string{};
  pending_.clear();
  state_ = State::kStart;
  cut_ = false;
  return rest;
}

}  // namespace naru::syslog
