// Where a mapping stands inside the JSON that OpenSearch gives for it.
#pragma once

#include <simdjson.h>

#include <utility>

namespace naru::prepper {

// The object with `properties`, of: itself, GET <index>/_mapping (the first index), an index template.
// NO_SUCH_FIELD: none of these.
inline simdjson::simdjson_result<simdjson::dom::object> find_mapping(simdjson::dom::element root) {
  using simdjson::dom::object;
  const auto with_properties = [](simdjson::simdjson_result<object> found) {
    object mapping;
    return std::move(found).get(mapping) == simdjson::SUCCESS && mapping["properties"].is_object();
  };
  for (const auto& found :
       {root.get_object(), root["mappings"].get_object(), root["template"]["mappings"].get_object()}) {
    if (with_properties(found)) {
      return found;
    }
  }
  object indices;
  if (root.get(indices) == simdjson::SUCCESS) {
    for (const auto& [name, index] : indices) {
      if (const auto found = index["mappings"].get_object(); with_properties(found)) {
        return found;
      }
    }
  }
  return simdjson::NO_SUCH_FIELD;
}

}  // namespace naru::prepper
