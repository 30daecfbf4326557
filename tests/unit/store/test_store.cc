#include "tests/unit/store/test_store.h"

namespace naru::store {

namespace dom = simdjson::dom;

std::string difference(dom::element expected, dom::element actual, const std::string& path) {
  std::string_view text;
  if (expected.get(text) == simdjson::SUCCESS && text == "*") {
    return {};
  }
  dom::object object;
  dom::array list;
  if (expected.get(object) == simdjson::SUCCESS) {
    if (!actual.is_object()) {
      return path + ": expected an object, got " + simdjson::minify(actual);
    }
    for (auto [key, value] : object) {
      dom::element member;
      if (dom::object(actual).at_key(key).get(member) != simdjson::SUCCESS) {
        return path + "." + std::string(key) + ": missing in " + simdjson::minify(actual);
      }
      if (std::string found = difference(value, member, path + "." + std::string(key)); !found.empty()) {
        return found;
      }
    }
    return {};
  }
  if (expected.get(list) == simdjson::SUCCESS) {
    dom::array other;
    if (actual.get(other) != simdjson::SUCCESS || other.size() != list.size()) {
      return path + ": expected " + simdjson::minify(expected) + ", got " + simdjson::minify(actual);
    }
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (std::string found =
              difference(list.at(i).value(), other.at(i).value(), path + "[" + std::to_string(i) + "]");
          !found.empty()) {
        return found;
      }
    }
    return {};
  }
  const std::string want = simdjson::minify(expected);
  const std::string got = simdjson::minify(actual);
  return want == got ? std::string() : path + ": expected " + want + ", got " + got;
}

std::string difference(const std::string& expected, const std::string& actual) {
  dom::parser first;
  dom::parser second;
  dom::element want;
  dom::element got;
  if (first.parse(expected).get(want) != simdjson::SUCCESS) {
    return "the expected text is no JSON: " + expected;
  }
  if (second.parse(actual).get(got) != simdjson::SUCCESS) {
    return "no JSON: " + actual;
  }
  return difference(want, got);
}

}  // namespace naru::store
