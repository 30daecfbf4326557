// What a live mapping lacks of the declared one, as a body for PUT <index>/_mapping. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace naru::prepper {

struct MappingExtension {
  std::string body;                    // empty: nothing is missing
  std::vector<std::string> added;      // full names of the fields
  std::vector<std::string> conflicts;  // "price: long here, keyword declared": only a new index can have it
};

// Both are a mapping, an index template, or the answer of GET <index>/_mapping; one that cannot be read has
// no fields.
MappingExtension extend_mapping(std::string_view declared, std::string_view live);

}  // namespace naru::prepper
