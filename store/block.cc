#include "store/block.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/base/bytes.h"
#include "core/base/check.h"
#include "core/base/hash.h"

namespace naru::store {
namespace {

constexpr char kMagic = 'N';
constexpr char kVersion = 1;
enum Part : char { kMeta = 'M', kIds = 'I', kColumns = 'C', kFilter = 'F', kChunk = 'S' };
constexpr std::size_t kHeadBytes = 3;
constexpr std::size_t kTailBytes = 4;
constexpr std::size_t kChunkRawMax = 512u << 20;  // far above any body limit: a sane bound for stored lengths
constexpr std::size_t kDictionaryBytesMax = 128u << 10;
constexpr std::size_t kDictionaryAlways = 64;  // a dictionary of so few values is always kept

std::string begin_part(Part part) {
  return {kMagic, kVersion, part};
}
void end_part(std::string& bytes) {
  append_le<std::uint32_t>(bytes, crc32c(bytes));
}

Result<std::string_view> open_part(std::string_view bytes, Part part) {
  const auto corrupt = [&](std::string_view what) {
    return fail(ErrorCode::kCorrupt, fmt::format("block part {}: {}", static_cast<char>(part), what));
  };
  if (bytes.size() < kHeadBytes + kTailBytes || bytes[0] != kMagic || bytes[2] != part) {
    return corrupt("not a block part");
  }
  const std::string_view covered = bytes.substr(0, bytes.size() - kTailBytes);
  if (crc32c(covered) != load_le<std::uint32_t>(bytes.data() + covered.size())) {
    return corrupt("checksum differs");
  }
  if (bytes[1] != kVersion) {
    return corrupt(fmt::format("version {} is not known to this program", static_cast<int>(bytes[1])));
  }
  return covered.substr(kHeadBytes);
}

// Takes fields off a part; any read behind the end makes it bad.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : bytes_(bytes) {}
  template <class T>
  T take() {
    if (bytes_.size() < sizeof(T)) {
      ok_ = false;
      return T{};
    }
    const T value = load_le<T>(bytes_.data());
    bytes_.remove_prefix(sizeof(T));
    return value;
  }
  std::string_view take_bytes(std::uint64_t count) {
    if (bytes_.size() < count) {
      ok_ = false;
      return {};
    }
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }
  bool ok() const { return ok_; }
  std::string_view rest() const { return bytes_; }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

std::uint8_t width_of(std::uint64_t span) {
  return static_cast<std::uint8_t>((std::bit_width(span) + 7) / 8);
}

void append_low_bytes(std::string& out, std::uint64_t value, std::uint8_t width) {
  char bytes[8];
  store_le(bytes, value);
  out.append(bytes, width);
}

}  // namespace

std::size_t Rows::count() const {
  std::size_t total = 0;
  for (std::uint64_t word : words_) {
    total += static_cast<std::size_t>(std::popcount(word));
  }
  return total;
}
bool Rows::none() const {
  return std::ranges::all_of(words_, [](std::uint64_t word) { return word == 0; });
}
Rows& Rows::operator&=(const Rows& other) {
  for (std::size_t i = 0; i < words_.size(); ++i) {
    words_[i] &= other.words_[i];
  }
  return *this;
}
Rows& Rows::operator|=(const Rows& other) {
  for (std::size_t i = 0; i < words_.size(); ++i) {
    words_[i] |= other.words_[i];
  }
  return *this;
}
Rows& Rows::subtract(const Rows& other) {
  for (std::size_t i = 0; i < words_.size(); ++i) {
    words_[i] &= ~other.words_[i];
  }
  return *this;
}
void Rows::flip() {
  for (std::uint64_t& word : words_) {
    word = ~word;
  }
  trim();
}
void Rows::trim() {
  if (size_ % 64 != 0) {
    words_.back() &= (1ull << (size_ % 64)) - 1;
  }
}

bool pack_id(std::string_view id, unsigned char (&out)[16]) {
  if (id.size() != kId22Size) {
    return false;
  }
  std::uint32_t bits = 0;
  int held = 0;
  int at = 0;
  for (char c : id) {
    std::uint32_t value = 0;
    if (c >= 'A' && c <= 'Z') {
      value = static_cast<std::uint32_t>(c - 'A');
    } else if (c >= 'a' && c <= 'z') {
      value = static_cast<std::uint32_t>(c - 'a' + 26);
    } else if (c >= '0' && c <= '9') {
      value = static_cast<std::uint32_t>(c - '0' + 52);
    } else if (c == '-') {
      value = 62;
    } else if (c == '_') {
      value = 63;
    } else {
      return false;
    }
    bits = bits << 6 | value;
    held += 6;
    if (held >= 8) {
      held -= 8;
      out[at++] = static_cast<unsigned char>(bits >> held);
    }
  }
  return (bits & 0xF) == 0;  // the four bits behind the 16th byte
}

BlockBuilder::BlockBuilder(int zstd_level) : zstd_level_(zstd_level), context_(ZSTD_createCCtx()) {
  NARU_CHECK(context_ != nullptr, "zstd has no memory for a context");
}

void BlockBuilder::begin(std::shared_ptr<const Mapping> mapping) {
  mapping_ = std::move(mapping);
  columns_.resize(mapping_->size());
  for (Column& column : columns_) {
    column.rows.clear();
    column.values.clear();
    column.repeated = column.abandoned = false;
    column.codes.clear();
    column.dictionary.clear();
    column.dictionary_bytes = 0;
  }
  terms_.clear();
  documents_.clear();
  id_bytes_.clear();
  id_ends_.clear();
  ids_packed_ = true;
  raw_bytes_ = 0;
}

void BlockBuilder::set_mapping(std::shared_ptr<const Mapping> mapping) {
  mapping_ = std::move(mapping);
  columns_.resize(std::max(columns_.size(), mapping_->size()));
}

Outcome<void> BlockBuilder::add(std::string_view json, std::string_view id, NewField& learned) {
  for (Column& column : columns_) {
    column.mark = static_cast<std::uint32_t>(column.values.size());
  }
  auto read = reader_.read(*mapping_, json, id, *this, learned);
  if (!read || !learned.name.empty()) {
    for (Column& column : columns_) {  // terms stay: a filter may hold too much
      column.values.resize(std::min<std::size_t>(column.mark, column.values.size()));
      column.rows.resize(column.values.size());
    }
    return read;
  }
  documents_.push_back(json);
  unsigned char packed[16];
  ids_packed_ = ids_packed_ && pack_id(id, packed);
  id_bytes_ += id;
  id_ends_.push_back(static_cast<std::uint32_t>(id_bytes_.size()));
  raw_bytes_ += json.size();
  return {};
}

void BlockBuilder::push(const Field& field, std::int64_t value) {
  Column& column = columns_[mapping_->ordinal(field)];
  const auto row = static_cast<std::uint32_t>(documents_.size());
  if (!column.rows.empty() && column.rows.back() == row) {
    column.repeated = true;
    return;
  }
  column.rows.push_back(row);
  column.values.push_back(value);
}

void BlockBuilder::text(const Field& field, std::string_view value) {
  terms_.add(exists_hash(field.path_hash));
  for_each_token(value,
                 [&](std::string_view token) { terms_.add(term_hash(field.path_hash, value_hash(token))); });
}

void BlockBuilder::keyword(const Field& field, std::string_view value) {
  Column& column = columns_[mapping_->ordinal(field)];
  if (!column.values.empty() && !column.abandoned) {
    const auto last = static_cast<std::size_t>(column.values.back());
    if (column.dictionary[last] == value) {  // its terms are in the filter already
      push(field, column.values.back());
      return;
    }
  }
  const std::uint64_t hash = value_hash(value);
  terms_.add(exists_hash(field.path_hash));
  terms_.add(term_hash(field.path_hash, hash));
  if (column.abandoned) {
    push(field, 0);
    return;
  }
  const auto [found, added] =
      column.codes.try_emplace(hash, static_cast<std::uint32_t>(column.dictionary.size()));
  if (added) {
    column.dictionary.emplace_back(value);
    column.dictionary_bytes += value.size();
    column.abandoned = column.dictionary_bytes > kDictionaryBytesMax ||
                       (column.dictionary.size() > 4 * kDictionaryAlways &&
                        column.dictionary.size() * 10 > column.values.size() * 9);
  } else if (column.dictionary[found->second] != value) {
    column.abandoned = true;  // two strings with one hash
  }
  push(field, found->second);
}

void BlockBuilder::integral(const Field& field, std::int64_t value) {
  push(field, value);
}
void BlockBuilder::real(const Field& field, double value) {
  push(field, std::bit_cast<std::int64_t>(value));
}

void BlockBuilder::flat(const Field& field, std::string_view leaf, std::string_view value) {
  const std::uint64_t path = flat_leaf_hash(field.path_hash, leaf);
  const std::uint64_t hash = value_hash(value);
  terms_.add(exists_hash(field.path_hash));
  terms_.add(exists_hash(path));
  terms_.add(term_hash(path, hash));
  terms_.add(term_hash(field.path_hash, hash));
}

std::string BlockBuilder::encode_columns(BlockInfo& info) const {
  const std::size_t rows = documents_.size();
  std::string out = begin_part(kColumns);
  append_le<std::uint32_t>(out, static_cast<std::uint32_t>(rows));
  const std::size_t count_at = out.size();
  append_le<std::uint16_t>(out, 0);
  std::uint16_t count = 0;
  std::vector<std::uint64_t> raw(rows);
  for (std::uint32_t ordinal = 0; ordinal < mapping_->size(); ++ordinal) {
    const Column& column = columns_[ordinal];
    const Field& field = mapping_->field(ordinal);
    if (column.values.empty()) {
      continue;
    }
    ++count;
    append_le<std::uint16_t>(out, static_cast<std::uint16_t>(field.path.size()));
    out += field.path;
    out += static_cast<char>(field.type);
    const bool in_documents =
        column.repeated || column.abandoned ||
        (column.dictionary.size() > kDictionaryAlways && column.dictionary.size() * 2 > column.values.size());
    const ColumnView::Kind kind = in_documents                        ? ColumnView::kInDocuments
                                  : field.type == FieldType::kKeyword ? ColumnView::kDictionary
                                  : field.is_real()                   ? ColumnView::kReal
                                                                      : ColumnView::kIntegral;
    out += static_cast<char>(kind);
    const std::size_t size_at = out.size();
    append_le<std::uint32_t>(out, 0);
    const std::size_t start = out.size();
    if (kind != ColumnView::kInDocuments) {
      std::int64_t low = 0;
      std::int64_t high = static_cast<std::int64_t>(column.dictionary.size()) - 1;
      if (kind != ColumnView::kDictionary) {
        const auto [least, greatest] = std::ranges::minmax_element(column.values);
        low = *least;
        high = *greatest;
      }
      if (kind == ColumnView::kIntegral && field.path == kTimeField) {
        info.min_time = low;
        info.max_time = high;
        info.every_row_timed = column.rows.size() == rows;
      }
      const std::uint8_t width =
          kind == ColumnView::kReal
              ? 8
              : width_of(static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low));
      append_le<std::uint64_t>(out, static_cast<std::uint64_t>(low));
      append_le<std::uint64_t>(out, static_cast<std::uint64_t>(high));
      out += static_cast<char>(width);
      const bool dense = column.rows.size() == rows;
      out += static_cast<char>(dense ? 0 : 1);
      if (!dense) {
        std::string presence((rows + 7) / 8, '\0');
        for (std::uint32_t row : column.rows) {
          presence[row / 8] = static_cast<char>(presence[row / 8] | 1 << (row % 8));
        }
        out += presence;
      }
      std::ranges::fill(raw, 0);
      const std::uint64_t base = kind == ColumnView::kIntegral ? static_cast<std::uint64_t>(low) : 0;
      for (std::size_t i = 0; i < column.rows.size(); ++i) {
        raw[column.rows[i]] = static_cast<std::uint64_t>(column.values[i]) - base;
      }
      if (width != 0) {
        for (std::uint64_t value : raw) {
          append_low_bytes(out, value, width);
        }
      }
      if (kind == ColumnView::kDictionary) {
        append_le<std::uint32_t>(out, static_cast<std::uint32_t>(column.dictionary.size()));
        for (const std::string& value : column.dictionary) {
          append_le<std::uint16_t>(out, static_cast<std::uint16_t>(value.size()));
          out += value;
        }
      }
    } else if (field.path == kTimeField) {  // several times in one document: nothing can be skipped by time
      info.min_time = 0;
      info.max_time = INT64_MAX;
    }
    store_le<std::uint32_t>(out.data() + size_at, static_cast<std::uint32_t>(out.size() - start));
  }
  store_le<std::uint16_t>(out.data() + count_at, count);
  end_part(out);
  return out;
}

