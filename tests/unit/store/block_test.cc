#include "store/block.h"

#include <gtest/gtest.h>

#include <random>

#include "core/base/bytes.h"
#include "core/base/clock.h"
#include "core/base/hash.h"

namespace naru::store {
namespace {

std::shared_ptr<const Mapping> mapping_of(std::string_view json) {
  simdjson::dom::parser parser;
  auto mapping = std::make_shared<Mapping>();
  EXPECT_TRUE(mapping->merge(parser.parse(json.data(), json.size()).value(), 1000));
  return mapping;
}

const char* const kMapping =
    R"({"dynamic":"strict","properties":{"@timestamp":{"type":"date_nanos"},"n":{"type":"long"},
"x":{"type":"double"},"k":{"type":"keyword"},"u":{"type":"keyword"},"t":{"type":"text"},"f":{"type":"flat_object"}}})";

// Documents stay where they are, with padding behind them.
struct Documents {
  std::vector<std::string> texts;
  void add(std::string text) {
    text.reserve(text.size() + simdjson::SIMDJSON_PADDING);
    texts.push_back(std::move(text));
  }
};

EncodedBlock build(const Documents& documents) {
  BlockBuilder builder(1);
  builder.begin(mapping_of(kMapping));
  NewField learned;
  for (std::size_t i = 0; i < documents.texts.size(); ++i) {
    const auto added = builder.add(documents.texts[i], "id" + std::to_string(i), learned);
    EXPECT_TRUE(added) << added.error().reason;
  }
  return builder.finish();
}

Documents some_documents(int count) {
  Documents documents;
  documents.texts.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    std::string text = R"({"@timestamp":")" + std::to_string(1'795'219'200'000 + i) + R"(","k":")" +
                       (i % 3 == 0 ? "a" : "b") + R"(","u":"unique-)" + std::to_string(i) + R"(","t":"word)" +
                       std::to_string(i) + R"( Common","f":{"p":)" + std::to_string(i % 5) + "}";
    if (i % 2 == 0) {
      text += R"(,"n":)" + std::to_string(i - 50) + R"(,"x":)" + std::to_string(i) + ".5";
    }
    documents.add(text + "}");
  }
  return documents;
}

TEST(BlockTest, GivesBackIdsColumnsDocumentsAndTimes) {
  const Documents documents = some_documents(500);
  EncodedBlock block = build(documents);
  const auto meta = read_meta(block.meta);
  ASSERT_TRUE(meta);
  EXPECT_EQ(meta->rows, 500u);
  EXPECT_TRUE(meta->every_row_timed);
  EXPECT_EQ(meta->min_time, 1'795'219'200'000 * kNanosPerMilli);
  EXPECT_EQ(meta->max_time, 1'795'219'200'499 * kNanosPerMilli);

  const auto ids = IdsView::open(block.ids);
  ASSERT_TRUE(ids);
  EXPECT_EQ(ids->id(499), "id499");

  const auto columns = ColumnsView::open(block.columns);
  ASSERT_TRUE(columns);
  const ColumnView* n = columns->find("n");
  ASSERT_NE(n, nullptr);
  EXPECT_EQ(n->width, 2);
  EXPECT_TRUE(n->present(10));
  EXPECT_FALSE(n->present(11));
  EXPECT_EQ(n->integral(10), -40);
  EXPECT_EQ(columns->find("x")->real(4), 4.5);
  const ColumnView* k = columns->find("k");
  EXPECT_EQ(k->width, 1);
  EXPECT_EQ(k->dictionary[k->raw(3)], "a");
  EXPECT_EQ(k->dictionary[k->raw(4)], "b");
  EXPECT_EQ(columns->find("u")->kind, ColumnView::kInDocuments);  // nothing repeats
  EXPECT_EQ(columns->find("t"), nullptr);

  std::size_t row = 0;
  for (const std::string& chunk : block.chunks) {
    const auto view = ChunkView::open(chunk);
    ASSERT_TRUE(view);
    for (std::size_t i = 0; i < view->rows(); ++i, ++row) {
      EXPECT_EQ(ids->chunk_of(row), static_cast<std::size_t>(&chunk - block.chunks.data()));
      EXPECT_EQ(view->document(i), documents.texts[row]);
    }
  }
  EXPECT_EQ(row, 500u);
}

class BlockFilterTest : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(OnePieceAndSeveral, BlockFilterTest, testing::Values(500, 4000));

