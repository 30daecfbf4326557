#include "prepper/contract/value_writer.h"

#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "core/base/bytes.h"
#include "core/base/json_text.h"
#include "core/otlp/build.h"

namespace naru::prepper {
namespace {

using Kind = otlp::AnyValue::Kind;

constexpr std::string_view kCutMember = "naru.cut_leaves";
constexpr std::size_t kNameRoomMin = 64;  // an object is only opened where its names have so much room
constexpr std::string_view kOverflowMember = "naru.overflow";

// Names of one object in a careful pass.
class NameSet {
 public:
  void reserve_name(std::string_view name) { taken_.emplace(name); }
  // `name` repaired to valid UTF-8, cut, and made unlike every name before.
  std::string unique(std::string_view name, std::size_t bytes_max, std::uint32_t& cut) {
    std::string base(name);
    if (!simdjson::validate_utf8(base.data(), base.size())) {
      base = json_string(base);  // replaces what is invalid; a name needs no escapes for the comparison below
      base = base.substr(1, base.size() - 2);
    }
    if (base.size() > bytes_max) {
      base = std::string(cut_utf8(base, bytes_max));
      ++cut;
    }
    std::string out = base;
    for (std::size_t n = 2; !taken_.insert(out).second; ++n) {
      out = base + "#" + std::to_string(n);
    }
    return out;
  }