std::string BlockBuilder::encode_ids() const {
  std::string out = begin_part(kIds);
  append_le<std::uint32_t>(out, static_cast<std::uint32_t>(documents_.size()));
  append_le<std::uint16_t>(out, static_cast<std::uint16_t>(chunk_rows_.size()));
  for (std::uint32_t row : chunk_rows_) {
    append_le<std::uint32_t>(out, row);
  }
  out += static_cast<char>(ids_packed_ ? 1 : 0);
  std::uint32_t from = 0;
  for (std::uint32_t to : id_ends_) {
    const std::string_view id = std::string_view(id_bytes_).substr(from, to - from);
    from = to;
    if (ids_packed_) {
      unsigned char packed[16];
      NARU_CHECK(pack_id(id, packed), "an id that was packed before");
      out.append(reinterpret_cast<const char*>(packed), sizeof(packed));
    } else {
      append_le<std::uint16_t>(out, static_cast<std::uint16_t>(id.size()));
      out += id;
    }
  }
  end_part(out);
  return out;
}

EncodedBlock BlockBuilder::finish() {
  EncodedBlock block;
  block.info.rows = static_cast<std::uint32_t>(documents_.size());
  block.info.raw_bytes = static_cast<std::uint32_t>(raw_bytes_);
  chunk_rows_.clear();
  for (std::size_t first = 0; first < documents_.size();) {
    std::size_t last = first;
    std::size_t size = 0;
    while (last < documents_.size() && (last == first || size + documents_[last].size() <= kChunkRawTarget)) {
      size += documents_[last++].size();
    }
    scratch_.clear();
    append_le<std::uint32_t>(scratch_, static_cast<std::uint32_t>(last - first));
    for (std::size_t i = first; i < last; ++i) {
      append_le<std::uint32_t>(scratch_, static_cast<std::uint32_t>(documents_[i].size()));
    }
    for (std::size_t i = first; i < last; ++i) {
      scratch_ += documents_[i];
    }
    std::string chunk = begin_part(kChunk);
    append_le<std::uint32_t>(chunk, static_cast<std::uint32_t>(scratch_.size()));
    const std::size_t head = chunk.size();
    chunk.resize(head + ZSTD_compressBound(scratch_.size()));
    const std::size_t written = ZSTD_compressCCtx(context_.get(), chunk.data() + head, chunk.size() - head,
                                                  scratch_.data(), scratch_.size(), zstd_level_);
    NARU_CHECK(!ZSTD_isError(written), ZSTD_getErrorName(written));
    chunk.resize(head + written);
    end_part(chunk);
    chunk.shrink_to_fit();
    block.chunks.push_back(std::move(chunk));
    chunk_rows_.push_back(static_cast<std::uint32_t>(first));
    first = last;
  }
  block.ids = encode_ids();
  block.columns = encode_columns(block.info);
  block.info.filters = terms_.terms().size() < kTermsOfOneFilter ? 1 : kFilterPieces;
  std::vector<std::vector<std::uint64_t>> pieces(block.info.filters);
  for (std::uint64_t term : terms_.terms()) {
    pieces[filter_piece(term, block.info.filters)].push_back(term);
  }
  std::size_t filter_bytes = 0;
  for (const std::vector<std::uint64_t>& terms : pieces) {
    std::string& filter = block.filters.emplace_back(begin_part(kFilter));
    append_filter(filter, terms, kBitsPerTerm);
    end_part(filter);
    filter_bytes += filter.size();
  }
  block.info.stored_bytes =
      static_cast<std::uint32_t>(block.ids.size() + block.columns.size() + filter_bytes);
  for (const std::string& chunk : block.chunks) {
    block.info.stored_bytes += static_cast<std::uint32_t>(chunk.size());
  }
  block.meta = begin_part(kMeta);
  append_le<std::uint32_t>(block.meta, block.info.rows);
  append_le<std::uint32_t>(block.meta, block.info.raw_bytes);
  append_le<std::uint32_t>(block.meta, block.info.stored_bytes);
  append_le<std::uint64_t>(block.meta, static_cast<std::uint64_t>(block.info.min_time));
  append_le<std::uint64_t>(block.meta, static_cast<std::uint64_t>(block.info.max_time));
  block.meta += static_cast<char>(block.info.every_row_timed);
  block.meta += static_cast<char>(block.info.filters);
  end_part(block.meta);
  begin(mapping_);
  return block;
}