TEST_P(BlockFilterTest, HoldsEveryTermAndFewOthers) {
  const EncodedBlock block = build(some_documents(GetParam()));
  EXPECT_EQ(block.filters.size(), GetParam() == 500 ? 1u : 8u);
  const auto may_contain = [&](std::uint64_t hash) {
    const auto filter = open_filter(block.filters[filter_piece(hash, block.info.filters)]);
    EXPECT_TRUE(filter);
    return filter && filter->may_contain(hash);
  };
  const auto mapping = mapping_of(kMapping);
  const auto term = [&](const char* field, std::string_view value) {
    return term_hash(mapping->find(field)->path_hash, value_hash(value));
  };
  for (int i = 0; i < GetParam(); ++i) {
    EXPECT_TRUE(may_contain(term("t", "word" + std::to_string(i))));
    EXPECT_TRUE(may_contain(term("u", "unique-" + std::to_string(i))));
  }
  EXPECT_TRUE(may_contain(term("t", "common")));
  EXPECT_TRUE(may_contain(term_hash(flat_leaf_hash(mapping->find("f")->path_hash, "p"), value_hash("3"))));
  int wrong = 0;
  for (int i = 0; i < 10'000; ++i) {
    wrong += may_contain(term("t", "absent" + std::to_string(i)));
  }
  EXPECT_LT(wrong, 200);
}

TEST(BlockTest, ARefusedDocumentLeavesNothingBehind) {
  BlockBuilder builder(1);
  builder.begin(mapping_of(kMapping));
  NewField learned;
  Documents documents;
  documents.texts.reserve(3);
  documents.add(R"({"n":1,"k":"a"})");
  documents.add(R"({"n":2,"k":"b","x":"bad"})");
  documents.add(R"({"n":3})");
  EXPECT_TRUE(builder.add(documents.texts[0], "0", learned));
  EXPECT_FALSE(builder.add(documents.texts[1], "1", learned));
  EXPECT_TRUE(builder.add(documents.texts[2], "2", learned));
  const EncodedBlock block = builder.finish();
  const auto columns = ColumnsView::open(block.columns);
  ASSERT_TRUE(columns);
  EXPECT_EQ(columns->rows(), 2u);
  EXPECT_EQ(columns->find("n")->integral(1), 3);
  EXPECT_FALSE(columns->find("k")->present(1));
  EXPECT_EQ(columns->find("x"), nullptr);
}

TEST(BlockTest, PacksOnlyCanonicalIds) {
  unsigned char packed[16];
  EXPECT_TRUE(pack_id("AAAAAAAAAAAAAAAAAAAAAA", packed));
  EXPECT_FALSE(pack_id("AAAAAAAAAAAAAAAAAAAAAB", packed));  // bits behind the 16th byte
  EXPECT_FALSE(pack_id("AAAAAAAAAAAAAAAAAAAAA", packed));
  EXPECT_FALSE(pack_id("AAAAAAAAAAAAAAAAAAAAA+", packed));
}

// Every byte of every part, changed or cut off, is an error and never anything worse.
TEST(BlockTest, CorruptionIsFoundAtEveryByte) {
  const EncodedBlock block = build(some_documents(40));
  const auto each = [](const std::string& part, auto open) {
    for (std::size_t at = 0; at < part.size(); ++at) {
      std::string broken = part;
      broken[at] = static_cast<char>(broken[at] ^ 0x20);
      EXPECT_FALSE(open(broken)) << at;
      EXPECT_FALSE(open(part.substr(0, at))) << at;
    }
  };
  each(block.meta, [](const std::string& bytes) { return read_meta(bytes).has_value(); });
  each(block.ids, [](const std::string& bytes) { return IdsView::open(bytes).has_value(); });
  each(block.columns, [](const std::string& bytes) { return ColumnsView::open(bytes).has_value(); });
  each(block.filters[0], [](const std::string& bytes) { return open_filter(bytes).has_value(); });
  each(block.chunks[0], [](const std::string& bytes) { return ChunkView::open(bytes).has_value(); });
}

// The same with a right checksum: lengths that lie must not be believed.
TEST(BlockTest, LengthsThatLieAreRefusedOrHarmless) {
  const EncodedBlock block = build(some_documents(40));
  std::mt19937 random(1);
  const auto each = [&](const std::string& part, auto open) {
    for (int round = 0; round < 2000; ++round) {
      std::string broken = part.substr(0, part.size() - 4);
      for (int changes = 0; changes < 3; ++changes) {
        broken[3 + random() % (broken.size() - 3)] = static_cast<char>(random());
      }
      append_le<std::uint32_t>(broken, crc32c(broken));
      open(broken);
    }
  };
  each(block.ids, [](const std::string& bytes) {
    if (const auto ids = IdsView::open(bytes)) {
      for (std::size_t row = 0; row < ids->rows(); ++row) {
        ids->id(row);
        ids->chunk_of(row);
      }
    }
  });
  each(block.columns, [](const std::string& bytes) {
    if (const auto columns = ColumnsView::open(bytes)) {
      for (const char* name : {"n", "x", "k", "@timestamp"}) {
        if (const ColumnView* column = columns->find(name);
            column != nullptr && column->kind != ColumnView::kInDocuments) {
          for (std::size_t row = 0; row < column->rows; ++row) {
            static_cast<void>(column->present(row) ? column->raw(row) : 0);
          }
        }
      }
    }
  });
  each(block.chunks[0], [](const std::string& bytes) { static_cast<void>(ChunkView::open(bytes)); });
}

}  // namespace
}  // namespace naru::store
