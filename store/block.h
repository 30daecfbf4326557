// Blocks: the immutable unit of storage, about 1 MiB of documents of one index
// (docs/formats/embedded-store.md).
//
// BlockBuilder makes one from documents; the readers below take its stored parts apart. Pure: bytes in, bytes
// out. Readers check magic, version, CRC-32C and every length; anything else is kCorrupt.
#pragma once

#include <zstd.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/result.h"
#include "store/analyzer.h"
#include "store/document.h"
#include "store/mapping.h"
#include "store/token_filter.h"

namespace naru::store {

inline constexpr std::string_view kTimeField = "@timestamp";
inline constexpr std::size_t kBlockRawTarget = 1u << 20;
inline constexpr std::size_t kSmallBlock =
    kBlockRawTarget / 2;                                    // smaller ones are joined with their neighbours
inline constexpr std::size_t kChunkRawTarget = 256u << 10;  // documents are compressed in chunks of this size
inline constexpr std::size_t kBlockRowsMax = 65'535;

// What is kept in memory of every block.
struct BlockInfo {
  std::uint64_t first_sequence = 0;  // of its first document; the others follow without a gap
  std::uint32_t rows = 0;
  std::uint32_t raw_bytes = 0;
  std::uint32_t stored_bytes = 0;
  std::int64_t min_time = INT64_MAX;  // of @timestamp; min > max: no row has one
  std::int64_t max_time = INT64_MIN;
  bool every_row_timed = false;
  std::uint8_t filters = 1;  // pieces of the filter
};

// A set of rows of one block.
class Rows {
 public:
  Rows() = default;
  Rows(std::size_t rows, bool value) : size_(rows), words_((rows + 63) / 64, value ? ~0ull : 0) { trim(); }
  std::size_t size() const { return size_; }
  bool test(std::size_t row) const { return words_[row / 64] >> (row % 64) & 1; }
  void set(std::size_t row) { words_[row / 64] |= 1ull << (row % 64); }
  void reset(std::size_t row) { words_[row / 64] &= ~(1ull << (row % 64)); }
  std::size_t count() const;
  bool none() const;
  bool operator==(const Rows&) const = default;
  Rows& operator&=(const Rows& other);
  Rows& operator|=(const Rows& other);
  Rows& subtract(const Rows& other);
  void flip();
  template <class Take>
  void for_each(Take&& take) const {
    for (std::size_t word = 0; word < words_.size(); ++word) {
      for (std::uint64_t bits = words_[word]; bits != 0; bits &= bits - 1) {
        take(word * 64 + static_cast<std::size_t>(__builtin_ctzll(bits)));
      }
    }
  }

 private:
  void trim();
  std::size_t size_ = 0;
  std::vector<std::uint64_t> words_;
};

// The stored parts of a block; each ends in its own CRC-32C.
struct EncodedBlock {
  BlockInfo info;  // first_sequence is given later
  std::string meta;
  std::string ids;
  std::string columns;
  std::vector<std::string> filters;  // the pieces
  std::vector<std::string> chunks;
};

class BlockBuilder : public DocumentSink {
 public:
  explicit BlockBuilder(int zstd_level);

  void begin(std::shared_ptr<const Mapping> mapping);
  // Adds a document. After an error, or when `learned` has a name, the builder is as before the call. `json`
  // must stay readable, with padding behind it, until finish().
  Outcome<void> add(std::string_view json, std::string_view id, NewField& learned);
  void set_mapping(std::shared_ptr<const Mapping> mapping);  // an extension of the one before
  std::size_t rows() const { return documents_.size(); }
  std::size_t raw_bytes() const { return raw_bytes_; }
  // Ends the block and empties the builder.
  EncodedBlock finish();

  void text(const Field& field, std::string_view value) override;
  void keyword(const Field& field, std::string_view value) override;
  void integral(const Field& field, std::int64_t value) override;
  void real(const Field& field, double value) override;
  void flat(const Field& field, std::string_view leaf, std::string_view value) override;

