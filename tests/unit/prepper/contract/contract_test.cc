#include "prepper/contract/contract.h"

#include <gtest/gtest.h>

#include "tests/unit/prepper/otlp_text.h"

namespace naru::prepper {
namespace {

const std::vector<Promoted> kRegistry = {
    {"service.name", "service_name", FieldType::kKeyword},
    {"service.name", "serviceName", FieldType::kKeyword},
    {"http.response.status_code", "http_response_status_code", FieldType::kLong},
    {"duration_ms", "duration_ms", FieldType::kDouble}};

std::shared_ptr<const Contract> compiled(std::string_view mapping) {
  auto contract = Contract::compile(mapping, kRegistry);
  EXPECT_TRUE(contract) << contract.error().message();
  return contract ? *contract : nullptr;
}

TEST(Contract, KnowsOnlyTheFieldsOfItsIndex) {
  const auto contract = compiled(
      R"({"idx":{"mappings":{"properties":{"serviceName":{"type":"keyword"},"body":{"type":"text"}}}}})");
  ASSERT_EQ(contract->slots().size(), 1u);
  EXPECT_EQ(contract->slots()[0].member, ",\"serviceName\":");
  EXPECT_EQ(contract->find("service.name"), 0);
  EXPECT_EQ(contract->find("duration_ms"), -1);
  EXPECT_EQ(contract->find(""), -1);
}

TEST(Contract, TakesTheTypeOfTheIndexNotOfTheRegistry) {
  const auto contract = compiled(R"({"properties":{"http_response_status_code":{"type":"keyword"}}})");
  EXPECT_EQ(contract->slots()[0].type, FieldType::kKeyword);
}

TEST(Contract, LeavesFieldsOutWhoseTypeCannotBePromotedTo) {
  EXPECT_TRUE(
      compiled(R"({"properties":{"duration_ms":{"type":"geo_point"},"service_name":{"properties":{}}}})")
          ->slots()
          .empty());
}

TEST(Contract, ReadsTemplatesAndRefusesWhatIsNoMapping) {
  EXPECT_EQ(compiled(R"({"template":{"mappings":{"properties":{"duration_ms":{"type":"double"}}}}})")
                ->slots()
                .size(),
            1u);
  EXPECT_EQ(Contract::compile("[]", kRegistry).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(Contract::compile("{", kRegistry).error().code(), ErrorCode::kInvalidArgument);
}

struct Coercion {
  FieldType type;
  std::string value;
  std::string written;  // empty: refused
};
class Coerced : public testing::TestWithParam<Coercion> {};

TEST_P(Coerced, Value) {
  const Coercion& c = GetParam();
  otlp::AnyValue value;
  ASSERT_TRUE(otlp::parse(c.value, value));
  JsonOut out;
  const Refusal refusal = write_promoted(out, {"f", c.type, ",\"f\":"}, value);
  EXPECT_EQ(refusal, c.written.empty() ? Refusal::kWrongType : Refusal::kNone);
  EXPECT_EQ(out.view(), c.written.empty() ? "" : ",\"f\":" + c.written);
}

INSTANTIATE_TEST_SUITE_P(
    All, Coerced,
    testing::Values(
        Coercion{FieldType::kLong, integer(-7), "-7"}, Coercion{FieldType::kLong, text("404"), "404"},
        Coercion{FieldType::kLong, text("4xx"), ""}, Coercion{FieldType::kLong, text(""), ""},
        Coercion{FieldType::kLong, text("99999999999999999999"), ""},
        Coercion{FieldType::kLong, real(2), "2"}, Coercion{FieldType::kLong, real(2.5), ""},
        Coercion{FieldType::kLong, real(1e300), ""}, Coercion{FieldType::kLong, boolean(true), ""},
        Coercion{FieldType::kDouble, integer(3), "3"}, Coercion{FieldType::kDouble, text("1.5e3"), "1500"},
        Coercion{FieldType::kDouble, text("inf"), ""}, Coercion{FieldType::kDouble, real(1.0 / 0), ""},
        Coercion{FieldType::kKeyword, integer(3), "\"3\""},
        Coercion{FieldType::kKeyword, boolean(false), "\"false\""},
        Coercion{FieldType::kKeyword, list({text("a")}), ""},
        Coercion{FieldType::kBoolean, text("true"), "true"}, Coercion{FieldType::kBoolean, text("yes"), ""},
        Coercion{FieldType::kBoolean, boolean(false), "false"},
        Coercion{FieldType::kIp, text("::1"), "\"::1\""}, Coercion{FieldType::kIp, text("300.1.1.1"), ""},
        Coercion{FieldType::kDate, text("2026-11-21T01:02:03Z"), "\"2026-11-21T01:02:03.000000000Z\""},
        Coercion{FieldType::kDate, text("yesterday"), ""}));

TEST(Promoted, RegistryIsReadAndItsErrorsNameTheEntry) {
  const auto registry = parse_promoted("promoted:\n  - {from: a.b, type: long}\n");
  ASSERT_TRUE(registry);
  EXPECT_EQ(registry->at(0).field, "a_b");
  for (const char* bad : {"promoted: {}", "x: 1", "promoted: [1]", "promoted: [{from: a, type: text}]",
                          "promoted: [{type: long}]", "promoted: [{from: a, type: long, extra: 1}]",
                          "promoted: [{from: a, field: 'b c', type: long}]",
                          "promoted: [{from: a, type: long}, {from: a, type: long}]", "promoted: ["}) {
    const auto parsed = parse_promoted(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().code(), ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace naru::prepper
