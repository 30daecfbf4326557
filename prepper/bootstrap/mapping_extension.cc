#include "prepper/bootstrap/mapping_extension.h"

#include <fmt/format.h>
#include <simdjson.h>

#include "core/base/json_text.h"
#include "prepper/contract/mapping_json.h"

namespace naru::prepper {
namespace {

using simdjson::dom::element;
using simdjson::dom::object;

std::string_view type_of(const element& field) {
  std::string_view type;
  return field["type"].get(type) == simdjson::SUCCESS ? type : std::string_view("object");
}

// The members of `properties` that are missing; empty when none are.
std::string missing(object declared, object live, const std::string& path, MappingExtension& out) {
  std::string members;
  const auto add = [&](std::string_view name, const std::string& value) {
    members += fmt::format("{}{}:{}", members.empty() ? "" : ",", json_string(name), value);
  };
  for (const auto& [name, field] : declared) {
    const std::string full = path + std::string(name);
    element there;
    if (live.at_key(name).get(there) != simdjson::SUCCESS) {
      out.added.push_back(full);
      add(name, simdjson::minify(field));
      continue;
    }
    if (type_of(field) != type_of(there)) {
      out.conflicts.push_back(fmt::format("{}: {} here, {} declared", full, type_of(there), type_of(field)));
      continue;
    }
    object inner, inner_there;
    if (field["properties"].get(inner) == simdjson::SUCCESS &&
        there["properties"].get(inner_there) == simdjson::SUCCESS) {
      if (const std::string below = missing(inner, inner_there, full + ".", out); !below.empty()) {
        add(name, fmt::format("{{\"properties\":{{{}}}}}", below));
      }
    }
  }
  return members;
}

}  // namespace

MappingExtension extend_mapping(std::string_view declared, std::string_view live) {
  MappingExtension out;
  simdjson::dom::parser declared_parser, live_parser;
  const simdjson::padded_string declared_text(declared), live_text(live);
  element declared_root, live_root;
  object wanted, there;
  if (declared_parser.parse(declared_text).get(declared_root) != simdjson::SUCCESS ||
      live_parser.parse(live_text).get(live_root) != simdjson::SUCCESS ||
      find_mapping(declared_root)["properties"].get(wanted) != simdjson::SUCCESS ||
      find_mapping(live_root)["properties"].get(there) != simdjson::SUCCESS) {
    return out;
  }
  if (const std::string members = missing(wanted, there, "", out); !members.empty()) {
    out.body = fmt::format("{{\"properties\":{{{}}}}}", members);
  }
  return out;
}

}  // namespace naru::prepper
