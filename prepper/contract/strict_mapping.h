// An index mapping as OpenSearch applies it with `dynamic: strict`: which documents it would refuse, and how
// it differs from another. For checks beside the hot path; the encoder's Contract never needs it.
//
// Not modelled: analyzers, doc values, `ignore_malformed`, `null_value`, `copy_to`. Numbers are refused by
// type and range, dates by form, texts by nothing. Immutable.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace naru::prepper {

class StrictMapping {
 public:
  // The answer of GET <index>/_mapping, an index template, or a bare {"properties": ...}. kInvalidArgument:
  // none in there.
  static Result<StrictMapping> parse(std::string_view text);

  // Why OpenSearch would refuse `document` (JSON), "field: reason" each; empty: it takes it.
  std::vector<std::string> refusals(std::string_view document) const;
  // What must not stand in a mapping at all, with the reason: `fielddata: true`, `dynamic` that is not strict
  // at the top.
  std::vector<std::string> forbidden() const;
  // "field: keyword here, long there", for fields that only one of the two has as well.
  std::vector<std::string> differences(const StrictMapping& there) const;
  std::size_t fields() const { return fields_.size(); }

 private:
  struct Field {
    std::string type;  // "object" for those with properties
    bool fielddata = false;
    bool disabled = false;  // enabled: false: anything goes
  };
  std::map<std::string, Field, std::less<>> fields_;  // by full path
  std::string dynamic_;                               // of the top

  template <class Object>
  void read(const Object& properties, const std::string& path);
  template <class Element>
  void check(const Element& value, const std::string& path, std::vector<std::string>& out) const;
};

}  // namespace naru::prepper
