// Syslog messages and their framing on a stream. Pure.
//
// Sources: RFC 5424 (syslog protocol), RFC 3164 (BSD syslog), RFC 6587 (octet counting and line framing on
// TCP). Every message is accepted: what fits neither form is a message without header (RFC 3164
// section 4.3.3).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"

namespace naru::syslog {

// Views point into the message that was parsed. Absent parts (also "-") are empty.
struct SyslogMessage {
  unsigned facility = 1;  // 0..23
  unsigned severity = 5;  // 0 emergency .. 7 debug
  UnixNanos time = 0;     // 0: unknown
  std::string_view host;
  std::string_view app;
  std::string_view process_id;
  std::string_view message_id;
  std::string_view structured_data;  // RFC 5424 section 6.3, without the nil value
  std::string_view text;
};

// `observed` resolves what a BSD time stamp leaves out: its year, and its zone as the whole quarter of an
// hour that brings it nearest to `observed`.
SyslogMessage parse_syslog(std::string_view message, UnixNanos observed);

// Walks the parameters of structured data: calls f(id, name, value) with the value unescaped.
// Malformed data ends the walk: false.
template <class F>
bool for_each_parameter(std::string_view structured_data, F&& f);

// Cuts a stream into messages: octet counting ("12 <34>1 ...") or lines (LF, NUL), told apart for each
// message by its first byte, as RFC 6587 advises. Owns at most `message_bytes_max` bytes.
class SyslogFramer {
 public:
  explicit SyslogFramer(std::size_t message_bytes_max) : message_bytes_max_(message_bytes_max) {}

  // Appends every message that ends in `chunk` to `messages`, valid until the next call. A longer message is
  // cut at the limit, its rest is skipped and counted. False: the octet count is no number; the stream cannot
  // be followed any further and must be closed.
  bool feed(std::string_view chunk, std::vector<std::string>& messages);
  // What is left when the peer closed: a last line without its end, or nothing.
  std::string finish();
  std::uint64_t skipped_bytes() const { return skipped_bytes_; }
  std::uint64_t cut_messages() const { return cut_messages_; }

 private:
  enum class State : std::uint8_t { kStart, kCount, kCounted, kLine };
  void keep(std::string_view bytes);
  void end_message(std::vector<std::string>& messages);

  std::size_t message_bytes_max_;
  State state_ = State::kStart;
  std::size_t count_ = 0;
  std::size_t count_digits_ = 0;
  std::string pending_;
  bool cut_ = false;
  std::uint64_t skipped_bytes_ = 0;
  std::uint64_t cut_messages_ = 0;
};

// --- implementation of the template
// ----------------------------------------------------------------------------

namespace detail {
// Takes `[id name="value" ...]` apart, one parameter a call. See syslog.cc.
class StructuredData {
 public:
  explicit StructuredData(std::string_view data) : rest_(data) {}
  bool next();
  bool ok() const { return ok_; }
  std::string_view id() const { return id_; }
  std::string_view name() const { return name_; }
  std::string_view value() const { return value_; }

 private:
  bool bad();
  std::string_view rest_;
  std::string_view id_;
  std::string_view name_;
  std::string value_;
  bool in_element_ = false;
  bool ok_ = true;
};
}  // namespace detail

template <class F>
bool for_each_parameter(std::string_view structured_data, F&& f) {
  detail::StructuredData data(structured_data);
  while (data.next()) {
    f(data.id(), data.name(), data.value());
  }
  return data.ok();
}

}  // namespace naru::syslog
