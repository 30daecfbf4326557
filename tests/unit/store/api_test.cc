// Requests and their answers, from files in data/: see data/README for their form.
#include <fstream>
#include <sstream>

#include "tests/unit/store/test_store.h"

namespace naru::store {
namespace {

struct Exchange {
  int line = 0;
  std::string method, target, body;
  int status = 0;
  std::string expected;  // JSON, or text when it does not begin with { or [
};

std::vector<Exchange> read_exchanges(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  std::vector<Exchange> exchanges;
  std::string* into = nullptr;
  std::string text;
  for (int number = 1; std::getline(file, text); ++number) {
    if (text.starts_with("# ") || text == "#") {
      continue;
    }
    if (text.starts_with("> ")) {
      exchanges.emplace_back();
      std::istringstream(text.substr(2)) >> exchanges.back().method >> exchanges.back().target;
      exchanges.back().line = number;
      into = &exchanges.back().body;
    } else if (text.starts_with("< ")) {
      exchanges.back().status = std::stoi(text.substr(2));
      into = &exchanges.back().expected;
    } else if (!text.empty() && into != nullptr) {
      *into += text + "\n";
    }
  }
  return exchanges;
}

class ApiTest : public testing::TestWithParam<std::string> {};

TEST_P(ApiTest, AnswersAsWrittenDown) {
  const std::string path = std::string(NARU_STORE_TEST_DATA) + "/" + GetParam() + ".txt";
  TestStore store;
  const std::vector<Exchange> exchanges = read_exchanges(path);
  ASSERT_FALSE(exchanges.empty());
  for (const Exchange& exchange : exchanges) {
    const net::HttpResponse response = store.call(exchange.method, exchange.target, exchange.body);
    const std::string where = path + ":" + std::to_string(exchange.line);
    EXPECT_EQ(response.status, exchange.status) << where << "\n" << response.body;
    if (exchange.expected.empty()) {
      continue;
    }
    if (exchange.expected[0] == '{' || exchange.expected[0] == '[') {
      EXPECT_EQ(difference(exchange.expected, response.body), "") << where << "\n" << response.body;
    } else {
      EXPECT_EQ(response.body, exchange.expected) << where;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Data, ApiTest,
                         testing::Values("admin", "aggregations", "bulk", "dynamic", "mapping", "search",
                                         "unknown"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace naru::store