Result<BlockInfo> read_meta(std::string_view bytes) {
  NARU_TRY(const std::string_view body, open_part(bytes, kMeta));
  Cursor cursor(body);
  BlockInfo info;
  info.rows = cursor.take<std::uint32_t>();
  info.raw_bytes = cursor.take<std::uint32_t>();
  info.stored_bytes = cursor.take<std::uint32_t>();
  info.min_time = static_cast<std::int64_t>(cursor.take<std::uint64_t>());
  info.max_time = static_cast<std::int64_t>(cursor.take<std::uint64_t>());
  info.every_row_timed = cursor.take<std::uint8_t>() != 0;
  info.filters = cursor.take<std::uint8_t>();
  if (!cursor.ok() || (info.filters != 1 && info.filters != kFilterPieces) || info.rows == 0 ||
      info.rows > kBlockRowsMax) {
    return fail(ErrorCode::kCorrupt, "block part M: impossible counts");
  }
  return info;
}

Result<IdsView> IdsView::open(std::string bytes) {
  IdsView view;
  view.bytes_ = std::move(bytes);
  NARU_TRY(const std::string_view body, open_part(view.bytes_, kIds));
  Cursor cursor(body);
  view.rows_ = cursor.take<std::uint32_t>();
  const std::size_t chunks = cursor.take<std::uint16_t>();
  bool sound = cursor.ok() && view.rows_ > 0 && view.rows_ <= kBlockRowsMax && chunks > 0;
  for (std::size_t i = 0; i < chunks && sound; ++i) {
    const auto row = cursor.take<std::uint32_t>();
    sound = cursor.ok() && (i == 0 ? row == 0 : row > view.chunk_rows_.back()) && row < view.rows_;
    view.chunk_rows_.push_back(row);
  }
  const bool packed = cursor.take<std::uint8_t>() == 1;
  if (sound && packed) {
    view.packed_ = static_cast<std::size_t>(cursor.rest().data() - view.bytes_.data());
    cursor.take_bytes(view.rows_ * 16);
  } else {
    for (std::size_t row = 0; row < view.rows_ && sound && cursor.ok(); ++row) {
      view.offsets_.push_back(static_cast<std::uint32_t>(cursor.rest().data() - view.bytes_.data()));
      cursor.take_bytes(cursor.take<std::uint16_t>());
    }
  }
  if (!sound || !cursor.ok()) {
    return fail(ErrorCode::kCorrupt, "block part I: impossible lengths");
  }
  return view;
}

