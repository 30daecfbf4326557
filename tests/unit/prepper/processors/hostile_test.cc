// Every processor on texts that nobody meant for it: it answers, and the record stays one.
#include <gtest/gtest.h>

#include <random>

#include "prepper/contract/value_writer.h"
#include "prepper/processors/registry.h"
#include "tests/unit/prepper/pipeline/running.h"

namespace naru::prepper {
namespace {

// Cut, mixed and repeated pieces of what processors look for.
std::string hostile_text(std::mt19937_64& random) {
  static const std::vector<std::string> kPieces = {
      "{",
      "}",
      "[",
      "]",
      "\"",
      "\\",
      "\\u12",
      ":",
      ",",
      "=",
      "\n",
      std::string(1, 0),
      "%",
      "%{",
      "(?<",
      "<34>1 ",
      "<",
      "2026-01-02T03:04:05",
      "+09:00",
      "Jan ",
      " 2 ",
      "://",
      "@",
      "a@b.kr",
      "4111 1111 1111 1111",
      "010-1234-5678",
      "::",
      "2001:db8::1",
      "eyJ",
      "Bearer ",
      "127.0.0.1 - - [",
      "\"GET / HTTP/1.1\" 200 5",
      "\xff\xfe",
      "\xed\xa0\x80",
      "키",
      "9999999999999999999999",
      "1e999",
      "-",
      "true",
      "null",
      "{\"a\":{\"b\":[1,2,{\"c\":\"d\"}]},\"level\":\"WARN\",\"took_ms\":1.5}",
      "level=info msg=\"x y\" a=",
      std::string(300, 'a'),
      std::string(40, '[')};
  std::string out;
  for (std::size_t i = random() % 12; i > 0; --i) {
    std::string piece = kPieces[random() % kPieces.size()];
    if (random() % 4 == 0 && !piece.empty()) {
      piece.resize(random() % piece.size());
    }
    out += piece;
  }
  return out;
}

TEST(Processors, AnswerWhateverTheTextIs) {
  std::mt19937_64 random(20261127);
  for (const ProcessorKind& kind : processor_kinds()) {
    if (kind.name == "enrich" || kind.name == "geoip") {
      continue;  // need a file
    }
    // On the body, and once more on the attributes that a JSON body became.
    for (const std::string& before : {std::string(), std::string("  - json: {on_error: ignore}\n")}) {
      Running p(before + "  - " + std::string(kind.example) + "\n");
      ASSERT_NE(p.set, nullptr) << kind.name;
      for (int i = 0; i < 1'500; ++i) {
        const std::string text = hostile_text(random);
        p.scratch.now += kNanosPerMilli;
        p.run(text);
        EXPECT_LE(p.event->attributes().size(), 2'000u) << kind.name;
        JsonOut out;
        ValueWriter values({});
        EXPECT_TRUE(values.write_bag(out, p.event->attributes(), 10).ok) << kind.name << " " << text;
      }
      p.scratch.metrics.clear();
    }
  }
}

}  // namespace
}  // namespace naru::prepper
