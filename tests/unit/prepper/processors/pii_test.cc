#include "prepper/processors/pii.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "tests/unit/prepper/pipeline/running.h"

namespace naru::prepper {
namespace {

constexpr unsigned kAll = (1U << kPiiKinds) - 1;

// "kind:text" of each hit.
std::vector<std::string> found(std::string_view text, unsigned kinds = kAll) {
  std::vector<PiiHit> hits;
  find_pii(text, kinds, hits);
  std::vector<std::string> out;
  std::size_t end = 0;
  for (const PiiHit& hit : hits) {
    EXPECT_GE(hit.begin, end);
    EXPECT_GT(hit.end, hit.begin);
    EXPECT_LE(hit.end, text.size());
    end = hit.end;
    out.push_back(std::string(to_string(hit.kind)) + ":" +
                  std::string(text.substr(hit.begin, hit.end - hit.begin)));
  }
  return out;
}
using Hits = std::vector<std::string>;

TEST(Pii, FindsMailboxes) {
  EXPECT_EQ(found("mail alice.b+x@shop.example.com, or bob@x.kr."),
            (Hits{"email:alice.b+x@shop.example.com", "email:bob@x.kr"}));
  EXPECT_EQ(found("4111111111111111@x.kr"), (Hits{"email:4111111111111111@x.kr"}));
  EXPECT_EQ(found("@x.kr a@b a@.kr user@host"), Hits{});
}

TEST(Pii, FindsCardsByTheirSum) {
  EXPECT_EQ(found("card 4111 1111 1111 1111, 5500-0000-0000-0004 and 340000000000009"),
            (Hits{"card:4111 1111 1111 1111", "card:5500-0000-0000-0004", "card:340000000000009"}));
  EXPECT_EQ(found("4111 1111 1111 1112 and order 12345678901234567890"), Hits{});
  EXPECT_EQ(found("id4111111111111111 v1.4111111111111111"), Hits{});
}

TEST(Pii, FindsAddresses) {
  EXPECT_EQ(found("from 10.0.0.1:80 and 2001:db8::1, ::1."), (Hits{"ip:10.0.0.1", "ip:2001:db8::1"}));
  EXPECT_EQ(found("fe80::1%eth0 1:2:3:4:5:6:7:8"), (Hits{"ip:fe80::1", "ip:1:2:3:4:5:6:7:8"}));
  EXPECT_EQ(found("version 1.2.3.4.5 at 12:34:56 std::vector 256.1.1.1 a::b Dead::Beef"), Hits{});
}

TEST(Pii, FindsTelephones) {
  EXPECT_EQ(found("call 010-1234-5678, 01012345678, 02-123-4567 or 031.123.4567"),
            (Hits{"phone:010-1234-5678", "phone:01012345678", "phone:02-123-4567", "phone:031.123.4567"}));
  EXPECT_EQ(found("+82 10-1234-5678, +1 (212) 555-0123, (212) 555-0123, 212-555-0123"),
            (Hits{"phone:+82 10-1234-5678", "phone:+1 (212) 555-0123", "phone:(212) 555-0123",
                  "phone:212-555-0123"}));
  EXPECT_EQ(found("2026-01-02 03:04:05 took 123 456 7890 bytes 010-12-34"), Hits{});
}

TEST(Pii, FindsResidentNumbers) {
  EXPECT_EQ(found("rrn 900101-1234567, 0002293234560"), (Hits{"resident_number:900101-1234567"}));
  EXPECT_EQ(found("901301-1234567 900132-1234567 900101-9234567"), Hits{});
}

TEST(Pii, FindsTokens) {
  const std::string jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_def";
  EXPECT_EQ(found("Authorization: Bearer abcdef012345== and " + jwt),
            (Hits{"token:abcdef012345==", "token:" + jwt}));
  EXPECT_EQ(found("AKIAIOSFODNN7EXAMPLE ghp_0123456789abcdefghijABCDEFGHIJ0123"),
            (Hits{"token:AKIAIOSFODNN7EXAMPLE", "token:ghp_0123456789abcdefghijABCDEFGHIJ0123"}));
  EXPECT_EQ(found("bearer short referrer abcdefghijkl eyJ sk-1"), Hits{});
}

TEST(Pii, OnlyTheKindsThatAreAskedFor) {
  EXPECT_EQ(found("a@b.kr 10.0.0.1", 1U << static_cast<unsigned>(Pii::kIp)), (Hits{"ip:10.0.0.1"}));
}

// The fast scan reads 64 bytes at a time: a hit must not depend on where in a text it stands.
TEST(Pii, FindsTheSameAtEveryPlace) {
  const std::string hits =
      "4111111111111111 a@b.kr eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0 2001:db8::1 010-1234-5678";
  const Hits expected = found(hits);
  ASSERT_EQ(expected.size(), 5u);
  for (std::size_t before = 0; before < 200; ++before) {
    EXPECT_EQ(found(std::string(before, '-') + " " + hits), expected) << before;
    EXPECT_EQ(found(hits + " " + std::string(before, 'x')), expected) << before;
  }
}

TEST(Pii, RandomTextsAreReadWithinTheirBounds) {
  std::mt19937 random(7);
  constexpr std::string_view kAlphabet = "0123456789-. :@+()abcdefeyJBearer ghp_AKIA%\xff";
  for (int i = 0; i < 20'000; ++i) {
    std::string text(random() % 150, '\0');
    for (char& c : text) {
      c = kAlphabet[random() % kAlphabet.size()];
    }
    const auto exact = std::make_unique<char[]>(text.size());  // for the address sanitizer
    std::copy(text.begin(), text.end(), exact.get());
    found({exact.get(), text.size()});
  }
}

TEST(RedactProcessor, MasksTextsNumbersAndNestedValues) {
  Running p("  - json: {flatten: false}\n  - redact: {}\n");
  p.run(
      R"({"mail":"x a@b.kr y","card":4111111111111111,"n":42,"in":{"list":["10.0.0.1",{"t":"a@b.kr"}]},"ok":"fine"})");
  EXPECT_THAT(p.attributes(), testing::ElementsAre("mail='x [email] y'", "card='[card]'", "n=42",
                                                   "in={list:['[ip]',{t:'[email]'}]}", "ok='fine'"));
  EXPECT_THAT(shown(p.event->body()), testing::Not(testing::HasSubstr("a@b.kr")));
}

TEST(RedactProcessor, HashesKeepEqualValuesEqual) {
  Running p("  - redact: {mode: hash, key: 0123456789abcdef, fields: [body]}\n");
  p.run("a@b.kr a@b.kr c@d.kr");
  const std::string text = shown(p.event->body());
  EXPECT_EQ(text.substr(1, 24), text.substr(26, 24));
  EXPECT_NE(text.substr(1, 24), text.substr(51, 24));
  EXPECT_THAT(errors_of("name: p\nprocessors:\n  - redact: {mode: hash}\n"),
              testing::HasSubstr("can be guessed"));
}

}  // namespace
}  // namespace naru::prepper
