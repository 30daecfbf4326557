// Reads one JSON document against a mapping: every indexed value goes to a sink, in document order.
//
// The same walk serves the writer (columns, terms) and the search (documents that columns cannot decide), so
// both see the same values. Refuses what OpenSearch refuses, with its types. Not thread-safe: one walker per
// thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "store/mapping.h"
#include "store/outcome.h"

namespace naru::store {

inline constexpr std::size_t kTermBytesMax = 32'766;  // Lucene's longest term

class DocumentSink {
 public:
  virtual ~DocumentSink() = default;
  // Views end with the call.
  virtual void text(const Field& field, std::string_view value) = 0;
  virtual void keyword(const Field& field, std::string_view value) = 0;
  virtual void integral(const Field& field,
                        std::int64_t value) = 0;  // dates in nanoseconds, booleans 0 and 1
  virtual void real(const Field& field, double value) = 0;
  // A leaf of a flat_object; `leaf` is its path behind the field ("http.status").
  virtual void flat(const Field& field, std::string_view leaf, std::string_view value) = 0;
};

// An unknown field that the mapping has to learn before the document can be read again (dynamic: true).
struct NewField {
  std::uint32_t parent = 0;
  std::string name;
  FieldType type = FieldType::kText;
};

class DocumentReader {
 public:
  DocumentReader();
  ~DocumentReader();
  // Walks `json` (one object; SIMDJSON_PADDING readable bytes must follow it). `id` is for messages only.
  // Values seen before an error went to the sink already. When `learned` has a name afterwards the document
  // holds an unknown field under dynamic: true; nothing after it was read.
  Outcome<void> read(const Mapping& mapping, std::string_view json, std::string_view id, DocumentSink& sink,
                     NewField& learned);

 private:
  // Behind a pointer: simdjson's on-demand types differ by the instruction set that a file is compiled for.
  class Walk;
  std::unique_ptr<Walk> walk_;
};

}  // namespace naru::store