std::string IdsView::id(std::size_t row) const {
  if (packed_ != 0) {
    unsigned char raw[16];
    std::memcpy(raw, bytes_.data() + packed_ + row * 16, sizeof(raw));
    std::string text(kId22Size, '\0');
    write_id22(raw, text.data());
    return text;
  }
  const char* at = bytes_.data() + offsets_[row];
  return std::string(at + 2, load_le<std::uint16_t>(at));
}

std::size_t IdsView::chunk_of(std::size_t row) const {
  return static_cast<std::size_t>(std::ranges::upper_bound(chunk_rows_, row) - chunk_rows_.begin()) - 1;
}

std::uint64_t ColumnView::raw(std::size_t row) const {
  std::uint64_t value = 0;
  std::memcpy(&value, data + row * width, width);
  return value;
}
double ColumnView::real(std::size_t row) const {
  return kind == kReal ? std::bit_cast<double>(raw(row)) : static_cast<double>(integral(row));
}
Rows ColumnView::present_rows() const {
  Rows present(rows, presence == nullptr);
  for (std::size_t row = 0; presence != nullptr && row < rows; ++row) {
    if (this->present(row)) {
      present.set(row);
    }
  }
  return present;
}

Result<ColumnsView> ColumnsView::open(std::string bytes) {
  ColumnsView view;
  view.bytes_ = std::move(bytes);
  const auto corrupt = [] { return fail(ErrorCode::kCorrupt, "block part C: impossible lengths"); };
  NARU_TRY(const std::string_view body, open_part(view.bytes_, kColumns));
  Cursor cursor(body);
  view.rows_ = cursor.take<std::uint32_t>();
  const auto count = cursor.take<std::uint16_t>();
  if (!cursor.ok() || view.rows_ == 0 || view.rows_ > kBlockRowsMax) {
    return corrupt();
  }
  for (std::uint16_t i = 0; i < count; ++i) {
    const std::string_view name = cursor.take_bytes(cursor.take<std::uint16_t>());
    ColumnView column;
    column.type = static_cast<FieldType>(cursor.take<std::uint8_t>());
    column.kind = static_cast<ColumnView::Kind>(cursor.take<std::uint8_t>());
    column.rows = view.rows_;
    Cursor part(cursor.take_bytes(cursor.take<std::uint32_t>()));
    if (!cursor.ok() || column.kind < ColumnView::kIntegral || column.kind > ColumnView::kInDocuments) {
      return corrupt();
    }
    if (column.kind != ColumnView::kInDocuments) {
      column.base = static_cast<std::int64_t>(part.take<std::uint64_t>());
      column.top = static_cast<std::int64_t>(part.take<std::uint64_t>());
      column.width = part.take<std::uint8_t>();
      if (part.take<std::uint8_t>() != 0) {
        column.presence = part.take_bytes((view.rows_ + 7) / 8).data();
      }
      if (column.width > 8 || (column.kind == ColumnView::kReal && column.width != 8)) {
        return corrupt();
      }
      column.data = part.take_bytes(view.rows_ * column.width).data();
      if (column.kind == ColumnView::kDictionary) {
        const auto entries = part.take<std::uint32_t>();
        for (std::uint32_t entry = 0; entry < entries && part.ok(); ++entry) {
          column.dictionary.push_back(part.take_bytes(part.take<std::uint16_t>()));
        }
        for (std::size_t row = 0; row < view.rows_ && part.ok(); ++row) {
          if (column.raw(row) >= entries) {
            return corrupt();
          }
        }
      }
      if (!part.ok()) {
        return corrupt();
      }
    }
    view.columns_.emplace_back(name, std::move(column));
  }
  return view;
}

