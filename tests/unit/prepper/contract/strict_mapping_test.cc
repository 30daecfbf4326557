#include "prepper/contract/strict_mapping.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace naru::prepper {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view kMapping = R"({"mappings":{"dynamic":"strict","properties":{
  "n":{"type":"long"},"d":{"type":"double"},"b":{"type":"boolean"},"t":{"type":"date_nanos"},"k":{"type":"keyword"},
  "ip":{"type":"ip"},"o":{"properties":{"x":{"type":"keyword"}}},"bag":{"type":"flat_object"},
  "list":{"type":"nested","properties":{"x":{"type":"long"}}},"any":{"type":"object","enabled":false}}}})";

TEST(StrictMapping, TakesWhatOpenSearchTakes) {
  const StrictMapping mapping = *StrictMapping::parse(kMapping);
  EXPECT_EQ(mapping.fields(), 12u);
  EXPECT_THAT(
      mapping.refusals(R"({"n":1,"d":1.5,"b":true,"t":"2026-01-02T03:04:05Z","k":"x","ip":"::1","o":{"x":1},
                                   "bag":{"a":{"b":[1,"c"]}},"list":[{"x":1},{"x":2}],"any":{"z":[1]}})"),
      IsEmpty());
}

TEST(StrictMapping, SaysWhatOpenSearchWouldRefuse) {
  const StrictMapping mapping = *StrictMapping::parse(kMapping);
  const auto one = [&](std::string_view document) { return mapping.refusals(document).at(0); };
  EXPECT_THAT(one(R"({"new":1})"), HasSubstr("new: the mapping does not know it"));
  EXPECT_THAT(one(R"({"o":{"y":1}})"), HasSubstr("o.y"));
  EXPECT_THAT(one(R"({"o":1})"), HasSubstr("scalar"));
  EXPECT_THAT(one(R"({"n":"x"})"), HasSubstr("n: no whole number"));
  EXPECT_THAT(one(R"({"d":"x"})"), HasSubstr("d: no number"));
  EXPECT_THAT(one(R"({"b":"true"})"), HasSubstr("b: no boolean"));
  EXPECT_THAT(one(R"({"t":"2263-01-01T00:00:00Z"})"), HasSubstr("t: no date"));
  EXPECT_THAT(one(R"({"ip":"1.2.3"})"), HasSubstr("ip: no address"));
  EXPECT_THAT(one(R"({"k":{"a":1}})"), HasSubstr("an object"));
  EXPECT_THAT(one(R"({"bag":"x"})"), HasSubstr("flat_object"));
  EXPECT_THAT(one("{\"bag\":{\"a\":\"" + std::string(32'766, 'x') + "\"}}"), HasSubstr("32,766"));
  EXPECT_THAT(one("no"), HasSubstr("no JSON object"));
}

TEST(StrictMapping, ForbidsFielddataAndOpenMappings) {
  EXPECT_THAT(StrictMapping::parse(kMapping)->forbidden(), IsEmpty());
  const auto open =
      StrictMapping::parse(R"({"properties":{"a":{"properties":{"b":{"type":"text","fielddata":true}}}}})");
  EXPECT_THAT(open->forbidden(),
              ElementsAre(HasSubstr("a.b: fielddata: true"), HasSubstr("dynamic is 'true'")));
}

TEST(StrictMapping, ComparesTypesAndFields) {
  const auto here = StrictMapping::parse(R"({"properties":{"a":{"type":"long"},"b":{"type":"ip"}}})");
  const auto there = StrictMapping::parse(R"({"properties":{"a":{"type":"keyword"},"c":{"type":"ip"}}})");
  EXPECT_THAT(
      here->differences(*there),
      ElementsAre("a: long here, keyword there", "b: ip here, missing there", "c: missing here, ip there"));
  EXPECT_FALSE(StrictMapping::parse("{}"));
}

}  // namespace
}  // namespace naru::prepper
