// Runs a query against one index: which rows of a block it matches.
//
// A query is bound to the index's mapping first. Per block the cheapest evidence is asked first: the time
// range, the token filter, the columns; only rows that these cannot decide are read and parsed. Private to
// the store.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/document.h"
#include "store/index.h"
#include "store/query.h"

namespace naru::store {

// What one query asks of one field.
struct Leaf {
  enum class Kind : std::uint8_t { kTerms, kWords, kPhrase, kPrefix, kRange, kExists, kSequences };
  Kind kind = Kind::kTerms;
  const Field* field = nullptr;    // null for kSequences
  std::string leaf;                // below a flat_object; empty: any leaf of it
  std::vector<std::string> words;  // terms, tokens, or the prefix
  bool all_words = false;
  std::vector<std::int64_t> integers;  // terms of whole-number fields
  std::vector<double> reals;
  std::int64_t low = INT64_MIN, high = INT64_MAX;  // kRange of whole numbers and dates, both included
  double real_low = 0, real_high = 0;              // kRange of reals
  bool low_open = false, high_open = false;        // of reals and strings
  std::optional<std::string> text_low, text_high;  // kRange of strings
  std::vector<std::uint64_t> sequences;            // sorted
  std::vector<std::vector<std::uint64_t>>
      terms;  // the filter must hold all of one of these; empty: no filter helps
};

struct Node {
  enum class Kind : std::uint8_t { kAll, kNone, kLeaf, kBool };
  Kind kind = Kind::kAll;
  std::size_t leaf = 0;
  std::vector<Node> must, should, must_not;
  std::size_t minimum = 0;  // of should
};

// A query for one index. Refers to the mapping of the view, which must outlive it.
struct BoundQuery {
  Node root;
  std::vector<Leaf> leaves;
  std::vector<std::vector<std::size_t>> by_field;  // field ordinal -> leaves
};

// Finds the sequence numbers of documents by id.
using FindIds = std::function<Result<std::vector<std::uint64_t>>(const std::vector<std::string>& ids)>;

Outcome<BoundQuery> bind_query(const Query& query, const IndexView& view, Nanos now, const FindIds& find_ids);

// A block while a search works on it: parts are read when they are asked for.
class BlockReader {
 public:
  BlockReader(const IndexView& view, const BlockInfo& block, DocumentReader& reader)
      : view_(view), block_(block), reader_(reader) {}

  const IndexView& view() const { return view_; }
  const BlockInfo& block() const { return block_; }
  std::size_t rows() const { return block_.rows; }
  Result<const IdsView*> ids();
  Result<const ColumnsView*> columns();
  Result<bool> may_hold(std::uint64_t term);  // by the filter
  Result<std::string_view> document(std::size_t row);
  // Walks the document of a row into `sink`.
  Result<void> read(std::size_t row, DocumentSink& sink);
  Rows live_rows() const;  // without overwritten documents

 private:
  const IndexView& view_;
  const BlockInfo& block_;
  DocumentReader& reader_;
  std::optional<IdsView> ids_;
  std::optional<ColumnsView> columns_;
  std::vector<std::string> filters_;  // pieces that were read; empty: not yet
  std::vector<std::optional<ChunkView>> chunks_;
};

// Whether a row of the block can match, by its time range and its filter alone. Cheap, and all that most
// blocks need when the query holds a rare term.
Result<bool> may_match(const BoundQuery& query, BlockReader& block);

// The rows among `within` that match.
Result<Rows> match(const BoundQuery& query, BlockReader& block, const Rows& within);

}  // namespace naru::store
