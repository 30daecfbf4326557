// A journal entry as an OTLP log record. Pure. Field names: systemd.journal-fields(7).
//
// Body = MESSAGE, time = when the journal took it, severity from PRIORITY. Well-known fields become
// attributes by OpenTelemetry's names, other fields of the program `journald.<field in lower case>`; of the
// journal's own fields (leading underscore) only those named in the .cc file are kept, so that attributes
// stay few.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/clock.h"
#include "core/otlp/build.h"

namespace naru::agent {

class JournalRecord {
 public:
  // Attributes of one record; further fields are left out and counted in dropped_attributes_count.
  static constexpr std::size_t kAttributeBytesMax = 32u << 10;

  // `own_host`: a _HOSTNAME that differs from it is kept.
  JournalRecord(std::size_t message_bytes_max, std::string own_host)
      : message_bytes_max_(message_bytes_max), own_host_(std::move(own_host)) {}

  void begin(UnixNanos realtime);
  // A field as the journal gives it: "NAME=value", the value any bytes. Only within the call.
  void field(std::string_view assignment);
  // Adds the record; `builder` has an open scope.
  void add_to(otlp::LogsBuilder& builder, UnixNanos observed);

  std::size_t size() const { return message_.size() + attributes_.size() + kOverhead; }
  std::uint64_t cut_bytes() const { return cut_bytes_; }

 private:
  static constexpr std::size_t kOverhead = 128;
  void attribute(std::string_view key, std::string_view value);

  const std::size_t message_bytes_max_;
  const std::string own_host_;
  UnixNanos realtime_ = 0;
  int priority_ = -1;
  std::uint64_t cut_bytes_ = 0;
  std::uint32_t left_out_ = 0;
  std::string message_, attributes_, key_;
};

}  // namespace naru::agent
