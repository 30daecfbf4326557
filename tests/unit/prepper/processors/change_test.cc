// Processors that change fields, let records go, and look values up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/prepper/pipeline/running.h"
#include "tests/unit/prepper/processors/mmdb_writer.h"
#include "tests/unit/temp_dir.h"

namespace naru::prepper {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Fields, SetCopyMoveRenameRemoveKeep) {
  Running p(R"(
  - json: {}
  - set: {field: attributes.sum, expression: 'attributes.a + attributes.b * 2'}
  - set: {field: attributes.text, format: '%{attributes.a}/%{body}'}
  - set: {field: attributes.a, value: '9', overwrite: false}
  - copy: {from: attributes.a, to: attributes.a2}
  - rename: {from: attributes.b, to: 'attributes["b.new"]'}
  - move: {from: attributes.text, to: body}
  - remove: {fields: [attributes.gone]}
  - keep: {attributes: [sum, 'a*', b.new]}
)");
  p.run(R"({"a":1,"b":2,"gone":3,"other":4})");
  EXPECT_THAT(p.attributes(), ElementsAre("a=1", "sum=5", "a2=1", "b.new=2"));
  EXPECT_EQ(shown(p.event->body()), R"('1/{"a":1,"b":2,"gone":3,"other":4}')");
}

TEST(Fields, ConvertCaseSplitJoinTruncateSeverity) {
  Running p(R"(
  - json: {}
  - convert: {fields: [attributes.n, attributes.t], type: int}
  - convert: {fields: [attributes.d], type: double}
  - convert: {fields: [attributes.b], type: bool}
  - case: {fields: [attributes.u], to: upper}
  - split: {field: attributes.s}
  - split: {field: attributes.j, separator: '|'}
  - join: {field: attributes.j, separator: '+'}
  - truncate: {fields: [attributes.long], bytes_max: 4}
  - severity: {field: attributes.level}
)");
  p.run(
      R"({"n":" 12 ","t":true,"d":"1.5","b":"Yes","u":"abc가","s":"a, b ,c","j":"x|y","long":"ab가나","level":"Warning"})");
  EXPECT_THAT(p.attributes(), ElementsAre("n=12", "t=1", "d=1.5d", "b=true", "u='ABC가'", "s=['a','b','c']",
                                          "j='x+y'", "long='ab'", "level='Warning'"));
  EXPECT_EQ(p.event->log().severity_number, 13);
  p.run(R"({"n":"twelve"})");
  EXPECT_EQ(p.attribute("n"), "'twelve'");
  EXPECT_THAT(p.error(), HasSubstr("cannot be converted"));
}

TEST(Fields, TargetsRefuseWhatTheyCannotHold) {
  Running p(
      "  - set: {field: traceId, value: xyz}\n  - set: {field: severity.number, value: '99', type: int}\n"
      "  - set: {field: time, value: tomorrow}\n  - set: {field: spanId, value: '0102030405060708'}\n");
  p.run("x");
  EXPECT_EQ(p.counted("failures", "set"), 1u);  // of the first of three steps with that name
  EXPECT_TRUE(p.event->log().trace_id.empty());
  EXPECT_EQ(p.event->log().severity_number, 0);
  EXPECT_EQ(p.event->log().span_id.size(), 8u);
}

TEST(Drop, ByExpression) {
  Running p("  - drop: {when: 'contains(body, \"health\")'}\n");
  EXPECT_EQ(p.run("GET /health"), RunOutcome::kDropped);
  EXPECT_EQ(p.run("GET /pay"), RunOutcome::kDocument);
  EXPECT_EQ(p.counted("dropped"), 1u);
}