const ColumnView* ColumnsView::find(std::string_view path) const {
  const auto found = std::ranges::find(columns_, path, [](const auto& column) { return column.first; });
  return found == columns_.end() ? nullptr : &found->second;
}

Result<FilterView> open_filter(std::string_view bytes) {
  NARU_TRY(const std::string_view body, open_part(bytes, kFilter));
  return FilterView(body);
}

Result<ChunkView> ChunkView::open(std::string_view bytes) {
  const auto corrupt = [] { return fail(ErrorCode::kCorrupt, "block part S: impossible lengths"); };
  NARU_TRY(const std::string_view body, open_part(bytes, kChunk));
  Cursor cursor(body);
  const std::size_t size = cursor.take<std::uint32_t>();
  if (!cursor.ok() || size > kChunkRawMax) {
    return corrupt();
  }
  ChunkView view;
  view.text_.reserve(size + simdjson::SIMDJSON_PADDING);
  view.text_.resize(size);
  const std::size_t read =
      ZSTD_decompress(view.text_.data(), size, cursor.rest().data(), cursor.rest().size());
  if (ZSTD_isError(read) || read != size) {
    return fail(ErrorCode::kCorrupt, "block part S: zstd cannot read it");
  }
  Cursor text(view.text_);
  const auto rows = text.take<std::uint32_t>();
  if (!text.ok() || rows > kBlockRowsMax || rows * 4ull > text.rest().size()) {
    return corrupt();
  }
  std::uint64_t at = 4 + rows * 4ull;
  view.starts_.push_back(static_cast<std::uint32_t>(at));
  for (std::uint32_t i = 0; i < rows; ++i) {
    at += text.take<std::uint32_t>();
    if (at > size) {
      return corrupt();
    }
    view.starts_.push_back(static_cast<std::uint32_t>(at));
  }
  return view;
}

}  // namespace naru::store
