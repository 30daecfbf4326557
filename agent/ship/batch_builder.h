// Gathers records of files into one request and notes the byte ranges that they came from. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/checkpoint/state.h"
#include "agent/tail/lines.h"
#include "core/otlp/build.h"

namespace naru::agent {

// What the records of one generation have in common. Outlives the calls that it is given to.
struct RecordSource {
  SourceKey key = 0;
  Source source{};
  std::string_view resource;  // encoded Resource
};

// An encoded Resource of these attributes.
std::string encode_resource(const std::map<std::string, std::string>& attributes);
// The attributes of a file's resource: `base`, and what OpenTelemetry's file receivers add.
std::string file_resource(std::map<std::string, std::string> base, const std::string& path);

struct LineCounts {
  std::uint64_t lines = 0, truncated = 0, truncated_bytes = 0, invalid_utf8 = 0;
};

class BatchBuilder {
 public:
  // Encoded size that `line` adds at most, with a new resource before it.
  static std::size_t cost(const RecordSource& from, const Line& line) {
    return line.body.size() + from.resource.size() + kOverhead;
  }

  bool empty() const { return builder_.records() == 0; }
  std::size_t size() const { return builder_.size(); }
  std::uint64_t records() const { return builder_.records(); }
  const std::vector<Range>& ranges() const { return ranges_; }

  // Adds the next record of `from`. `text`: the body is known to be UTF-8; otherwise it is looked at here.
  void add(const RecordSource& from, std::uint64_t position, UnixNanos observed, const Line& line, bool text,
           LineCounts& counts);
  // Notes that the records added since the last note are `range`; joins it to the one before where they
  // touch.
  void note(const Range& range);

  // Gives the request and its ranges away and starts afresh.
  struct Built {
    std::string body;
    std::vector<Range> ranges;
    std::uint64_t records = 0;
  };
  Built take();

 private:
  static constexpr std::size_t kOverhead = 160;
  otlp::LogsBuilder builder_;
  std::vector<Range> ranges_;
  SourceKey open_key_ = 0;  // of the scope that is open; keys begin at 1
  std::uint64_t next_position_ = 0;
};

}  // namespace naru::agent