TEST(Sample, KeepsItsShareAndTheSameOnesEachTime) {
  Running p("  - sample: {keep: 0.25, by: [body]}\n");
  int kept = 0;
  for (int i = 0; i < 4'000; ++i) {
    const bool in = p.run("user " + std::to_string(i)) == RunOutcome::kDocument;
    EXPECT_EQ(p.run("user " + std::to_string(i)) == RunOutcome::kDocument, in);
    kept += in ? 1 : 0;
  }
  EXPECT_NEAR(kept, 1'000, 120);
}

TEST(Throttle, OfEachKeyByTheTimeOfReceipt) {
  Running p("  - throttle: {by: [body], rate: 10, burst: 2}\n");
  const auto passes = [&](const char* body) { return p.run(body) == RunOutcome::kDocument; };
  EXPECT_TRUE(passes("a"));
  EXPECT_TRUE(passes("a"));
  EXPECT_FALSE(passes("a"));
  EXPECT_TRUE(passes("b"));  // a key of its own
  p.scratch.now += kNanosPerSecond / 10;
  EXPECT_TRUE(passes("a"));
  EXPECT_FALSE(passes("a"));
  p.scratch.now -= kNanosPerSecond;  // a clock that went back gives nothing
  EXPECT_FALSE(passes("a"));
}

TEST(Dedupe, DropsOtherRecordsOfTheWindowButNotTheSameOneAgain) {
  Running p("  - dedupe: {by: [body], window: 1s}\n");
  EXPECT_EQ(p.run("x"), RunOutcome::kDocument);
  EXPECT_EQ(p.run("x"), RunOutcome::kDropped);
  EXPECT_EQ(p.run("y"), RunOutcome::kDocument);
  p.identity -= 3;  // the first record, read again after a crash or a rebalance
  EXPECT_EQ(p.run("x"), RunOutcome::kDocument);
  p.identity += 10;
  EXPECT_EQ(p.run("x"), RunOutcome::kDropped);
  p.scratch.now += kNanosPerSecond;
  EXPECT_EQ(p.run("x"), RunOutcome::kDocument);
}

class EnrichTest : public testing::Test {
 protected:
  std::string path(const char* name) const { return directory_ / name; }
  // Another inode each time, as tools that replace files do.
  void write(const char* name, std::string_view text) {
    std::filesystem::remove(path(name));
    std::ofstream(path(name)) << text;
  }
  test::TempDir directory_;
};

TEST_F(EnrichTest, FromCsvWithQuotesAndNewVersions) {
  write("t.csv", "name,team,note\nsvc-1,red,\"a, \"\"b\"\"\"\nsvc-2,,x\r\n\nsvc-1,second,y\n");
  Running p(
      "  - enrich: {table: t.csv, column: name, field: body, set: {team: attributes.team, note: "
      "attributes.note}}\n",
      "", path("p.yaml"));
  p.run("svc-1");
  EXPECT_THAT(p.attributes(), ElementsAre("note='a, \"b\"'", "team='red'"));
  p.run("svc-2");
  EXPECT_THAT(p.attributes(), ElementsAre("note='x'"));
  p.run("svc-3");
  EXPECT_THAT(p.attributes(), ElementsAre());

  write("t.csv", "team,name\nblue,svc-1\n");
  EXPECT_EQ(p.tables->refresh(), 0u);
  p.run("svc-1");
  EXPECT_THAT(p.attributes(), ElementsAre("team='blue'"));

  // A broken file keeps the last good version, and says so.
  write("t.csv", "team,name\nblue\n");
  EXPECT_EQ(p.tables->refresh(), 1u);
  EXPECT_THAT(p.tables->problems()[0], HasSubstr("line 2: 1 cells where the first row has 2"));
  p.run("svc-1");
  EXPECT_EQ(p.attribute("team"), "'blue'");
  std::filesystem::remove(path("t.csv"));
  EXPECT_EQ(p.tables->refresh(), 1u);
  p.run("svc-1");
  EXPECT_EQ(p.attribute("team"), "'blue'");
  write("t.csv", "team,name\ngreen,svc-1\n");
  EXPECT_EQ(p.tables->refresh(), 0u);
  p.run("svc-1");
  EXPECT_EQ(p.attribute("team"), "'green'");
}

TEST_F(EnrichTest, FromJsonByKeyAndFromRows) {
  write("by_key.json", R"({"7":{"team":"red","size":3}})");
  write("rows.json", R"([{"id":7,"on":true},{"id":8,"on":false}])");
  Running p(
      "  - enrich: {table: by_key.json, field: body, set: {team: attributes.team, size: attributes.size}}\n"
      "  - enrich: {table: rows.json, column: id, field: body, set: {on: attributes.on}}\n",
      "", path("p.yaml"));
  p.run("7");
  EXPECT_THAT(p.attributes(), ElementsAre("size=3", "team='red'", "on=true"));
}

TEST_F(EnrichTest, AFileThatIsMissingOrLacksAColumnIsAnErrorAtLoad) {
  write("t.csv", "name,team\n");
  const auto errors = [&](const std::string& options) {
    const PipelineSet::File file{path("p.yaml"),
                                 "name: p\nprocessors:\n  - enrich: {" + options + ", field: body}\n"};
    const auto compiled = PipelineSet::compile({&file, 1}, std::make_shared<EnrichmentStore>());
    return compiled ? "" : compiled.error().message();
  };
  EXPECT_THAT(errors("table: none.csv, column: a, set: {b: attributes.b}"), HasSubstr("none.csv"));
  EXPECT_THAT(errors("table: t.csv, column: id, set: {team: attributes.b}"), HasSubstr("no column 'id'"));
  EXPECT_THAT(errors("table: t.csv, column: name, set: {size: attributes.b}"), HasSubstr("no column 'size'"));
}

TEST_F(EnrichTest, GeoIpFromAMaxMindFileAndItsNextVersion) {
  using M = MmdbWriter;
  const auto city = [](const std::string& name, double latitude) {
    return M::map({{"city", M::map({{"names", M::map({{"en", M::text(name)}})}})},
                   {"country", M::map({{"iso_code", M::text("KR")},
                                       {"names", M::map({{"en", M::text("South Korea")}})}})},
                   {"location", M::map({{"latitude", M::real(latitude)}, {"longitude", M::real(127)}})},
                   {"autonomous_system_number", M::number(4766)}});
  };
  MmdbWriter writer;
  writer.add(203U << 24 | 113U << 8, 24, city("Seoul", 37.5));  // 203.0.113.0/24
  write("geo.mmdb", writer.finish("Test-City"));
  Running p("  - geoip: {database: geo.mmdb, field: body, prefix: client.}\n", "", path("p.yaml"));
  p.run("203.0.113.9");
  EXPECT_THAT(p.attributes(),
              ElementsAre("client.geo.country.iso_code='KR'", "client.geo.country.name='South Korea'",
                          "client.geo.locality.name='Seoul'", "client.geo.location.lat=37.5d",
                          "client.geo.location.lon=127d", "client.as.number=4766"));
  p.run("203.0.114.9");
  EXPECT_THAT(p.attributes(), ElementsAre());
  p.run("::ffff:203.0.113.9");
  p.run("nobody");
  EXPECT_THAT(p.error(), HasSubstr("no address"));

  MmdbWriter next;
  next.add(203U << 24 | 113U << 8, 24, city("Busan", 35.1));
  write("geo.mmdb", next.finish("Test-City"));
  EXPECT_EQ(p.tables->refresh(), 0u);
  p.run("203.0.113.9");
  EXPECT_EQ(p.attribute("client.geo.locality.name"), "'Busan'");
  write("geo.mmdb", "no database");
  EXPECT_EQ(p.tables->refresh(), 1u);
  p.run("203.0.113.9");
  EXPECT_EQ(p.attribute("client.geo.locality.name"), "'Busan'");
}

TEST(Throttle, BlockAsksTheWorkerToWaitAndDropsNothing) {
  Running p("  - throttle: {rate: 10, burst: 1, excess: block}\n");
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(p.run("x"), RunOutcome::kDocument);
  }
  EXPECT_EQ(p.scratch.delay, kNanosPerSecond);  // at most
}

}  // namespace
}  // namespace naru::prepper
