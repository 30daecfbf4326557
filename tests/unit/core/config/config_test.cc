#include "core/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <fstream>

#include "core/config/address.h"
#include "tests/unit/temp_dir.h"

namespace naru::config {
namespace example {

enum class Codec { kNone, kZstd };

struct Broker {
  std::string name;
  std::uint16_t port = 9092;
};
void describe(Schema<Broker>& s) {
  s.field("name", &Broker::name, "Host of the broker.").required().example("kafka-1");
  s.field("port", &Broker::port, "Its port.").min(1);
}

struct Auth {
  std::string user;
  std::string password;
};
void describe(Schema<Auth>& s) {
  s.field("user", &Auth::user, "User name.");
  s.secret("password", &Auth::password, "Password of the user.").min(8);
}
void validate(const Auth& auth, Errors& errors) {
  if (auth.user.empty() != auth.password.empty()) {
    errors.add("user", "goes together with password; give both or none");
  }
}

struct Config {
  std::string listen = "127.0.0.1:80";
  bool fast = true;
  int threads = 2;
  double ratio = 0.5;
  std::size_t buffer = 64u << 20;
  std::chrono::milliseconds wait{250};
  Codec codec = Codec::kZstd;
  Auth auth;
  std::vector<Broker> brokers;
  std::map<std::string, std::string> properties;
  std::optional<std::chrono::seconds> limit;
  std::vector<std::string> tags = {"a"};
};
void describe(Schema<Config>& s) {
  s.field("listen", &Config::listen, "Where it listens.").check(check_address);
  s.field("fast", &Config::fast, "Whether it hurries.");
  s.field("threads", &Config::threads, "Workers.").min(1).max(64);
  s.field("ratio", &Config::ratio, "Share | part.").min(0).max(1);
  s.bytes("buffer", &Config::buffer, "Memory.").min(1024);
  s.field("wait", &Config::wait, "Pause.").max(std::chrono::seconds{5});
  s.choice("codec", &Config::codec, "Compression.", {{"none", Codec::kNone}, {"zstd", Codec::kZstd}});
  s.field("auth", &Config::auth, "Credentials.");
  s.field("brokers", &Config::brokers, "Peers.").max(2);
  s.field("properties", &Config::properties, "Passed on.");
  s.field("limit", &Config::limit, "Longest run.").min(std::chrono::seconds{1});
  s.field("tags", &Config::tags, "Words.");
}
void validate(const Config& config, Errors& errors) {
  if (config.threads > 10 && !config.fast) {
    errors.add("threads", "are pointless when fast is false; lower them");
  }
  for (std::size_t i = 0; i < config.tags.size(); ++i) {
    if (config.tags[i] == "bad") {
      errors.add("tags[" + std::to_string(i) + "]", "is no good tag");
    }
  }
  if (config.properties.contains("a.bad.one")) {
    errors.add("properties.a.bad.one", "is no good property");
  }
}

}  // namespace example
namespace {

using example::Config;
using testing::HasSubstr;
using testing::Not;

Environment environment(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
}

Result<Config> load(const std::string& text, std::map<std::string, std::string> variables = {}) {
  return load_text<Config>(text, "c.yaml", environment(std::move(variables)));
}

std::string errors_of(const std::string& text, std::map<std::string, std::string> variables = {}) {
  const Result<Config> loaded = load(text, std::move(variables));
  return loaded ? "loaded" : loaded.error().message();
}

class ConfigFiles {
 public:
  std::string write(const std::string& name, const std::string& content) const {
    const std::string path = directory_ / name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

 private:
  test::TempDir directory_;
};

TEST(Load, GivesTheDefaultsForAnEmptyText) {
  for (const char* text : {"", "# nothing\n", "---\n", "~\n"}) {
    const Config config = load(text).value();
    EXPECT_EQ(config.listen, "127.0.0.1:80");
    EXPECT_EQ(config.buffer, 64u << 20);
    EXPECT_FALSE(config.limit.has_value());
  }
}

TEST(Load, ReadsEveryKindOfField) {
  const Config config = load(R"(
listen: "[::1]:0"
fast: false
threads: 8
ratio: 0.25
buffer: 1.5MiB
wait: 1s
codec: none
auth: {user: me, password: "12345678"}
brokers:
  - name: one
    port: 19092
  - {name: two}
properties:
  security.protocol: SSL
  batch.size: 1000
limit: 1m
tags: []
)")
                            .value();
  EXPECT_EQ(config.listen, "[::1]:0");
  EXPECT_FALSE(config.fast);
  EXPECT_EQ(config.threads, 8);
  EXPECT_EQ(config.ratio, 0.25);
  EXPECT_EQ(config.buffer, 3u << 19);
  EXPECT_EQ(config.wait, std::chrono::seconds{1});
  EXPECT_EQ(config.codec, example::Codec::kNone);
  EXPECT_EQ(config.auth.password, "12345678");
  ASSERT_EQ(config.brokers.size(), 2u);
  EXPECT_EQ(config.brokers[0].port, 19092);
  EXPECT_EQ(config.brokers[1].port, 9092);
  EXPECT_EQ(config.properties.at("security.protocol"), "SSL");
  EXPECT_EQ(config.properties.at("batch.size"), "1000");
  EXPECT_EQ(config.limit, std::chrono::seconds{60});
  EXPECT_TRUE(config.tags.empty());
}

TEST(Load, ReportsEveryErrorOfAFileInOnePassInTheOrderOfItsLines) {
  EXPECT_EQ(
      errors_of(R"(listen: nowhere
thread: 3
threads: 0
wait: 5
buffer: 64mb
fast: yes
codec: gzip
brokers:
  - port: 70000
limit: 100ms
ratio: half
threads: 4
tags: word
auth: [x]
)"),
      "c.yaml:1:9: listen: \"nowhere\" has no port; write host:port, such as 127.0.0.1:8080 or [::1]:8080\n"
      "c.yaml:2:1: thread: is no known key; did you mean \"threads\"?\n"
      "c.yaml:3:10: threads: is 0; it must be at least 1\n"
      "c.yaml:4:7: wait: \"5\" has no unit; write a duration, such as 5s or 250ms\n"
      "c.yaml:5:9: buffer: \"64mb\" has the unknown unit \"mb\"; write a size, such as 512KiB or 64MiB\n"
      "c.yaml:6:7: fast: \"yes\" is neither true nor false; write one of them\n"
      "c.yaml:7:8: codec: \"gzip\" is not known here; write \"none\" or \"zstd\"\n"
      "c.yaml:9:5: brokers[0].name: is missing; add it, such as `name: kafka-1`\n"
      "c.yaml:9:11: brokers[0].port: \"70000\" does not fit; write a number from 0 to 65535\n"
      "c.yaml:10:8: limit: \"100ms\" is too fine; write a multiple of 1s\n"
      "c.yaml:11:8: ratio: \"half\" is no number; write one, such as 10\n"
      "c.yaml:12:1: threads: is given twice, first in line 3; remove one of them\n"
      "c.yaml:13:7: tags: is a single value; write a list, one \"- item\" a line or [a, b]\n"
      "c.yaml:14:7: auth: is a list; write a section of \"key: value\" lines");
}

TEST(Load, HoldsTheLimitsOnBothSides) {
  EXPECT_TRUE(load("threads: 1"));
  EXPECT_TRUE(load("threads: 64"));
  EXPECT_THAT(errors_of("threads: 65"), HasSubstr("is 65; it must be at most 64"));
  EXPECT_TRUE(load("wait: 5s"));
  EXPECT_THAT(errors_of("wait: 5001ms"), HasSubstr("is 5s1ms; it must be at most 5s"));
  EXPECT_THAT(errors_of("buffer: 1023"), HasSubstr("is 1023B; it must be at least 1KiB"));
  EXPECT_THAT(errors_of("brokers: [{name: a}, {name: b}, {name: c}]"),
              HasSubstr("is 3 items; it must be at most 2 items"));
}

TEST(Load, SuggestsTheNearestKeyElseListsTheKnownOnes) {
  EXPECT_THAT(errors_of("bufer: 1KiB"), HasSubstr("did you mean \"buffer\"?"));
  EXPECT_THAT(errors_of("auth: {paswsord_file: x}"), HasSubstr("did you mean \"password_file\"?"));
  EXPECT_THAT(errors_of("auth: {certificate: x}"),
              HasSubstr("is no known key; remove it (known here: user, password, password_file)"));
}

TEST(Load, MissesWhatIsRequiredInsideAnAbsentSection) {
  struct Outer {
    example::Broker broker;
  };
  Table table;
  Schema<Outer>(table).field("broker", &Outer::broker, "The peer.");
  Outer out;
  EXPECT_THAT(load_into(table, "", "c.yaml", environment({}), &out).error().message(),
              HasSubstr("c.yaml:1:1: broker.name: is missing"));
}

TEST(Load, NeedsAValueBehindAKey) {
  EXPECT_THAT(errors_of("threads:\n"), HasSubstr("has no value; write whole number, or remove the key"));
  EXPECT_TRUE(load("limit:\nauth:\nbrokers:\nproperties:\n"));
}

TEST(Load, RunsChecksBetweenFieldsOnlyOnSoundOnes) {
  EXPECT_EQ(errors_of("fast: false\nthreads: 11"),
            "c.yaml:2:10: threads: are pointless when fast is false; lower them");
  EXPECT_THAT(errors_of("auth: {user: me}"),
              HasSubstr("c.yaml:1:14: auth.user: goes together with password"));
  EXPECT_EQ(errors_of("auth: {user: [], password: \"12345678\"}"),
            "c.yaml:1:14: auth.user: is a list; write text");
}

TEST(Load, FindsTheLineOfAnItemAndOfAKeyWithDots) {
  EXPECT_EQ(errors_of("tags:\n  - good\n  - bad\nproperties:\n  a: 1\n  a.bad.one: 2\n"),
            "c.yaml:3:5: tags[1]: is no good tag\nc.yaml:6:14: properties.a.bad.one: is no good property");
}

TEST(Load, ReplacesVariablesInValuesAfterParsing) {
  const Config config =
      load("threads: ${N}\nlisten: ${HOST:-127.0.0.1}:${PORT:-81}\nproperties: {a: \"x${E}y\"}\n",
           {{"N", "3"}, {"PORT", ""}, {"E", "1\nthreads: 9 # {"}})
          .value();
  EXPECT_EQ(config.threads, 3);
  EXPECT_EQ(config.listen, "127.0.0.1:81");
  EXPECT_EQ(config.properties.at("a"), "x1\nthreads: 9 # {y");
}

TEST(Load, LeavesKeysAndEscapedVariablesAlone) {
  const Config config = load("properties: {\"${A}\": \"$${A} $5 $\"}").value();
  EXPECT_EQ(config.properties.at("${A}"), "${A} $5 $");
}

TEST(Load, MissesAVariableWithoutADefault) {
  EXPECT_EQ(errors_of("threads: ${N}"),
            "c.yaml:1:10: threads: the environment variable N is not set; set it, or write ${N:-default}");
  EXPECT_THAT(errors_of("listen: ${not a name}"), HasSubstr("write $${ for a literal ${"));
  EXPECT_THAT(errors_of("listen: ${OPEN"), HasSubstr("write $${ for a literal ${"));
}

TEST(Load, NamesThePlaceOfBrokenYaml) {
  EXPECT_THAT(errors_of("threads: [1\n"), HasSubstr("this is no valid YAML"));
  EXPECT_THAT(errors_of("a: b: c"), HasSubstr("c.yaml:1:5: this is no valid YAML"));
  EXPECT_THAT(errors_of("just text"), HasSubstr("c.yaml:1:1: is a single value; write a section"));
  EXPECT_THAT(errors_of("threads: 1\n---\nthreads: 2\n"), HasSubstr("second YAML document"));
  // Of this yaml-cpp makes documents without an end.
  EXPECT_THAT(errors_of("   ,    threads: 1"), HasSubstr("has no place in YAML"));
  EXPECT_THAT(errors_of("? [a, b]\n: c\n"), HasSubstr("has a key that is no text"));
}

TEST(Load, EndsOnATreeThatGrowsByAliases) {
  std::string text = "tags: &a0 [x]\n";
  for (int i = 1; i < 12; ++i) {
    text += "t" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 9; ++j) {
      text += (j == 0 ? "*a" : ", *a") + std::to_string(i - 1);
    }
    text += "]\n";
  }
  EXPECT_THAT(errors_of(text), HasSubstr("more than 100000 nodes"));
}

TEST(Load, EndsOnAnAnchorThatHoldsItsOwnAlias) {
  EXPECT_THAT(errors_of("tags: &a [*a]\n"), HasSubstr("is nested deeper than 64"));
  EXPECT_THAT(errors_of("tags: &a {b: *a}\n"), HasSubstr("an anchor must not hold its own alias"));
  const std::string often = errors_of("tags: &a [*a, *a]\n");
  EXPECT_EQ(often.find("nested deeper"), often.rfind("nested deeper")) << often;
}

TEST(Load, EndsOnDeepNesting) {
  EXPECT_NE(errors_of(std::string(100'000, '[')), "loaded");
}

TEST(Load, KeepsABoundedNumberOfErrors) {
  std::string text;
  for (int i = 0; i < 300; ++i) {
    text += "unknown_key_" + std::to_string(i) + ": 1\n";
  }
  EXPECT_THAT(errors_of(text), HasSubstr("c.yaml: and 100 more errors"));
}

TEST(Secrets, ComeFromAFileWithoutItsLastLineFeed) {
  const ConfigFiles directory;
  const std::string path = directory.write("password", "12345678\n\n");
  EXPECT_EQ(load("auth: {user: me, password_file: " + path + "}").value().auth.password, "12345678\n");
  EXPECT_THAT(errors_of("auth: {user: me, password_file: " + path + ", password: \"12345678\"}"),
              HasSubstr("auth.password_file: is given beside auth.password; remove one of them"));
  EXPECT_THAT(errors_of("auth: {user: me, password_file: /nonexistent/p}"),
              HasSubstr("auth.password_file: /nonexistent/p does not exist; check the path"));
}

TEST(Secrets, AreNeverShown) {
  EXPECT_THAT(errors_of("auth: {user: me, password: secret}"),
              HasSubstr("auth.password: is out of its bounds; it must be at least 8 characters"));
  EXPECT_THAT(errors_of("auth: {user: me, password: secret}"), Not(HasSubstr("secret}")));
}

TEST(LoadFile, NamesAFileThatCannotBeRead) {
  EXPECT_EQ(load_file<Config>("/nonexistent/c.yaml").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(load_file<Config>("/").error().code(), ErrorCode::kIo);
  const ConfigFiles directory;
  const std::string path = directory.write("c.yaml", "threads: 5\n");
  EXPECT_EQ(load_file<Config>(path).value().threads, 5);
  EXPECT_THAT(load_file<Config>(directory.write("d.yaml", "x: 5\n")).error().message(),
              HasSubstr("d.yaml:1:1: x: "));
}

TEST(JsonSchema, IsJsonAndKnowsEveryKey) {
  simdjson::dom::parser parser;
  const std::string text = json_schema<Config>("example");
  simdjson::dom::element schema;
  ASSERT_EQ(parser.parse(text).get(schema), simdjson::SUCCESS) << text;
  const auto at = [&](const char* pointer) { return simdjson::to_string(schema.at_pointer(pointer)); };
  EXPECT_EQ(at("/title"), "\"example\"");
  EXPECT_EQ(at("/additionalProperties"), "false");
  EXPECT_EQ(at("/properties/threads/anyOf/0"), R"({"type":"integer","minimum":1,"maximum":64})");
  EXPECT_EQ(at("/properties/threads/default"), "2");
  EXPECT_EQ(at("/properties/wait/default"), "\"250ms\"");
  EXPECT_EQ(at("/properties/codec/anyOf/0/enum"), R"(["none","zstd"])");
  EXPECT_EQ(at("/properties/brokers/items/required"), R"(["name"])");
  EXPECT_EQ(at("/properties/brokers/maxItems"), "2");
  EXPECT_EQ(at("/properties/auth/properties/password_file/type"), "\"string\"");
  EXPECT_EQ(at("/properties/properties/additionalProperties/type"), "\"string\"");
  EXPECT_EQ(at("/properties/tags/default"), "[\"a\"]");
}

TEST(ReferencePage, ShowsTheDefaultsThatTheOuterSectionGives) {
  struct Outer {
    example::Auth auth{.user = "naru", .password = "never shown"};
  };
  Table table;
  Schema<Outer>(table).field("auth", &Outer::auth, "Credentials.");
  const Outer defaults;
  const std::string page = reference_markdown_of(table, &defaults);
  EXPECT_THAT(page, HasSubstr("| `auth.user` | text | `naru` | User name. |\n"));
  EXPECT_THAT(page, Not(HasSubstr("never shown")));
  EXPECT_THAT(json_schema_of(table, "t", &defaults), HasSubstr(R"("type":"string","default":"naru")"));
}

TEST(ReferencePage, HasARowForEveryKey) {
  const std::string page = reference_markdown<Config>();
  EXPECT_THAT(page, HasSubstr("| `threads` | whole number, 1 to 64 | `2` | Workers. |\n"));
  EXPECT_THAT(page, HasSubstr("| `wait` | duration, at most 5s | `250ms` | Pause. |\n"));
  EXPECT_THAT(page, HasSubstr("| `ratio` | number, 0 to 1 | `0.5` | Share \\| part. |\n"));
  EXPECT_THAT(page,
              HasSubstr("| `auth.password` or `auth.password_file` | secret text, at least 8 characters |"));
  EXPECT_THAT(page, HasSubstr("| **`brokers[]`** | list of section, at most 2 items |"));
  EXPECT_THAT(
      page, HasSubstr("| `brokers[].name` | text | required | Host of the broker. (example: `kafka-1`) |\n"));
}

}  // namespace
}  // namespace naru::config
