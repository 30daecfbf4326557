// Attributes and values as JSON that OpenSearch takes into a flat_object bag, whatever their content.
//
// What a bag cannot hold is changed by rule and marked in the bag itself, never refused:
//   a text or number text over the leaf limit      cut at a character
//   a name over name_bytes_max                     cut
//   a name that occurs twice, also after repair    gets "#2", "#3", ...
//   leaves beyond leaves_max                       JSON text of the rest in `naru.overflow`, cut like a text
//   a value nested deeper than depth_max, or       base64 of its encoded form
//   an object under a path near path_bytes_max
//   NaN and infinities                             "NaN", "Infinity", "-Infinity"
//   bytes                                          base64
// `naru.cut_leaves` counts what was cut. Rules and figures: docs/formats/documents.md.
//
// Not thread-safe; keeps scratch memory, so one per encoder.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/otlp/otlp.h"
#include "prepper/process/json_out.h"
#include "prepper/record/attribute_list.h"

namespace naru::prepper {

struct BagLimits {
  // Lucene refuses a term over 32,766 bytes, and flat_object indexes `<bag>.<bag>.<path>=<value>` as one
  // (seen on OpenSearch 2.19.1).
  std::size_t term_bytes_max = 32'766;
  std::size_t path_bytes_max = 16'384;  // of that term; deeper objects become base64
  std::size_t name_bytes_max = 1'024;
  std::uint32_t leaves_max = 1'024;
  std::uint32_t depth_max = 32;
};

// A member that the encoder adds to a bag: its JSON is complete.
struct ExtraMember {
  std::string_view name;
  std::string_view json;
};

// What write_bag() found in passing.
struct BagResult {
  bool ok = true;         // false: malformed attributes; nothing is written
  std::uint32_t cut = 0;  // leaves and names cut
  bool overflow = false;  // leaves_max was reached
};

using BagEntry = AttributeEntry;

// Sees each attribute of a bag before it is written; false leaves it out.
class BagVisitor {
 public:
  virtual ~BagVisitor() = default;
  virtual bool visit(const BagEntry& entry) = 0;
};

// Where the attributes of a bag come from.
template <class Source>
concept BagSource = requires(const Source& source, bool (*f)(const BagEntry&)) {
  // Calls f for each, in order, until it returns false. False: malformed.
  { source.for_each_entry(f) } -> std::same_as<bool>;
};
class EncodedBag {
 public:
  explicit EncodedBag(const otlp::Attributes& attributes) : attributes_(attributes) {}
  template <class F>
  bool for_each_entry(F&& f) const {
    bool ok = true;
    const bool walked = attributes_.for_each([&](const otlp::KeyValue& entry) {
      BagEntry out{entry.key, {}, entry.value};
      ok = otlp::parse(entry.value, out.value);
      return ok && f(out);
    });
    return ok && walked;
  }

 private:
  const otlp::Attributes& attributes_;
};

class ValueWriter {
 public:
  explicit ValueWriter(BagLimits limits) : limits_(limits) {}

  // Writes `{...}`. `name_bytes`: length of the bag's own name, for the term limit. `visitor` may be null and
  // may see an attribute twice, in the same order.
  template <BagSource Source>
  BagResult write_bag(JsonOut& out, const Source& attributes, std::size_t name_bytes,
                      BagVisitor* visitor = nullptr, std::span<const ExtraMember> extras = {},
                      std::uint32_t cut_before = 0);
  BagResult write_bag(JsonOut& out, const otlp::Attributes& attributes, std::size_t name_bytes,
                      BagVisitor* visitor = nullptr, std::span<const ExtraMember> extras = {},
                      std::uint32_t cut_before = 0) {
    return write_bag(out, EncodedBag(attributes), name_bytes, visitor, extras, cut_before);
  }

  // Writes a value as JSON without leaf limits (the body of a log). `valid` turns false when bytes had to be
  // replaced. False: malformed.
  bool write_json(JsonOut& out, std::string_view encoded, bool& valid);
  bool write_json(JsonOut& out, const otlp::AnyValue& value, bool& valid);

 private:
  struct Pass {
    bool bag = true;      // leaf limits apply
    bool careful = true;  // repair names instead of giving up
    bool trouble = false;
    bool malformed = false;
    bool invalid_text = false;
    std::uint32_t cut = 0;
    std::uint32_t leaves = 0;
  };
  template <BagSource Source>
  bool write_bag_fast(JsonOut& out, const Source& attributes, std::size_t root_bytes, BagVisitor* visitor,
                      Pass& pass);
  template <BagSource Source>
  void write_bag_careful(JsonOut& out, const Source& attributes, std::size_t root_bytes, BagVisitor* visitor,
                         std::span<const ExtraMember> extras, std::uint32_t cut_before, BagResult& result);
  void write_value(JsonOut& out, std::string_view encoded, std::size_t path_bytes, std::uint32_t depth,
                   Pass& pass);
  void write_value(JsonOut& out, const otlp::AnyValue& value, std::size_t path_bytes, std::uint32_t depth,
                   Pass& pass);
  void write_text(JsonOut& out, std::string_view text, std::size_t path_bytes, Pass& pass);
  void write_bytes(JsonOut& out, std::string_view bytes, std::size_t path_bytes, Pass& pass);
  void write_map(JsonOut& out, std::string_view encoded, std::size_t path_bytes, std::uint32_t depth,
                 Pass& pass);
  std::size_t name_room(std::size_t path_bytes, const Pass& pass) const;
  bool is_new_name(std::string_view name, std::size_t frame, std::uint64_t& seen);

  BagLimits limits_;
  struct Name {
    std::string_view name;
    std::uint32_t hash;
  };
  std::vector<Name> names_;  // of the open objects, innermost last
};

}  // namespace naru::prepper
