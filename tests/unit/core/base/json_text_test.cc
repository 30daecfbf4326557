#include "core/base/json_text.h"

#include <gtest/gtest.h>

namespace naru {
namespace {

TEST(JsonText, EscapesWhatJsonForbidsInStrings) {
  EXPECT_EQ(json_string("a\"b\\c\n\r\t/"), R"("a\"b\\c\n\r\t/")");
  EXPECT_EQ(json_string(std::string_view("\0\x1f\x7f", 3)), "\"\\u0000\\u001f\x7f\"");
  EXPECT_EQ(json_string(""), "\"\"");
}

TEST(JsonText, KeepsValidUtf8) {
  for (const char* text :
       {"\xc3\xa9", "\xed\x95\x9c", "\xf0\x9f\x9a\xa2", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_EQ(json_string(text), '"' + std::string(text) + '"');
  }
}

TEST(JsonText, ReplacesEachInvalidByte) {
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(json_string("a\xff z"), "\"a" + bad + " z\"");
  EXPECT_EQ(json_string("\xc3"), '"' + bad + '"');                                // cut short
  EXPECT_EQ(json_string("\xc0\xaf"), '"' + bad + bad + '"');                      // overlong
  EXPECT_EQ(json_string("\xed\xa0\x80"), '"' + bad + bad + bad + '"');            // surrogate
  EXPECT_EQ(json_string("\xf4\x90\x80\x80"), '"' + bad + bad + bad + bad + '"');  // past U+10FFFF
  EXPECT_EQ(json_string("\xe0\x80\x80"), '"' + bad + bad + bad + '"');            // overlong
}

}  // namespace
}  // namespace naru
