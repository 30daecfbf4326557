#include "agent/ship/batch_builder.h"

#include <simdjson.h>

#include "core/otlp/otlp.h"

namespace naru::agent {

std::string encode_resource(const std::map<std::string, std::string>& attributes) {
  std::string out;
  for (const auto& [key, value] : attributes) {
    otlp::append_string_attribute(out, otlp::kResourceAttributes, key, value);
  }
  return out;
}

std::string file_resource(std::map<std::string, std::string> base, const std::string& path) {
  // OTLP strings are UTF-8; a path need not be.
  const auto text = [](const std::string& bytes) {
    if (simdjson::validate_utf8(bytes)) {
      return bytes;
    }
    std::string escaped;
    for (const char byte : bytes) {
      if (static_cast<unsigned char>(byte) < 0x80) {
        escaped.push_back(byte);
      } else {
        escaped.append("%").append(to_hex(std::string_view(&byte, 1)));
      }
    }
    return escaped;
  };
  base["log.file.path"] = text(path);
  base["log.file.name"] = text(path.substr(path.rfind('/') + 1));
  return encode_resource(base);
}

void BatchBuilder::add(const RecordSource& from, std::uint64_t position, UnixNanos observed, const Line& line,
                       bool text, LineCounts& counts) {
  if (open_key_ != from.key) {
    builder_.begin_resource(from.resource);
    builder_.begin_scope(from.source, position);
    open_key_ = from.key;
  } else if (next_position_ != position) {
    builder_.begin_scope(from.source, position);
  }
  next_position_ = position + 1;
  ++counts.lines;
  if (text && line.cut == 0) [[likely]] {
    builder_.add(0, observed, line.body);
    return;
  }
  std::string attributes;
  if (line.cut > 0) {
    otlp::append_int_attribute(attributes, otlp::kLogAttributes, "naru.truncated_bytes",
                               static_cast<std::int64_t>(line.cut));
    ++counts.truncated;
    counts.truncated_bytes += line.cut;
  }
  if (text || simdjson::validate_utf8(line.body)) {
    builder_.add(0, observed, line.body, 0, {}, attributes);
  } else {
    ++counts.invalid_utf8;
    builder_.add_bytes(0, observed, line.body, 0, {}, attributes);
  }
}

void BatchBuilder::note(const Range& range) {
  if (!ranges_.empty()) {
    Range& last = ranges_.back();
    if (last.key == range.key && last.end == range.begin && last.position + last.count == range.position &&
        last.observed + last.count == range.observed && last.line_bytes_max == range.line_bytes_max) {
      last.end = range.end;
      last.count += range.count;
      last.prefix = range.prefix;
      last.window = range.window;
      return;
    }
  }
  ranges_.push_back(range);
}

BatchBuilder::Built BatchBuilder::take() {
  Built built;
  built.records = builder_.records();
  built.body = builder_.take();
  built.ranges = std::exchange(ranges_, {});
  open_key_ = 0;
  return built;
}

}  // namespace naru::agent