 private:
  std::unordered_set<std::string> taken_;
};

}  // namespace

// How long a name below `path_bytes` may be.
std::size_t ValueWriter::name_room(std::size_t path_bytes, const Pass& pass) const {
  return pass.bag ? std::min(limits_.name_bytes_max, limits_.path_bytes_max - path_bytes) : SIZE_MAX;
}

// True unless the innermost object has `name` already. `seen` is a filter over their hashes.
bool ValueWriter::is_new_name(std::string_view name, std::size_t frame, std::uint64_t& seen) {
  const std::uint32_t hash = hash_name(name);
  const std::uint64_t bit = std::uint64_t{1} << (hash >> 26);
  if ((seen & bit) != 0) {
    for (std::size_t i = frame; i < names_.size(); ++i) {
      if (names_[i].hash == hash && names_[i].name == name) {
        return false;
      }
    }
  }
  seen |= bit;
  names_.push_back({name, hash});
  return true;
}

void ValueWriter::write_text(JsonOut& out, std::string_view text, std::size_t path_bytes, Pass& pass) {
  const std::size_t room =
      limits_.term_bytes_max > path_bytes + 1 ? limits_.term_bytes_max - path_bytes - 1 : 0;
  if (!pass.bag || text.size() <= room / 3) [[likely]] {  // a replacement may triple the size
    pass.invalid_text |= !out.string(text);
    return;
  }
  std::string repaired;
  if (!simdjson::validate_utf8(text.data(), text.size())) {
    simdjson::dom::parser parser;  // undoes the escapes of json_string()
    const std::string quoted = json_string(text);
    std::string_view plain;
    if (parser.parse(quoted).get(plain) == simdjson::SUCCESS) {
      repaired = plain;
    }
    text = repaired;
    pass.invalid_text = true;
  }
  if (text.size() > room) {
    text = cut_utf8(text, room);
    ++pass.cut;
  }
  out.string(text);
}

void ValueWriter::write_bytes(JsonOut& out, std::string_view bytes, std::size_t path_bytes, Pass& pass) {
  write_text(out, to_base64(bytes), path_bytes, pass);
}

void ValueWriter::write_map(JsonOut& out, std::string_view encoded, std::size_t path_bytes,
                            std::uint32_t depth, Pass& pass) {
  constexpr std::uint32_t kKeyValueListValues = 1;
  const std::size_t frame = names_.size();
  std::uint64_t seen = 0;
  NameSet careful_names;
  bool first = true;
  out.raw('{');
  const bool ok = otlp::Attributes(encoded, kKeyValueListValues).for_each([&](const otlp::KeyValue& entry) {
    if (!first) {
      out.raw(',');
    }
    first = false;
    std::size_t name_bytes = entry.key.size();
    if (pass.careful) {
      const std::string name = careful_names.unique(entry.key, name_room(path_bytes, pass), pass.cut);
      name_bytes = name.size();
      out.string(name);
    } else if (name_bytes > name_room(path_bytes, pass) || !is_new_name(entry.key, frame, seen) ||
               !out.string(entry.key)) {
      pass.trouble = true;
      return false;
    }
    out.raw(':');
    write_value(out, entry.value, path_bytes + 1 + name_bytes, depth, pass);
    return !pass.malformed && !pass.trouble;
  });
  out.raw('}');
  names_.resize(frame);
  pass.malformed |= !ok;
}

void ValueWriter::write_value(JsonOut& out, std::string_view encoded, std::size_t path_bytes,
                              std::uint32_t depth, Pass& pass) {
  otlp::AnyValue value;
  if (!otlp::parse(encoded, value)) {
    pass.malformed = true;
    return;
  }
  write_value(out, value, path_bytes, depth, pass);
}

void ValueWriter::write_value(JsonOut& out, const otlp::AnyValue& value, std::size_t path_bytes,
                              std::uint32_t depth, Pass& pass) {
  ++pass.leaves;
  if (pass.bag && !pass.careful && pass.leaves > limits_.leaves_max) {
    pass.trouble = true;
    return;
  }
  switch (value.kind) {
    case Kind::kEmpty: out.raw("null"); return;
    case Kind::kString: write_text(out, value.bytes, path_bytes, pass); return;
    case Kind::kBool: out.raw(value.boolean ? "true" : "false"); return;
    case Kind::kInt: out.integer(value.integer); return;
    case Kind::kDouble:
      if (std::isfinite(value.real)) {
        const std::size_t before = out.size();
        out.real(value.real);
        if (out.view_from(before).find_first_of(".e") == std::string_view::npos) {
          out.raw(".0");  // a reader can tell 1.0 from 1
        }
      } else {
        out.raw(std::isnan(value.real) ? "\"NaN\"" : value.real > 0 ? "\"Infinity\"" : "\"-Infinity\"");
      }
      return;
    case Kind::kBytes: write_bytes(out, value.bytes, path_bytes, pass); return;
    case Kind::kArray:
    case Kind::kMap: break;
  }
  const bool path_is_full = pass.bag && path_bytes + kNameRoomMin > limits_.path_bytes_max;
  if (depth >= limits_.depth_max || (path_is_full && value.kind == Kind::kMap)) {
    std::string encoded;
    otlp::append_value(encoded, value);
    write_bytes(out, encoded, path_bytes, pass);
    return;
  }
  if (value.kind == Kind::kMap) {
    write_map(out, value.bytes, path_bytes, depth + 1, pass);
    return;
  }
  constexpr std::uint32_t kArrayValues = 1;
  out.raw('[');
  bool first = true;
  otlp::Messages values(value.bytes, kArrayValues);
  while (values.next() && !pass.malformed && !pass.trouble) {
    if (!first) {
      out.raw(',');
    }
    first = false;
    write_value(out, values.bytes(), path_bytes, depth + 1, pass);
  }
  pass.malformed |= !values.ok();
  out.raw(']');
}

template <BagSource Source>
bool ValueWriter::write_bag_fast(JsonOut& out, const Source& attributes, std::size_t root_bytes,
                                 BagVisitor* visitor, Pass& pass) {
  const std::size_t frame = names_.size();
  std::uint64_t seen = 0;
  bool first = true;
  out.raw('{');
  const bool ok = attributes.for_each_entry([&](const BagEntry& entry) {
    if (visitor != nullptr && !visitor->visit(entry)) {
      return true;
    }
    if (!first) {
      out.raw(',');
    }
    first = false;
    if (entry.key.size() > limits_.name_bytes_max || !is_new_name(entry.key, frame, seen) ||
        !out.string(entry.key)) {
      pass.trouble = true;
      return false;
    }
    out.raw(':');
    write_value(out, entry.value, root_bytes + 1 + entry.key.size(), 1, pass);
    return !pass.malformed && !pass.trouble;
  });
  out.raw('}');
  names_.resize(frame);
  pass.malformed |= !ok;
  return !pass.malformed && !pass.trouble && pass.cut == 0;
}

template <BagSource Source>
void ValueWriter::write_bag_careful(JsonOut& out, const Source& attributes, std::size_t root_bytes,
                                    BagVisitor* visitor, std::span<const ExtraMember> extras,
                                    std::uint32_t cut_before, BagResult& result) {
  NameSet names;
  names.reserve_name(kCutMember);
  names.reserve_name(kOverflowMember);
  for (const ExtraMember& extra : extras) {
    names.reserve_name(extra.name);
  }
  Pass pass;
  pass.cut = cut_before;
  JsonOut overflow;
  std::uint32_t leaves = 0;
  bool first = true;
  const auto separate = [&] {
    if (!first) {
      out.raw(',');
    }
    first = false;
  };
  out.raw('{');
  const bool ok = attributes.for_each_entry([&](const BagEntry& entry) {
    if (visitor != nullptr && !visitor->visit(entry)) {
      return true;
    }
    const std::string name = names.unique(entry.key, limits_.name_bytes_max, pass.cut);
    const std::size_t before = out.size();
    const bool was_first = first;
    const std::uint32_t cut = pass.cut;
    separate();
    out.string(name);
    out.raw(':');
    pass.leaves = 0;
    write_value(out, entry.value, root_bytes + 1 + name.size(), 1, pass);
    if (leaves + pass.leaves > limits_.leaves_max) {
      out.rewind(before);
      first = was_first;
      pass.cut = cut;
      Pass text{.bag = false};
      overflow.raw(overflow.size() == 0 ? '{' : ',');
      overflow.string(name);
      overflow.raw(':');
      write_value(overflow, entry.value, 0, 1, text);
      pass.malformed |= text.malformed;
    } else {
      leaves += pass.leaves;
    }
    return !pass.malformed;
  });
  if (overflow.size() > 0) {
    overflow.raw('}');
    separate();
    out.string(kOverflowMember);
    out.raw(':');
    write_text(out, overflow.view(), root_bytes + 1 + kOverflowMember.size(), pass);
    result.overflow = true;
  }
  for (const ExtraMember& extra : extras) {
    separate();
    out.string(extra.name);
    out.raw(':');
    out.raw(extra.json);
  }
  if (pass.cut > 0) {
    separate();
    out.string(kCutMember);
    out.raw(':');
    out.integer(pass.cut);
  }
  out.raw('}');
  result.cut = pass.cut - cut_before;
  result.ok = ok && !pass.malformed;
}

template <BagSource Source>
BagResult ValueWriter::write_bag(JsonOut& out, const Source& attributes, std::size_t name_bytes,
                                 BagVisitor* visitor, std::span<const ExtraMember> extras,
                                 std::uint32_t cut_before) {
  BagResult result;
  const std::size_t root_bytes = 2 * name_bytes + 1;  // the term names the bag twice
  const std::size_t before = out.size();
  if (extras.empty() && cut_before == 0) {
    Pass pass{.careful = false};
    if (write_bag_fast(out, attributes, root_bytes, visitor, pass)) [[likely]] {
      return result;
    }
    out.rewind(before);
    if (pass.malformed) {
      result.ok = false;
      return result;
    }
  }
  write_bag_careful(out, attributes, root_bytes, visitor, extras, cut_before, result);
  if (!result.ok) {
    out.rewind(before);
  }
  return result;
}

bool ValueWriter::write_json(JsonOut& out, std::string_view encoded, bool& valid) {
  otlp::AnyValue value;
  return otlp::parse(encoded, value) && write_json(out, value, valid);
}

bool ValueWriter::write_json(JsonOut& out, const otlp::AnyValue& value, bool& valid) {
  Pass pass{.bag = false};
  write_value(out, value, 0, 0, pass);
  valid = !pass.invalid_text;
  return !pass.malformed;
}

template BagResult ValueWriter::write_bag(JsonOut&, const EncodedBag&, std::size_t, BagVisitor*,
                                          std::span<const ExtraMember>, std::uint32_t);
template BagResult ValueWriter::write_bag(JsonOut&, const AttributeList&, std::size_t, BagVisitor*,
                                          std::span<const ExtraMember>, std::uint32_t);

}  // namespace naru::prepper