 private:
  struct Column {
    std::vector<std::uint32_t> rows;
    std::vector<std::int64_t> values;  // numbers, bits of a double, or places in the dictionary
    bool repeated = false;             // a row has several values
    bool abandoned = false;            // too many different strings: left in the documents
    std::uint32_t mark = 0;            // values before the current document
    std::unordered_map<std::uint64_t, std::uint32_t> codes;
    std::vector<std::string> dictionary;
    std::size_t dictionary_bytes = 0;
  };
  void push(const Field& field, std::int64_t value);
  std::string encode_columns(BlockInfo& info) const;
  std::string encode_ids() const;

  struct FreeContext {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  int zstd_level_;
  std::unique_ptr<ZSTD_CCtx, FreeContext> context_;
  std::shared_ptr<const Mapping> mapping_;
  DocumentReader reader_;
  TermSet terms_;
  std::vector<Column> columns_;  // by field ordinal
  std::vector<std::string_view> documents_;
  std::string id_bytes_;
  std::vector<std::uint32_t> id_ends_;
  bool ids_packed_ = true;                 // every id is the text of 16 bytes
  std::vector<std::uint32_t> chunk_rows_;  // first row of each chunk
  std::size_t raw_bytes_ = 0;
  std::string scratch_;
};

Result<BlockInfo> read_meta(std::string_view bytes);

// Document ids and the place of the chunks.
class IdsView {
 public:
  static Result<IdsView> open(std::string bytes);
  std::size_t rows() const { return rows_; }
  std::string id(std::size_t row) const;
  std::size_t chunks() const { return chunk_rows_.size(); }
  std::size_t chunk_of(std::size_t row) const;
  std::size_t first_row(std::size_t chunk) const { return chunk_rows_[chunk]; }

 private:
  std::string bytes_;
  std::size_t rows_ = 0;
  std::size_t packed_ = 0;              // where the 16-byte ids begin; 0: strings
  std::vector<std::uint32_t> offsets_;  // of string ids
  std::vector<std::uint32_t> chunk_rows_;
};

// A column of a block.
struct ColumnView {
  enum Kind : std::uint8_t { kIntegral = 1, kReal = 2, kDictionary = 3, kInDocuments = 4 };
  Kind kind = kInDocuments;
  FieldType type = FieldType::kLong;
  std::size_t rows = 0;
  std::int64_t base = 0, top = 0;  // kIntegral: least and greatest value
  std::uint8_t width = 0;          // bytes a row; 0: every present row holds `base` (or code 0)
  const char* presence = nullptr;  // null: every row has a value
  const char* data = nullptr;
  std::vector<std::string_view> dictionary;

  bool present(std::size_t row) const {
    return presence == nullptr || (presence[row / 8] >> (row % 8) & 1) != 0;
  }
  std::uint64_t raw(std::size_t row) const;
  std::int64_t integral(std::size_t row) const {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(base) + raw(row));
  }
  double real(std::size_t row) const;
  Rows present_rows() const;
};

class ColumnsView {
 public:
  static Result<ColumnsView> open(std::string bytes);
  std::size_t rows() const { return rows_; }
  const ColumnView* find(std::string_view path) const;

 private:
  std::string bytes_;
  std::size_t rows_ = 0;
  std::vector<std::pair<std::string_view, ColumnView>> columns_;
};

// The filter inside the stored part.
Result<FilterView> open_filter(std::string_view bytes);

// Documents of a chunk, each followed by readable padding.
class ChunkView {
 public:
  static Result<ChunkView> open(std::string_view bytes);
  std::size_t rows() const { return starts_.size() - 1; }
  std::string_view document(std::size_t index) const {
    return std::string_view(text_).substr(starts_[index], starts_[index + 1] - starts_[index]);
  }

 private:
  std::string text_;
  std::vector<std::uint32_t> starts_;
};

// Whether `id` is the canonical text of 16 bytes (contracts.md 1); writes them to `out`.
bool pack_id(std::string_view id, unsigned char (&out)[16]);

}  // namespace naru::store
