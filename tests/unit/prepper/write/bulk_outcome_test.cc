#include "prepper/write/bulk_outcome.h"

#include <gtest/gtest.h>

namespace naru::prepper {
namespace {

std::string item(int status, std::string_view type, std::string_view reason = "") {
  return "{\"create\":{\"_index\":\"i\",\"status\":" + std::to_string(status) + ",\"error\":{\"type\":\"" +
         std::string(type) + "\",\"reason\":\"" + std::string(reason) + "\"}}}";
}
net::HttpResponse answer(const std::string& items) {
  return net::json_response(200, "{\"took\":3,\"errors\":true,\"items\":[" + items + "]}");
}

// The first test that issue 5 asks for.
TEST(BulkOutcome, TellsTheItemsOfAMixedAnswerApartByTheirPosition) {
  BulkReader reader;
  const BulkOutcome outcome = reader.read(
      answer(R"({"create":{"_index":"i","status":201}},)" + item(409, "version_conflict_engine_exception") +
             "," + item(429, "rejected_execution_exception") + "," +
             item(400, "mapper_parsing_exception", "failed") + "," +
             item(503, "unavailable_shards_exception")),
      5);
  ASSERT_EQ(outcome.request, RequestVerdict::kItems);
  ASSERT_EQ(outcome.items.size(), 5u);
  EXPECT_EQ(outcome.items[0].verdict, Verdict::kCreated);
  EXPECT_EQ(outcome.items[1].verdict, Verdict::kDuplicate);
  EXPECT_EQ(outcome.items[2].verdict, Verdict::kOverloaded);
  EXPECT_EQ(outcome.items[3].verdict, Verdict::kDocument);
  EXPECT_EQ(outcome.items[3].type, "mapper_parsing_exception");
  EXPECT_EQ(outcome.items[3].reason, "failed");
  EXPECT_EQ(outcome.items[4].verdict, Verdict::kUnavailable);
  EXPECT_FALSE(outcome.all_created);
}

struct ItemRow {
  int status;
  const char* type;
  const char* reason;
  Verdict verdict;
};
// The same answer in pieces of any size means the same.
TEST(BulkOutcome, ReadsAnAnswerInPiecesOfAnySize) {
  const std::string long_reason(2'000, 'r');
  const std::string body =
      "\n { \"took\" : -3.5e2 , "
      "\"errors\":true,\"other\":[1,[],{},{\"items\":[{}]},null,false,\"\\\"]\"],\n" +
      std::string(
          R"("items":[{"create":{"_index":"i","_shards":{"status":7,"error":{"type":"no"}},"status":201}},)") +
      R"({"create":{"error":{"root_cause":[{"type":"x","reason":"y"}],"type":"mapper_parsing_exception",)"
      R"("reason":"tab\t quote\" \u00e9 \uD83D\uDE00 \uD83D","caused_by":{"type":"n","reason":"inner",)"
      R"("caused_by":{"type":"m","reason":"innermost"}}},"status":400}},)" +
      item(503, "unavailable_shards_exception", long_reason) + R"(,{"create":{"status":200}}] } )";
  for (std::size_t piece = 1; piece <= body.size(); piece = piece < 40 ? piece + 1 : piece * 2) {
    BulkReader reader;
    reader.begin(200, 4);
    for (std::size_t at = 0; at < body.size(); at += piece) {
      reader.feed(std::string_view(body).substr(at, piece));
    }
    const BulkOutcome outcome = reader.finish();
    ASSERT_EQ(outcome.request, RequestVerdict::kItems) << outcome.reason;
    ASSERT_EQ(outcome.items.size(), 4u);
    EXPECT_EQ(outcome.items[0].verdict, Verdict::kCreated);
    EXPECT_EQ(outcome.items[1].verdict, Verdict::kDocument);
    EXPECT_EQ(outcome.items[1].type, "mapper_parsing_exception");
    EXPECT_EQ(outcome.items[1].reason,
              "tab\t quote\" \u00e9 \U0001F600 ; caused by: inner; caused by: innermost");
    EXPECT_EQ(outcome.items[2].reason, long_reason.substr(0, 512));
    EXPECT_EQ(outcome.items[3].verdict, Verdict::kCreated);
    EXPECT_EQ(outcome.items[3].type, "");
  }
}

// Whatever is missing at its end, an answer that breaks off says nothing.
TEST(BulkOutcome, TrustsNoAnswerThatBreaksOff) {
  const std::string body =
      answer(item(400, "mapper_parsing_exception", "no") + R"(,{"create":{"status":201}})").body;
  BulkReader reader;
  for (std::size_t size = 0; size < body.size(); ++size) {
    EXPECT_EQ(reader.read(net::json_response(200, body.substr(0, size)), 2).request, RequestVerdict::kResend);
  }
  EXPECT_EQ(reader.read(net::json_response(200, body), 2).request, RequestVerdict::kItems);
  EXPECT_EQ(reader.read(net::json_response(200, body + "}"), 2).request, RequestVerdict::kResend);
  for (const char* broken :
       {"{\"items\":[{\"create\":{\"status\":2o1}}]}", "{\"items\":[{\"create\":{\"status\":201]}]}",
        "{\"items\":[{\"create\":{\"status\":\"201\"}}]}", "{\"items\":[201]}", "[201]", "201",
        "{\"items\":[{\"create\":{\"status\":201},\"index\":{\"status\":201}}]}",
        "{\"items\":[{\"create\":{\"status\":201}},]}", "{items:[]}", "{\"x\":\"\\q\"}"}) {
    EXPECT_EQ(reader.read(net::json_response(200, broken), 1).request, RequestVerdict::kResend) << broken;
  }
  EXPECT_EQ(reader.read(net::json_response(200, std::string(100'000, '[')), 1).request,
            RequestVerdict::kResend);
}

TEST(BulkOutcome, CutsALongReasonAtACharacter) {
  BulkReader reader;
  std::string reason(511, 'r');
  reason += "\u00e9\u00e9";
  const BulkOutcome outcome = reader.read(answer(item(503, "x", reason)), 1);
  EXPECT_EQ(outcome.items.at(0).reason, std::string(511, 'r'));
}

class ItemTable : public testing::TestWithParam<ItemRow> {};

TEST_P(ItemTable, IsClassified) {
  const ItemRow& row = GetParam();
  EXPECT_EQ(classify_item(row.status, row.type, row.reason), row.verdict);
}

INSTANTIATE_TEST_SUITE_P(
    EveryRow, ItemTable,
    testing::Values(
        ItemRow{200, "", "", Verdict::kCreated}, ItemRow{201, "", "", Verdict::kCreated},
        ItemRow{409, "version_conflict_engine_exception", "", Verdict::kDuplicate},
        ItemRow{429, "rejected_execution_exception", "", Verdict::kOverloaded},
        ItemRow{429, "es_rejected_execution_exception", "", Verdict::kOverloaded},
        ItemRow{429, "cluster_block_exception", "flood stage", Verdict::kFloodStage},
        ItemRow{409, "", "", Verdict::kDuplicate},
        ItemRow{409, "resource_conflict_exception", "another conflict", Verdict::kHold},
        ItemRow{429, "circuit_breaking_exception", "Data too large", Verdict::kOverloaded},
        ItemRow{403, "cluster_block_exception", "index read-only", Verdict::kWriteBlocked},
        ItemRow{403, "security_exception", "no permissions", Verdict::kHold},
        ItemRow{503, "unavailable_shards_exception", "", Verdict::kUnavailable},
        ItemRow{500, "node_not_connected_exception", "", Verdict::kUnavailable},
        ItemRow{502, "", "", Verdict::kUnavailable}, ItemRow{504, "", "", Verdict::kUnavailable},
        ItemRow{400, "mapper_parsing_exception", "failed to parse field", Verdict::kDocument},
        ItemRow{400, "document_parsing_exception", "", Verdict::kDocument},
        ItemRow{400, "strict_dynamic_mapping_exception", "", Verdict::kDocument},
        ItemRow{400, "illegal_argument_exception", "Document contains at least one immense term in field",
                Verdict::kDocument},
        ItemRow{400, "illegal_argument_exception",
                "DocValuesField \"attributes._valueAndPath\" is too large, must be <= 32766",
                Verdict::kDocument},
        ItemRow{400, "illegal_argument_exception", "Limit of total fields [1000] has been exceeded",
                Verdict::kHold},
        ItemRow{400, "mapper_parsing_exception",
                "x; caused by: Limit of total fields [1000] has been exceeded", Verdict::kHold},
        ItemRow{400, "illegal_argument_exception", "no write index is defined for alias", Verdict::kHold},
        ItemRow{400, "validation_exception", "this action would add [2] total shards", Verdict::kHold},
        ItemRow{400, "index_closed_exception", "closed", Verdict::kHold},
        ItemRow{404, "index_not_found_exception", "", Verdict::kMissingIndex},
        ItemRow{404, "shard_not_found_exception", "", Verdict::kHold}, ItemRow{405, "", "", Verdict::kHold}));

struct RequestRow {
  int status;
  const char* body;
  RequestVerdict verdict;
};
class RequestTable : public testing::TestWithParam<RequestRow> {};

TEST_P(RequestTable, IsClassified) {
  BulkReader reader;
  net::HttpResponse response;
  response.status = GetParam().status;
  response.body = GetParam().body;
  const BulkOutcome outcome = reader.read(response, 1);
  EXPECT_EQ(outcome.request, GetParam().verdict);
  EXPECT_NE(outcome.reason.find(std::to_string(GetParam().status)), std::string::npos) << outcome.reason;
}

INSTANTIATE_TEST_SUITE_P(
    EveryRow, RequestTable,
    testing::Values(
        RequestRow{400, R"({"error":{"type":"illegal_argument_exception","reason":"Malformed action"}})",
                   RequestVerdict::kBisect},
        RequestRow{413, "too large", RequestVerdict::kHalve},
        RequestRow{429, "{}", RequestVerdict::kOverloaded},
        RequestRow{429, R"({"error":{"root_cause":[],"type":"rejected_execution_exception","reason":"no"}})",
                   RequestVerdict::kOverloaded},
        RequestRow{429, R"({"error":{"type":"circuit_breaking_exception","reason":"Data too large"}})",
                   RequestVerdict::kTooHeavy},
        RequestRow{429, R"({"error":{"type":"cluster_block_exception","reason":"flood"}})",
                   RequestVerdict::kFloodStage},
        RequestRow{503, R"({"error":"a plain text"})", RequestVerdict::kResend},
        RequestRow{403, R"({"error":{"type":"cluster_block_exception","reason":"flood"}})",
                   RequestVerdict::kFloodStage},
        RequestRow{403, R"({"error":{"type":"security_exception","reason":"no"}})", RequestVerdict::kHold},
        RequestRow{403, "Forbidden", RequestVerdict::kHold},
        RequestRow{401, "Unauthorized", RequestVerdict::kHold}, RequestRow{404, "{}", RequestVerdict::kHold},
        RequestRow{302, "", RequestVerdict::kHold}, RequestRow{500, "", RequestVerdict::kResend},
        RequestRow{502, "<html>", RequestVerdict::kResend}, RequestRow{503, "{}", RequestVerdict::kResend},
        RequestRow{504, "", RequestVerdict::kResend}));

TEST(BulkOutcome, ResendsAfterAnyFailureWithoutAnAnswer) {
  BulkReader reader;
  for (const ErrorCode code :
       {ErrorCode::kTimeout, ErrorCode::kUnavailable, ErrorCode::kIo, ErrorCode::kTooLarge}) {
    const BulkOutcome outcome = reader.read(fail(code, "no answer"), 3);
    EXPECT_EQ(outcome.request, RequestVerdict::kResend);
    EXPECT_EQ(outcome.reason, "no answer");
  }
}

TEST(BulkOutcome, TrustsNoAnswerWithAnotherNumberOfItems) {
  BulkReader reader;
  const std::string one = R"({"create":{"status":201}})";
  EXPECT_EQ(reader.read(answer(one), 2).request, RequestVerdict::kResend);
  EXPECT_EQ(reader.read(answer(one + "," + one + "," + one), 2).request, RequestVerdict::kResend);
  EXPECT_EQ(reader.read(net::json_response(200, "{}"), 2).request, RequestVerdict::kResend);
  EXPECT_EQ(reader.read(net::json_response(200, "{\"items\":["), 1).request, RequestVerdict::kResend);
  EXPECT_EQ(reader.read(answer(R"({"create":{}})"), 1).request, RequestVerdict::kResend);
  EXPECT_TRUE(reader.read(answer(one + "," + one), 2).all_created);
}

TEST(BulkOutcome, ReadsTheInnermostCauses) {
  BulkReader reader;
  const BulkOutcome outcome = reader.read(
      answer(
          R"({"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"failed to parse",)"
          R"("caused_by":{"type":"illegal_argument_exception","reason":"Limit of total fields [1] has been exceeded"}}}})"),
      1);
  EXPECT_EQ(outcome.items.at(0).reason,
            "failed to parse; caused by: Limit of total fields [1] has been exceeded");
  EXPECT_EQ(outcome.items.at(0).verdict, Verdict::kHold);
}

}  // namespace
}  // namespace naru::prepper
