#include "core/otlp/identity.h"

#include <gtest/gtest.h>

#include <set>

#include "core/otlp/build.h"

namespace naru::otlp {
namespace {

constexpr std::array<unsigned char, 16> kSource = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

std::string text(const DocumentId& id) {
  return {id.begin(), id.end()};
}

std::string any_string(std::string_view value) {
  std::string out;
  append_bytes_field(out, 1, value);
  return out;
}

// The worked example of docs/formats/identity.md.
TEST(Identity, MatchesTheDocumentedExample) {
  IdentityHasher hasher;
  EXPECT_EQ(text(hasher.source_log(kSource, 7, any_string("hello"), 0, "default")), "gsNGyQ7NmgQVycasw1KFaA");
}

TEST(Identity, EveryPartOfTheRecordCounts) {
  IdentityHasher hasher;
  std::set<std::string> ids;
  auto other = kSource;
  other[15] = 99;
  ids.insert(text(hasher.source_log(kSource, 7, any_string("hello"), 0, "default")));
  ids.insert(text(hasher.source_log(other, 7, any_string("hello"), 0, "default")));
  ids.insert(text(hasher.source_log(kSource, 8, any_string("hello"), 0, "default")));
  ids.insert(text(hasher.source_log(kSource, 7, any_string("hellp"), 0, "default")));
  ids.insert(text(hasher.source_log(kSource, 7, any_string("hello"), 1, "default")));
  ids.insert(text(hasher.source_log(kSource, 7, any_string("hello"), 0, "web")));
  ids.insert(text(hasher.source_log(kSource, 7, any_string("hello"), 0, "default", 1)));
  EXPECT_EQ(ids.size(), 7U);
}

TEST(Identity, NeighbouringPartsNeverRunTogether) {
  IdentityHasher hasher;
  const Hash128 resource = xxh3_128("r");
  const Hash128 attributes = xxh3_128("a");
  EXPECT_NE(text(hasher.metric_point(resource, "ab", "c", attributes, 1, "p", "o")),
            text(hasher.metric_point(resource, "a", "bc", attributes, 1, "p", "o")));
}

TEST(Identity, AttributeOrderDoesNotCount) {
  std::string ab, ba, other;
  append_string_attribute(ab, kResourceAttributes, "a", "1");
  append_string_attribute(ab, kResourceAttributes, "b", "2");
  append_string_attribute(ba, kResourceAttributes, "b", "2");
  append_string_attribute(ba, kResourceAttributes, "a", "1");
  append_string_attribute(other, kResourceAttributes, "a", "2");
  append_string_attribute(other, kResourceAttributes, "b", "1");
  AttributeSorter scratch;
  const auto hash = [&](const std::string& resource) {
    return hash_attributes(Attributes(resource, kResourceAttributes), scratch).value();
  };
  EXPECT_EQ(hash(ab), hash(ba));
  EXPECT_NE(hash(ab), hash(other));
}

}  // namespace
}  // namespace naru::otlp
