#include "core/base/bytes.h"

#include <gtest/gtest.h>

#include "core/base/hash.h"

namespace naru {
namespace {

TEST(Bytes, Base64OfRfc4648Vectors) {
  const std::pair<const char*, const char*> kVectors[] = {{"", ""},
                                                          {"f", "Zg=="},
                                                          {"fo", "Zm8="},
                                                          {"foo", "Zm9v"},
                                                          {"foob", "Zm9vYg=="},
                                                          {"fooba", "Zm9vYmE="},
                                                          {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : kVectors) {
    EXPECT_EQ(to_base64(plain), coded);
    EXPECT_EQ(from_base64(coded), plain);
  }
}

TEST(Bytes, Base64ReadsBothAlphabetsAndRefusesOthers) {
  EXPECT_EQ(from_base64("-_8"), "\xfb\xff");
  EXPECT_EQ(from_base64("+/8="), "\xfb\xff");
  EXPECT_FALSE(from_base64("a"));
  EXPECT_FALSE(from_base64("a b="));
}

TEST(Bytes, HexBothWays) {
  EXPECT_EQ(to_hex(std::string_view("\x00\xab\xff", 3)), "00abff");
  EXPECT_EQ(from_hex("00ABff"), std::string("\x00\xab\xff", 3));
  EXPECT_FALSE(from_hex("abc"));
  EXPECT_FALSE(from_hex("zz"));
}

TEST(Bytes, Id22IsUnpaddedBase64Url) {
  const unsigned char bytes[16] = {0xff, 0xfe, 0xfd, 0xfc, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  std::string id(kId22Size, '\0');
  write_id22(bytes, id.data());
  EXPECT_EQ(id, "__79_AABAgMEBQYHCAkKCw");
  EXPECT_EQ(from_base64(id), std::string(reinterpret_cast<const char*>(bytes), 16));
}

// Check value of CRC-32C and of `printf naru | xxh128sum`.
TEST(Hash, MatchesPublishedValues) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c("6789", crc32c("12345")), 0xE3069283U);
  EXPECT_EQ(to_hex(as_bytes(xxh3_128(""))), "99aa06d3014798d86001c324468d497f");
}

}  // namespace
}  // namespace naru
