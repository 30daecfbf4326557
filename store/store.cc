#include "store/store.h"

#include <fmt/format.h>
#include <simdjson.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <chrono>

#include "core/base/bytes.h"
#include "core/base/check.h"
#include "core/base/json_text.h"
#include "core/base/random.h"
#include "core/telemetry/log.h"
#include "store/impl.h"
#include "store/search.h"

namespace naru::store {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kJoinCount = 8;                       // that many of one size are joined at once
constexpr std::uint64_t kJoinAfter = 30 * kNanosPerSecond;  // an index at rest is joined whatever its blocks
constexpr std::uint64_t kIdsIdle = 600 * kNanosPerSecond;   // then the id filters leave the memory
constexpr std::size_t kIdCacheBlocks = 32;

const std::vector<double> kSecondsBounds = {0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60};

std::string random_name() {
  const auto bytes = random_16();
  unsigned char raw[16];
  std::ranges::copy(bytes, raw);
  std::string name(kId22Size, '\0');
  write_id22(raw, name.data());
  return name;
}

// Index settings that are kept and shown; the rest of OpenSearch's are refused by name.
bool known_setting(std::string_view name) {
  static constexpr std::string_view kKnown[] = {"number_of_shards",
                                                "number_of_replicas",
                                                "refresh_interval",
                                                "codec",
                                                "hidden",
                                                "priority",
                                                "auto_expand_replicas",
                                                "max_result_window",
                                                "query.default_field",
                                                "number_of_routing_shards"};
  static constexpr std::string_view kPrefixes[] = {
      "translog.",         "merge.",          "mapping.",    "routing.allocation.",
      "indexing.slowlog.", "search.slowlog.", "unassigned.", "sort."};
  return std::ranges::find(kKnown, name) != std::end(kKnown) ||
         std::ranges::any_of(kPrefixes, [&](std::string_view prefix) { return name.starts_with(prefix); });
}

Outcome<void> flatten_settings(dom::object object, const std::string& prefix, Settings& out) {
  for (auto [key, value] : object) {
    const std::string name =
        prefix.empty() ? std::string(key) : fmt::format("{}.{}", prefix, std::string_view(key));
    dom::object inner;
    if (value.get(inner) == simdjson::SUCCESS) {
      NARU_TRY_VOID(flatten_settings(inner, name, out));
      continue;
    }
    std::string text = simdjson::minify(value);
    if (value.type() != dom::element_type::STRING && value.type() != dom::element_type::ARRAY &&
        value.type() != dom::element_type::NULL_VALUE) {
      text = json_string(text);  // the server shows every setting as a string
    }
    out[name] = std::move(text);
  }
  return {};
}

Outcome<void> index_settings(dom::element settings, Settings& out) {
  dom::object object;
  if (settings.get(object) != simdjson::SUCCESS) {
    return refuse(400, "parse_exception", "[settings] must be an object");
  }
  Settings flat;
  NARU_TRY_VOID(flatten_settings(object, "", flat));
  for (auto& [name, value] : flat) {
    const std::string_view bare =
        std::string_view(name).starts_with("index.") ? std::string_view(name).substr(6) : name;
    if (!known_setting(bare)) {
      return illegal(
          fmt::format("unknown setting [index.{}] please check that any required plugins are installed, or "
                      "check the breaking changes documentation for removed settings",
                      bare));
    }
    out[fmt::format("index.{}", bare)] = value;
  }
  return {};
}

Outcome<void> read_aliases(dom::element value, std::set<std::string>& out) {
  dom::object object;
  if (value.get(object) != simdjson::SUCCESS) {
    return refuse(400, "parse_exception", "[aliases] must be an object");
  }
  for (auto [name, body] : object) {
    dom::object options;
    if (body.get(options) != simdjson::SUCCESS || options.begin() != options.end()) {
      return illegal(
          fmt::format("alias [{}]: options such as filter, routing or is_write_index are not supported",
                      std::string_view(name)));
    }
    out.emplace(name);
  }
  return {};
}

Outcome<dom::element> parse_body(dom::parser& parser, std::string_view body) {
  dom::element root;
  if (auto code = parser.parse(body.data(), body.size()).get(root)) {
    return refuse(400, "parse_exception",
                  fmt::format("request body is not JSON: {}", simdjson::error_message(code)));
  }
  if (!root.is_object()) {
    return refuse(400, "parse_exception", "request body must be an object");
  }
  return root;
}

ApiError no_such_index(std::string_view name) {
  return {
      404, "index_not_found_exception", fmt::format("no such index [{}]", name), {}, {}, std::string(name)};
}

std::string flat_settings(const Settings& settings) {
  std::string out = "{";
  for (const auto& [name, value] : settings) {
    out += fmt::format("{}{}:{}", out.size() > 1 ? "," : "", json_string(name), value);
  }
  return out + "}";
}

// {"index":{"codec":...}}, as the server shows settings. The names are sorted, so each object is written
// once; the part of a name below a setting that has a value itself stays dotted.
std::string nested_settings(const Settings& settings) {
  struct Node {
    std::string value;
    std::map<std::string, Node, std::less<>> members;
    void append(std::string& out) const {
      if (!value.empty()) {
        out += value;
        return;
      }
      out += '{';
      const char* comma = "";
      for (const auto& [name, member] : members) {
        out += comma;
        comma = ",";
        out += json_string(name) + ":";
        member.append(out);
      }
      out += '}';
    }
  };
  Node root;
  for (const auto& [name, value] : settings) {
    Node* at = &root;
    std::string_view rest = name;
    for (std::size_t dot = rest.find('.'); dot != std::string_view::npos; dot = rest.find('.')) {
      const auto found = at->members.find(rest.substr(0, dot));
      if (found != at->members.end() && !found->second.value.empty()) {
        break;
      }
      at = &at->members[std::string(rest.substr(0, dot))];
      rest.remove_prefix(dot + 1);
    }
    at->members[std::string(rest)].value = value;
  }
  std::string out;
  root.append(out);
  return out;
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text) {
  std::size_t star = std::string_view::npos;
  std::size_t retry = 0;
  std::size_t p = 0;
  std::size_t t = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') {
    ++p;
  }
  return p == pattern.size();
}

std::vector<std::string_view> split_list(std::string_view list) {
  std::vector<std::string_view> parts;
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    if (comma != 0) {
      parts.push_back(list.substr(0, comma));
    }
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
  }
  return parts;
}

const BlockInfo* Index::block_of(std::uint64_t sequence) const {
  auto at = std::ranges::upper_bound(blocks, sequence, {}, &BlockInfo::first_sequence);
  if (at == blocks.begin()) {
    return nullptr;
  }
  --at;
  return sequence - at->first_sequence < at->rows ? &*at : nullptr;
}

std::string block_key(std::uint32_t index, std::uint64_t first_sequence, BlockPart part, std::size_t chunk) {
  std::string key = index_key(index, 'B');
  append_be64(key, first_sequence);
  key += static_cast<char>(part);
  if (part == BlockPart::kChunk || part == BlockPart::kFilter) {
    append_be32(key, static_cast<std::uint32_t>(chunk));
  }
  return key;
}
std::string meta_key(std::uint32_t index, std::uint64_t first_sequence) {
  std::string key = index_key(index, 'M');
  append_be64(key, first_sequence);
  return key;
}

void put_block(Batch& batch, std::uint32_t index, const EncodedBlock& block) {
  const std::uint64_t first = block.info.first_sequence;
  const Space space = block_space(block.info);
  batch.put(Space::kCatalog, meta_key(index, first), block.meta);
  batch.put(space, block_key(index, first, BlockPart::kIds), block.ids);
  batch.put(space, block_key(index, first, BlockPart::kColumns), block.columns);
  for (std::size_t piece = 0; piece < block.filters.size(); ++piece) {
    batch.put(space, block_key(index, first, BlockPart::kFilter, piece), block.filters[piece]);
  }
  for (std::size_t chunk = 0; chunk < block.chunks.size(); ++chunk) {
    batch.put(space, block_key(index, first, BlockPart::kChunk, chunk), block.chunks[chunk]);
  }
}

Result<std::string> IndexView::part(const BlockInfo& block, BlockPart part, std::size_t chunk) const {
  auto bytes = database->get(block_space(block), block_key(index->number, block.first_sequence, part, chunk),
                             snapshot.get());
  if (!bytes) {
    return fail(std::move(bytes).error());
  }
  if (!*bytes) {
    return fail(ErrorCode::kCorrupt, fmt::format("index [{}]: part {} of the block at document {} is missing",
                                                 index->name, static_cast<char>(part), block.first_sequence));
  }
  return std::move(**bytes);
}

Result<IdsView> IndexView::ids(const BlockInfo& block) const {
  NARU_TRY(std::string bytes, part(block, BlockPart::kIds));
  return IdsView::open(std::move(bytes));
}

Store::Impl::Impl(StoreConfig given, telemetry::Registry& registry)
    : config(std::move(given)),
      documents(registry.counter("naru_store_documents_total", "Documents stored.")),
      duplicates(registry.counter("naru_store_duplicates_total", "Creates of a document that was there.")),
      refused(registry.counter("naru_store_refused_total", "Documents refused by the mapping.")),
      joined(registry.counter("naru_store_joined_blocks_total", "Small blocks that were joined.")),
      maintenance_failures(
          registry.counter("naru_store_maintenance_failures_total", "Background work that failed.")),
      bulk_seconds(
          registry.histogram("naru_store_bulk_seconds", "Time of one bulk, disk included.", kSecondsBounds)),
      search_seconds(registry.histogram("naru_store_search_seconds", "Time of one search.", kSecondsBounds)) {
}

Store::Impl::~Impl() {
  stopping = true;
  {
    const std::lock_guard lock(wake_mutex);
  }
  wake.notify_all();
  if (worker.joinable()) {
    worker.join();
  }
  disk_gauge.reset();
  flood_gauge.reset();
}

Result<void> Store::Impl::load() {
  NARU_TRY(const std::optional<std::string> uuid, database->get(Space::kCatalog, "cluster"));
  if (uuid) {
    cluster_uuid = *uuid;
  } else {
    cluster_uuid = random_name();
    Batch batch;
    batch.put(Space::kCatalog, "cluster", cluster_uuid);
    NARU_TRY_VOID(database->write(std::move(batch), true));
  }
  std::vector<std::pair<std::string, std::string>> stored;
  NARU_TRY_VOID(database->scan(Space::kCatalog, "index/", [&](std::string_view key, std::string_view value) {
    stored.emplace_back(key.substr(6), value);
    return true;
  }));
  for (const auto& [name, json] : stored) {
    auto index = load_index(name, json);
    if (!index) {
      return fail(std::move(index).error().with_context(fmt::format("index [{}]", name)));
    }
    next_number = std::max(next_number, (*index)->number + 1);
    indices.emplace(name, std::move(*index));
  }
  NARU_TRY_VOID(database->scan(Space::kCatalog, "offset/", [&](std::string_view key, std::string_view value) {
    if (value.size() == 8) {
      offsets.emplace(key.substr(7), load_le<std::uint64_t>(value.data()));
    }
    return true;
  }));
  return {};
}

Result<std::shared_ptr<Index>> Store::Impl::load_index(const std::string& name, const std::string& json) {
  const auto corrupt = [](std::string_view what) {
    return fail(ErrorCode::kCorrupt, fmt::format("catalog: {}", what));
  };
  dom::parser parser;
  dom::element root;
  std::uint64_t number = 0;
  std::int64_t created = 0;
  std::string_view uuid;
  if (parser.parse(json).get(root) || root["number"].get(number) || root["created"].get(created) ||
      root["uuid"].get(uuid)) {
    return corrupt("the entry cannot be read");
  }
  auto index = std::make_shared<Index>(*database, name, static_cast<std::uint32_t>(number));
  index->uuid = uuid;
  index->created_millis = created;
  dom::element part;
  if (root["settings"].get(part) == simdjson::SUCCESS) {
    if (!index_settings(part, index->settings)) {
      return corrupt("the settings cannot be read");
    }
  }
  if (root["aliases"].get(part) == simdjson::SUCCESS) {
    if (!read_aliases(part, index->aliases)) {
      return corrupt("the aliases cannot be read");
    }
  }
  auto mapping = std::make_shared<Mapping>();
  if (root["mappings"].get(part) != simdjson::SUCCESS || !mapping->merge(part, SIZE_MAX)) {
    return corrupt("the mapping cannot be read");
  }
  index->mapping = std::move(mapping);
  Result<void> sound;
  NARU_TRY_VOID(database->scan(Space::kCatalog, index_key(index->number, 'M'),
                               [&](std::string_view key, std::string_view value) {
                                 auto info = read_meta(value);
                                 if (!info || key.size() != 13) {
                                   sound = corrupt("the entry of a block cannot be read");
                                   return false;
                                 }
                                 info->first_sequence = load_be64(key.substr(5));
                                 index->next_sequence = info->first_sequence + info->rows;
                                 index->documents += info->rows;
                                 index->stored_bytes += info->stored_bytes;
                                 index->raw_bytes += info->raw_bytes;
                                 index->blocks.push_back(*info);
                                 return true;
                               }));
  NARU_TRY_VOID(std::move(sound));
  auto deleted = std::make_shared<Deleted>();
  NARU_TRY_VOID(database->scan(Space::kCatalog, index_key(index->number, 'D'),
                               [&](std::string_view key, std::string_view) {
                                 deleted->push_back(load_be64(key.substr(5)));
                                 return true;
                               }));
  if (!deleted->empty()) {
    index->deleted = std::move(deleted);
  }
  NARU_TRY_VOID(database->scan(
      Space::kCatalog, index_key(index->number, 'V'), [&](std::string_view key, std::string_view value) {
        index->versions[load_be64(key.substr(5))] = load_le<std::uint32_t>(value.data());
        return true;
      }));
  NARU_TRY_VOID(index->ids.open());
  const IndexView all = view(index);
  for (const BlockInfo& block : index->blocks) {
    if (block.first_sequence + block.rows <= index->ids.covered()) {
      continue;
    }
    NARU_TRY(const IdsView ids, all.ids(block));
    for (std::size_t row = 0; row < ids.rows(); ++row) {
      if (block.first_sequence + row >= index->ids.covered()) {
        index->ids.recent().add(id_hash(ids.id(row)), block.first_sequence + row);
      }
    }
  }
  return index;
}

std::string Store::Impl::catalog_entry(const Index& index) const {
  std::string out =
      fmt::format(R"({{"number":{},"uuid":"{}","created":{},"settings":{},"aliases":{{)", index.number,
                  index.uuid, index.created_millis, flat_settings(index.settings));
  const char* comma = "";
  for (const std::string& alias : index.aliases) {
    out += fmt::format("{}{}:{{}}", comma, json_string(alias));
    comma = ",";
  }
  out += "},\"mappings\":";
  out += index.mapping->to_json();
  return out + "}";
}

IndexView Store::Impl::view(const std::shared_ptr<Index>& index) const {
  IndexView view;
  const std::lock_guard lock(index->mutex);
  view.index = index;
  view.mapping = index->mapping;
  view.deleted = index->deleted;
  view.blocks = index->blocks;
  view.database = database.get();
  view.snapshot = database->snapshot();
  if (const auto window = index->settings.find("index.max_result_window"); window != index->settings.end()) {
    view.result_window = static_cast<std::size_t>(std::strtoull(window->second.c_str() + 1, nullptr, 10));
  }
  return view;
}

std::size_t Store::Impl::fields_max(const Index& index) const {
  const auto limit = index.settings.find("index.mapping.total_fields.limit");
  return limit == index.settings.end()
             ? config.fields_max
             : static_cast<std::size_t>(std::strtoull(limit->second.c_str() + 1, nullptr, 10));
}

std::shared_ptr<Index> Store::Impl::find(std::string_view name) const {
  const std::shared_lock lock(catalog);
  const auto found = indices.find(name);
  return found == indices.end() ? nullptr : found->second;
}

Outcome<std::shared_ptr<Index>> Store::Impl::write_target(std::string_view name) {
  if (auto index = find(name)) {
    return index;
  }
  std::shared_ptr<Index> only;
  {
    const std::shared_lock lock(catalog);
    for (const auto& [_, index] : indices) {
      const std::lock_guard index_lock(index->mutex);
      if (index->aliases.contains(std::string(name))) {
        if (only != nullptr) {
          return illegal(fmt::format(
              "no write index is defined for alias [{}]. The write index may be explicitly disabled "
              "using is_write_index=false or the alias points to multiple indices without one being "
              "designated as a write index",
              name));
        }
        only = index;
      }
    }
  }
  if (only != nullptr) {
    return only;
  }
  if (!may_create(name)) {
    return std::unexpected(no_such_index(name));
  }
  return create(name, {}, true);
}

bool Store::Impl::may_create(std::string_view name) const {
  const std::shared_lock lock(catalog);
  const std::string* value = nullptr;
  for (const Settings* settings : {&persistent, &transient}) {
    if (const auto found = settings->find("action.auto_create_index"); found != settings->end()) {
      value = &found->second;
    }
  }
  if (value == nullptr) {
    return true;
  }
  std::string_view rule = *value;
  rule = rule.substr(1, rule.size() - 2);
  if (rule == "true" || rule == "false") {
    return rule == "true";
  }
  for (std::string_view part : split_list(rule)) {
    const bool allow = part.front() != '-';
    if (part.front() == '-' || part.front() == '+') {
      part.remove_prefix(1);
    }
    if (glob_match(part, name)) {
      return allow;
    }
  }
  return false;
}

Outcome<std::vector<std::shared_ptr<Index>>> Store::Impl::resolve(std::string_view pattern, bool missing_ok,
                                                                  bool through_aliases) const {
  const std::shared_lock lock(catalog);
  std::map<std::string_view, std::shared_ptr<Index>> found;
  if (pattern.empty() || pattern == "_all") {
    pattern = "*";
  }
  for (std::string_view part : split_list(pattern)) {
    if (part.front() == '-' && !found.empty()) {
      std::erase_if(found, [&](const auto& entry) { return glob_match(part.substr(1), entry.first); });
      continue;
    }
    const bool wild = part.find('*') != std::string_view::npos;
    bool any = false;
    for (const auto& [name, index] : indices) {
      bool hit = wild ? glob_match(part, name) : name == part;
      if (!hit && (through_aliases || !wild)) {
        const std::lock_guard index_lock(index->mutex);
        hit = wild ? std::ranges::any_of(index->aliases,
                                         [&](const std::string& alias) { return glob_match(part, alias); })
                   : index->aliases.contains(std::string(part));
        if (hit && !through_aliases) {
          return refuse(
              400, "illegal_argument_exception",
              fmt::format("The provided expression [{}] matches an alias, specify the corresponding "
                          "concrete indices instead.",
                          part));
        }
      }
      if (hit) {
        found.emplace(name, index);
        any = true;
      }
    }
    if (!any && !wild && !missing_ok) {
      return std::unexpected(no_such_index(part));
    }
  }
  std::vector<std::shared_ptr<Index>> list;
  for (auto& [_, index] : found) {
    list.push_back(std::move(index));
  }
  return list;
}

Outcome<std::shared_ptr<Index>> Store::Impl::create(std::string_view name, std::string_view body,
                                                    bool automatic) {
  const auto invalid = [&](std::string_view why) {
    return std::unexpected(ApiError{400,
                                    "invalid_index_name_exception",
                                    fmt::format("Invalid index name [{}], {}", name, why),
                                    {},
                                    {},
                                    std::string(name)});
  };
  if (name.empty() || name.size() > 255 || name == "." || name == "..") {
    return invalid("must have 1 to 255 bytes");
  }
  if (name.front() == '_' || name.front() == '-' || name.front() == '+') {
    return invalid("must not start with '_', '-', or '+'");
  }
  for (char c : name) {
    if ((c >= 'A' && c <= 'Z')) {
      return invalid("must be lowercase");
    }
    if (std::string_view("\\/*?\"<>| ,#:").find(c) != std::string_view::npos ||
        static_cast<unsigned char>(c) < 0x20) {
      return invalid("must not contain the following characters [ , \", *, \\, <, |, ,, >, /, ?, #, :]");
    }
  }
  const std::unique_lock lock(catalog);
  if (const auto existing = indices.find(name); existing != indices.end()) {
    if (automatic) {
      return existing->second;
    }
    return std::unexpected(ApiError{400,
                                    "resource_already_exists_exception",
                                    fmt::format("index [{}/{}] already exists", name, existing->second->uuid),
                                    {},
                                    {},
                                    std::string(name)});
  }
  for (const auto& [_, other] : indices) {
    const std::lock_guard other_lock(other->mutex);
    if (other->aliases.contains(std::string(name))) {
      return invalid("already exists as alias");
    }
  }
  if (indices.size() >= config.indices_max) {
    return refuse(
        400, "validation_exception",
        fmt::format(
            "Validation Failed: 1: this action would add [1] total shards, but this cluster currently has "
            "[{0}]/[{0}] maximum shards open;",
            config.indices_max));
  }
  auto index = std::make_shared<Index>(*database, std::string(name), next_number);
  index->uuid = random_name();
  index->created_millis = static_cast<std::int64_t>(wall_now() / kNanosPerMilli);
  auto mapping = std::make_shared<Mapping>();
  const Template* chosen = nullptr;
  for (const auto& [_, candidate] : templates) {
    if (std::ranges::any_of(candidate.patterns,
                            [&](const std::string& pattern) { return glob_match(pattern, name); }) &&
        (chosen == nullptr || candidate.priority > chosen->priority)) {
      chosen = &candidate;
    }
  }
  dom::parser parser;
  dom::parser own_parser;
  dom::element own;
  const bool has_body = !body.empty();
  if (has_body) {
    NARU_TRY(own, parse_body(own_parser, body));
  }
  if (chosen != nullptr) {
    index->settings = chosen->settings;
    index->aliases = chosen->aliases;
  }
  dom::element part;
  if (has_body) {
    dom::object members = own;
    for (auto [key, value] : members) {
      if (key == "settings") {
        NARU_TRY_VOID(index_settings(value, index->settings));
      } else if (key == "aliases") {
        NARU_TRY_VOID(read_aliases(value, index->aliases));
      } else if (key != "mappings") {
        return refuse(400, "parse_exception",
                      fmt::format("unknown key [{}] for create index", std::string_view(key)));
      }
    }
  }
  const std::size_t limit = fields_max(*index);
  if (chosen != nullptr && !chosen->mappings.empty()) {
    NARU_TRY(part, parse_body(parser, chosen->mappings));
    NARU_TRY_VOID(mapping->merge(part, limit));
  }
  if (has_body && own["mappings"].get(part) == simdjson::SUCCESS) {
    NARU_TRY_VOID(mapping->merge(part, limit));
  }
  index->mapping = std::move(mapping);
  Batch batch;
  batch.put(Space::kCatalog, fmt::format("index/{}", name), catalog_entry(*index));
  if (auto written = database->write(std::move(batch), true); !written) {
    return std::unexpected(from_error(written.error()));
  }
  ++next_number;
  indices.emplace(name, index);
  return index;
}

Result<void> Store::Impl::drop(const std::shared_ptr<Index>& index) {
  const std::unique_lock in_flight(index->overwrite);
  const std::unique_lock lock(catalog);
  {
    const std::lock_guard index_lock(index->mutex);
    if (index->dropped) {
      return {};
    }
    index->dropped = true;
  }
  std::string from;
  std::string to;
  append_be32(from, index->number);
  append_be32(to, index->number + 1);
  Batch batch;
  batch.remove(Space::kCatalog, fmt::format("index/{}", index->name));
  batch.remove_range(Space::kCatalog, from, to);
  batch.remove_range(Space::kData, from, to);
  batch.remove_range(Space::kPassing, from, to);
  NARU_TRY_VOID(database->write(std::move(batch), true));
  indices.erase(index->name);
  to_compact.push_back(index->number);
  return {};
}

Result<std::optional<std::uint64_t>> Store::Impl::find_id(Index& index, std::uint64_t hash,
                                                          std::string_view id, IdCache& cache) const {
  std::vector<std::uint64_t> candidates;
  NARU_TRY_VOID(index.ids.find(hash, candidates));
  for (auto at = candidates.rbegin(); at != candidates.rend(); ++at) {
    if ((*at & IdIndex::kPending) != 0) {
      const auto ticket = index.tickets.find(static_cast<std::uint32_t>(*at >> 32) & 0x7FFFFFFF);
      NARU_CHECK(ticket != index.tickets.end(), "a pending id has its bulk");
      if ((*ticket->second->ids)[static_cast<std::uint32_t>(*at)] == id) {
        return *at;
      }
      continue;
    }
    if (index.deleted != nullptr && std::ranges::binary_search(*index.deleted, *at)) {
      continue;
    }
    const BlockInfo* block = index.block_of(*at);
    if (block == nullptr) {
      continue;
    }
    auto cached = cache.blocks.find(block->first_sequence);
    if (cached == cache.blocks.end()) {
      if (cache.blocks.size() >= kIdCacheBlocks) {
        cache.blocks.erase(cache.blocks.begin());
      }
      NARU_TRY(std::optional<std::string> bytes,
               database->get(block_space(*block),
                             block_key(index.number, block->first_sequence, BlockPart::kIds)));
      if (!bytes) {
        return fail(ErrorCode::kCorrupt,
                    fmt::format("index [{}]: ids of the block at document {} are missing", index.name,
                                block->first_sequence));
      }
      NARU_TRY(IdsView ids, IdsView::open(std::move(*bytes)));
      cached = cache.blocks.emplace(block->first_sequence, std::move(ids)).first;
    }
    if (cached->second.id(*at - block->first_sequence) == id) {
      return *at;
    }
  }
  return std::nullopt;
}

Outcome<std::shared_ptr<const Mapping>> Store::Impl::learn(Index& index, const NewField& field) {
  const std::lock_guard lock(index.mutex);
  const Field& parent = index.mapping->field(field.parent);
  const std::string path = parent.path.empty() ? field.name : fmt::format("{}.{}", parent.path, field.name);
  if (index.mapping->find(path) == nullptr) {
    auto extended = std::make_shared<Mapping>(*index.mapping);
    NARU_TRY_VOID(extended->add_dynamic(field.parent, field.name, field.type, fields_max(index)));
    index.mapping = std::move(extended);
    Batch batch;
    batch.put(Space::kCatalog, fmt::format("index/{}", index.name), catalog_entry(index));
    if (auto written = database->write(std::move(batch), false); !written) {
      return std::unexpected(from_error(written.error()));
    }
  }
  return index.mapping;
}

std::unique_ptr<BlockBuilder> Store::Impl::take_builder() {
  const std::lock_guard lock(builders_mutex);
  if (builders.empty()) {
    return std::make_unique<BlockBuilder>(config.zstd_level);
  }
  auto builder = std::move(builders.back());
  builders.pop_back();
  return builder;
}
void Store::Impl::give_builder(std::unique_ptr<BlockBuilder> builder) {
  const std::lock_guard lock(builders_mutex);
  builders.push_back(std::move(builder));
}

// Background work
// ----------------------------------------------------------------------------------------------

void Store::Impl::run() {
  while (!stopping) {
    {
      std::unique_lock lock(wake_mutex);
      wake.wait_for(lock, std::chrono::milliseconds(config.maintain_millis), [&] { return stopping.load(); });
    }
    if (!stopping) {
      maintain(wall_now());
    }
  }
}

void Store::Impl::maintain(UnixNanos now) {
  const std::lock_guard one(maintain_mutex);
  check_disk();
  std::vector<std::shared_ptr<Index>> all;
  {
    const std::shared_lock lock(catalog);
    for (const auto& [_, index] : indices) {
      all.push_back(index);
    }
  }
  for (const auto& index : all) {
    for (const auto& done : {join_small_blocks(index), merge_runs(index)}) {
      if (!done) {
        maintenance_failures.add();
        telemetry::log_error("store", "background work on index [{}] failed and will be tried again: {}",
                             index->name, done.error().message());
      }
    }
    const std::lock_guard lock(index->mutex);
    if (monotonic_now() - index->last_write > kIdsIdle) {
      index->ids.release();
    }
  }
  enforce_retention(now);
  std::vector<std::uint32_t> numbers;
  {
    const std::unique_lock lock(catalog);
    numbers.swap(to_compact);
  }
  for (std::uint32_t number : numbers) {
    std::string from;
    std::string to;
    append_be32(from, number);
    append_be32(to, number + 1);
    database->compact(Space::kData, from, to);
    database->compact(Space::kPassing, from, to);
    database->compact(Space::kCatalog, from, to);
  }
}

void Store::Impl::check_disk() {
  struct statvfs disk{};
  if (::statvfs(config.directory.c_str(), &disk) != 0) {
    return;
  }
  const bool full = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize < config.disk_free_min;
  if (full == flood) {
    return;
  }
  flood = full;
  telemetry::log_warn("store", "{}",
                      full ? "disk nearly full: documents are refused until space is made (delete indices, "
                             "or make room on the disk)"
                           : "disk has room again: documents are taken");
}

Result<void> Store::Impl::join_small_blocks(const std::shared_ptr<Index>& index) {
  for (;;) {
    std::vector<BlockInfo> chosen;
    {
      const std::lock_guard lock(index->mutex);
      if (index->dropped) {
        return {};
      }
      const bool at_rest = monotonic_now() - index->last_write > kJoinAfter;
      // Neighbours without a gap, newest first: small ones are at the end.
      std::vector<BlockInfo> run;
      std::size_t bytes = 0;
      std::size_t rows = 0;
      const auto wanted = [&] {
        if (run.size() < 2) {
          return false;
        }
        const std::size_t largest = std::ranges::max(run, {}, &BlockInfo::raw_bytes).raw_bytes;
        return bytes >= kSmallBlock || at_rest || (run.size() >= kJoinCount && largest * 2 <= bytes);
      };
      std::vector<BlockInfo> best;
      for (auto at = index->blocks.rbegin(); at != index->blocks.rend(); ++at) {
        const bool small = at->raw_bytes < kSmallBlock;
        const bool fits = run.empty() || (at->first_sequence + at->rows == run.back().first_sequence &&
                                          bytes + at->raw_bytes <= kBlockRawTarget + kSmallBlock &&
                                          rows + at->rows <= kBlockRowsMax);
        if (!small || !fits) {
          if (wanted()) {
            break;
          }
          run.clear();
          bytes = rows = 0;
          if (!small) {
            // What lies before is of the time before this block: joined already, or about to be.
            if (static_cast<std::size_t>(at - index->blocks.rbegin()) > 4096) {
              break;
            }
            continue;
          }
        }
        run.push_back(*at);
        bytes += at->raw_bytes;
        rows += at->rows;
      }
      if (wanted()) {
        chosen.assign(run.rbegin(), run.rend());
      }
    }
    if (chosen.empty()) {
      return {};
    }
    const IndexView all = view(index);
    std::vector<ChunkView> chunks;
    std::vector<IdsView> ids;
    auto builder = take_builder();
    builder->begin(all.mapping);
    NewField learned;
    for (const BlockInfo& block : chosen) {
      NARU_TRY(IdsView names, all.ids(block));
      ids.push_back(std::move(names));
      for (std::size_t chunk = 0; chunk < ids.back().chunks(); ++chunk) {
        NARU_TRY(const std::string bytes, all.part(block, BlockPart::kChunk, chunk));
        NARU_TRY(ChunkView documents_of_chunk, ChunkView::open(bytes));
        chunks.push_back(std::move(documents_of_chunk));
        for (std::size_t i = 0; i < chunks.back().rows(); ++i) {
          const std::size_t row = ids.back().first_row(chunk) + i;
          auto added = builder->add(chunks.back().document(i), ids.back().id(row), learned);
          if (!added || !learned.name.empty()) {
            return fail(ErrorCode::kInternal, fmt::format("a stored document no longer fits its mapping: {}",
                                                          added ? learned.name : added.error().reason));
          }
        }
      }
    }
    EncodedBlock block = builder->finish();
    give_builder(std::move(builder));
    block.info.first_sequence = chosen.front().first_sequence;
    Batch batch;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      const std::uint64_t first = chosen[i].first_sequence;
      batch.remove(Space::kCatalog, meta_key(index->number, first));
      for (const BlockPart part : {BlockPart::kIds, BlockPart::kColumns}) {
        batch.remove(block_space(chosen[i]), block_key(index->number, first, part));
      }
      for (std::size_t piece = 0; piece < chosen[i].filters; ++piece) {
        batch.remove(block_space(chosen[i]), block_key(index->number, first, BlockPart::kFilter, piece));
      }
      for (std::size_t chunk = 0; chunk < ids[i].chunks(); ++chunk) {
        batch.remove(block_space(chosen[i]), block_key(index->number, first, BlockPart::kChunk, chunk));
      }
    }
    put_block(batch, index->number, block);
    const std::lock_guard lock(index->mutex);
    if (index->dropped) {
      return {};
    }
    // Under the lock, so that a search sees either the old list with the old keys or both new. No fsync:
    // after a crash the old blocks are there.
    NARU_TRY_VOID(database->write(std::move(batch), false));
    const auto first =
        std::ranges::find(index->blocks, chosen.front().first_sequence, &BlockInfo::first_sequence);
    for (const BlockInfo& old : chosen) {
      index->stored_bytes -= old.stored_bytes;
    }
    index->stored_bytes += block.info.stored_bytes;
    *first = block.info;
    index->blocks.erase(first + 1, first + static_cast<std::ptrdiff_t>(chosen.size()));
    joined.add(chosen.size());
  }
}

Result<void> Store::Impl::merge_runs(const std::shared_ptr<Index>& index) {
  const std::shared_lock in_flight(index->overwrite);
  for (;;) {
    IdIndex::Merge merge;
    {
      const std::lock_guard lock(index->mutex);
      if (index->dropped) {
        return {};
      }
      merge = index->ids.begin_merge();
    }
    if (merge.from.empty()) {
      return {};
    }
    NARU_TRY_VOID(index->ids.merge(merge));
    const std::lock_guard lock(index->mutex);
    NARU_TRY_VOID(index->ids.end_merge(merge));
  }
}

void Store::Impl::enforce_retention(UnixNanos now) {
  const auto newest = [](const Index& index) {
    std::int64_t time = 0;
    for (const BlockInfo& block : index.blocks) {
      time = std::max(time, block.max_time);
    }
    return time > 0 ? time : index.created_millis * static_cast<std::int64_t>(kNanosPerMilli);
  };
  struct Aged {
    std::int64_t newest;
    std::uint64_t bytes;
    std::shared_ptr<Index> index;
  };
  std::vector<Aged> by_age;
  std::uint64_t stored = 0;
  {
    const std::shared_lock lock(catalog);
    for (const auto& [_, index] : indices) {
      const std::lock_guard index_lock(index->mutex);
      by_age.push_back({newest(*index), index->stored_bytes, index});
      stored += index->stored_bytes;
    }
  }
  std::ranges::sort(by_age, {}, &Aged::newest);
  const std::int64_t oldest_kept =
      static_cast<std::int64_t>(now) -
      static_cast<std::int64_t>(config.retention_days) * static_cast<std::int64_t>(kNanosPerDay);
  std::size_t left = by_age.size();
  for (const auto& [time, bytes, index] : by_age) {
    const bool expired = config.retention_days != 0 && time < oldest_kept;
    const bool too_much = config.disk_bytes_max != 0 && stored > config.disk_bytes_max && left > 1;
    if (!expired && !too_much) {
      break;
    }
    if (auto dropped = drop(index); !dropped) {
      telemetry::log_error("store", "index [{}] should go but cannot be dropped: {}", index->name,
                           dropped.error().message());
      return;
    }
    stored -= std::min(stored, bytes);
    --left;
    telemetry::log_info("store", "dropped index [{}]: {}", index->name,
                        expired ? "older than the retention" : "the store is over its disk limit");
  }
}

// The public face
// ----------------------------------------------------------------------------------------------

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;
const StoreConfig& Store::config() const {
  return impl_->config;
}
const std::string& Store::cluster_uuid() const {
  return impl_->cluster_uuid;
}
void Store::maintain(UnixNanos now) {
  impl_->maintain(now);
}
std::uint64_t Store::disk_bytes() const {
  return impl_->database->disk_bytes();
}

Result<std::unique_ptr<Store>> Store::open(StoreConfig config, telemetry::Registry& registry) {
  DatabaseConfig database;
  database.directory = config.directory;
  database.cache_bytes = config.cache_bytes;
  database.write_buffer_bytes = config.write_buffer_bytes;
  auto impl = std::make_unique<Impl>(std::move(config), registry);
  NARU_TRY(impl->database, Database::open(database));
  NARU_TRY_VOID(impl->load());
  auto store = std::unique_ptr<Store>(new Store(std::move(impl)));
  NARU_TRY_VOID(store->load_catalog());
  Impl& inside = *store->impl_;
  inside.check_disk();
  inside.disk_gauge =
      registry.sampled_gauge("naru_store_disk_bytes", "Bytes of the store's files, logs left out.", {},
                             [&inside] { return static_cast<double>(inside.database->disk_bytes()); });
  inside.flood_gauge =
      registry.sampled_gauge("naru_store_flood_stage", "1 while the disk is too full to take documents.", {},
                             [&inside] { return inside.disk_full() ? 1.0 : 0.0; });
  if (inside.config.maintain_millis != 0) {
    inside.worker = std::thread([&inside] { inside.run(); });
  }
  return store;
}

void Store::give_up_on_a_full_disk() {
  impl_->database->give_up();
}

Result<void> Store::load_catalog() {
  std::vector<std::pair<std::string, std::string>> stored;
  NARU_TRY_VOID(
      impl_->database->scan(Space::kCatalog, "template/", [&](std::string_view key, std::string_view value) {
        stored.emplace_back(key.substr(9), value);
        return true;
      }));
  for (const auto& [name, json] : stored) {
    if (auto put = put_template(name, json); !put) {
      return fail(ErrorCode::kCorrupt, fmt::format("catalog: template [{}]: {}", name, put.error().reason));
    }
  }
  NARU_TRY(const std::optional<std::string> settings, impl_->database->get(Space::kCatalog, "settings"));
  if (settings) {
    if (auto put = put_settings(*settings); !put) {
      return fail(ErrorCode::kCorrupt, fmt::format("catalog: cluster settings: {}", put.error().reason));
    }
  }
  return {};
}

std::optional<std::uint64_t> Store::applied_offset(std::string_view key) const {
  const std::lock_guard lock(impl_->offsets_mutex);
  const auto found = impl_->offsets.find(key);
  return found == impl_->offsets.end() ? std::nullopt : std::optional(found->second);
}

Outcome<void> Store::create_index(std::string_view name, std::string_view body) {
  NARU_TRY(const auto created, impl_->create(name, body, false));
  static_cast<void>(created);
  return {};
}

Outcome<void> Store::drop_indices(std::string_view pattern, bool missing_ok) {
  NARU_TRY(const auto list, impl_->resolve(pattern, missing_ok, false));
  for (const auto& index : list) {
    if (auto dropped = impl_->drop(index); !dropped) {
      return std::unexpected(from_error(dropped.error()));
    }
  }
  return {};
}

Outcome<void> Store::extend_mapping(std::string_view pattern, std::string_view body) {
  NARU_TRY(const auto list, impl_->resolve(pattern, false));
  dom::parser parser;
  NARU_TRY(const dom::element root, parse_body(parser, body));
  for (const auto& index : list) {
    const std::lock_guard lock(index->mutex);
    auto extended = std::make_shared<Mapping>(*index->mapping);
    NARU_TRY_VOID(extended->merge(root, impl_->fields_max(*index)));
    const auto before = std::exchange(index->mapping, std::move(extended));
    Batch batch;
    batch.put(Space::kCatalog, fmt::format("index/{}", index->name), impl_->catalog_entry(*index));
    if (auto written = impl_->database->write(std::move(batch), true); !written) {
      index->mapping = before;
      return std::unexpected(from_error(written.error()));
    }
  }
  return {};
}

Outcome<void> Store::set_alias(std::string_view pattern, std::string_view alias, bool add) {
  NARU_TRY(const auto list, impl_->resolve(pattern, false));
  if (alias.empty() || impl_->find(alias) != nullptr) {
    return refuse(
        400, "invalid_alias_name_exception",
        fmt::format("Invalid alias name [{}]: an index exists with the same name as the alias", alias));
  }
  bool changed = false;
  for (const auto& index : list) {
    const std::lock_guard lock(index->mutex);
    const bool had = index->aliases.contains(std::string(alias));
    if (had == add) {
      continue;
    }
    if (add) {
      index->aliases.emplace(alias);
    } else {
      index->aliases.erase(std::string(alias));
    }
    changed = true;
    Batch batch;
    batch.put(Space::kCatalog, fmt::format("index/{}", index->name), impl_->catalog_entry(*index));
    if (auto written = impl_->database->write(std::move(batch), true); !written) {
      return std::unexpected(from_error(written.error()));
    }
  }
  if (!changed && !add) {
    return refuse(404, "aliases_not_found_exception", fmt::format("aliases [{}] missing", alias));
  }
  return {};
}

Outcome<void> Store::update_aliases(std::string_view body) {
  dom::parser parser;
  NARU_TRY(const dom::element root, parse_body(parser, body));
  dom::object members = root;
  dom::array actions;
  for (auto [key, value] : members) {
    if (key != "actions" || value.get(actions) != simdjson::SUCCESS) {
      return refuse(400, "parsing_exception",
                    fmt::format("[aliases] unknown field [{}]", std::string_view(key)));
    }
  }
  for (dom::element action : actions) {
    dom::object verbs;
    if (action.get(verbs) != simdjson::SUCCESS) {
      return refuse(400, "parsing_exception", "[aliases] an action must be an object");
    }
    for (auto [verb, value] : verbs) {
      dom::object fields;
      if ((verb != "add" && verb != "remove") || value.get(fields) != simdjson::SUCCESS) {
        return refuse(400, "parsing_exception",
                      fmt::format("[aliases] unknown action [{}]", std::string_view(verb)));
      }
      std::string_view index;
      std::string_view alias;
      for (auto [name, text] : fields) {
        if ((name != "index" || text.get(index) != simdjson::SUCCESS) &&
            (name != "alias" || text.get(alias) != simdjson::SUCCESS)) {
          return refuse(
              400, "parsing_exception",
              fmt::format("[{}] unknown field [{}]", std::string_view(verb), std::string_view(name)));
        }
      }
      NARU_TRY_VOID(set_alias(index.empty() ? "-" : index, alias, verb == "add"));
    }
  }
  return {};
}

Outcome<void> Store::put_template(std::string_view name, std::string_view body) {
  dom::parser parser;
  NARU_TRY(const dom::element root, parse_body(parser, body));
  const auto unknown = [&](std::string_view where, std::string_view key) {
    return refuse(400, "x_content_parse_exception",
                  fmt::format("[{}] unknown or unsupported field [{}]", where, key));
  };
  Template made;
  std::string others;  // members that are shown as they were put
  dom::object members = root;
  for (auto [key, value] : members) {
    dom::array list;
    dom::object inner;
    if (key == "index_patterns") {
      std::string_view one;
      if (value.get(one) == simdjson::SUCCESS) {
        made.patterns.emplace_back(one);
      } else if (value.get(list) == simdjson::SUCCESS) {
        for (dom::element pattern : list) {
          if (pattern.get(one) != simdjson::SUCCESS) {
            return unknown("index_template", "index_patterns");
          }
          made.patterns.emplace_back(one);
        }
      }
    } else if (key == "priority") {
      if (value.get(made.priority) != simdjson::SUCCESS || made.priority < 0) {
        return unknown("index_template", "priority");
      }
    } else if (key == "template" && value.get(inner) == simdjson::SUCCESS) {
      for (auto [part, content] : inner) {
        if (part == "settings") {
          NARU_TRY_VOID(index_settings(content, made.settings));
        } else if (part == "mappings") {
          Mapping check;
          NARU_TRY_VOID(check.merge(content, SIZE_MAX));
          made.mappings = simdjson::minify(content);
        } else if (part == "aliases") {
          NARU_TRY_VOID(read_aliases(content, made.aliases));
        } else {
          return unknown("template", part);
        }
      }
    } else if (!(key == "composed_of" && value.get(list) == simdjson::SUCCESS && list.size() == 0) &&
               key != "version" && key != "_meta") {
      return unknown("index_template", key);
    } else {
      others += fmt::format(",{}:{}", json_string(key), simdjson::minify(value));
    }
  }
  if (made.patterns.empty()) {
    return refuse(400, "action_request_validation_exception",
                  "Validation Failed: 1: index patterns are missing;");
  }
  made.raw = "{\"index_patterns\":[";
  for (const std::string& pattern : made.patterns) {
    made.raw += fmt::format("{}{}", made.raw.back() == '[' ? "" : ",", json_string(pattern));
  }
  made.raw += "],\"template\":{";
  const char* comma = "";
  if (!made.settings.empty()) {
    made.raw += fmt::format("\"settings\":{}", nested_settings(made.settings));
    comma = ",";
  }
  if (!made.mappings.empty()) {
    made.raw += fmt::format("{}\"mappings\":{}", comma, made.mappings);
    comma = ",";
  }
  if (!made.aliases.empty()) {
    made.raw += fmt::format("{}\"aliases\":{{", comma);
    for (const std::string& alias : made.aliases) {
      made.raw += fmt::format("{}{}:{{}}", made.raw.back() == '{' ? "" : ",", json_string(alias));
    }
    made.raw += '}';
  }
  made.raw += fmt::format("}},\"priority\":{}{}}}", made.priority, others);
  const std::unique_lock lock(impl_->catalog);
  for (const auto& [other, existing] : impl_->templates) {
    if (other == name || existing.priority != made.priority) {
      continue;
    }
    for (const std::string& pattern : made.patterns) {
      if (std::ranges::any_of(existing.patterns, [&](const std::string& theirs) {
            return glob_match(theirs, pattern) || glob_match(pattern, theirs);
          })) {
        return illegal(fmt::format(
            "index template [{}] has index patterns {} matching patterns from existing templates [{}] "
            "that have the same priority [{}], multiple index templates may not match during index "
            "creation, please use a different priority",
            name, pattern, other, made.priority));
      }
    }
  }
  const auto old = impl_->templates.find(name);
  if (old == impl_->templates.end() || old->second.raw != made.raw) {
    Batch batch;
    batch.put(Space::kCatalog, fmt::format("template/{}", name), made.raw);
    if (auto written = impl_->database->write(std::move(batch), true); !written) {
      return std::unexpected(from_error(written.error()));
    }
  }
  impl_->templates.insert_or_assign(std::string(name), std::move(made));
  return {};
}

Outcome<void> Store::drop_template(std::string_view name) {
  const std::unique_lock lock(impl_->catalog);
  const auto found = impl_->templates.find(name);
  if (found == impl_->templates.end()) {
    return refuse(404, "index_template_missing_exception", fmt::format("index_template [{}] missing", name));
  }
  Batch batch;
  batch.remove(Space::kCatalog, fmt::format("template/{}", name));
  if (auto written = impl_->database->write(std::move(batch), true); !written) {
    return std::unexpected(from_error(written.error()));
  }
  impl_->templates.erase(found);
  return {};
}

Outcome<std::string> Store::templates(std::string_view pattern) const {
  const std::shared_lock lock(impl_->catalog);
  std::string out = "{\"index_templates\":[";
  bool any = false;
  for (const auto& [name, entry] : impl_->templates) {
    if (pattern.empty() || glob_match(pattern, name)) {
      out += fmt::format("{}{{\"name\":{},\"index_template\":{}}}", any ? "," : "", json_string(name),
                         entry.raw);
      any = true;
    }
  }
  if (!any && !pattern.empty() && pattern.find('*') == std::string_view::npos) {
    return refuse(404, "resource_not_found_exception",
                  fmt::format("index template matching [{}] not found", pattern));
  }
  return out + "]}";
}

Outcome<void> Store::put_settings(std::string_view body) {
  dom::parser parser;
  NARU_TRY(const dom::element root, parse_body(parser, body));
  const std::unique_lock lock(impl_->catalog);
  Settings persistent = impl_->persistent;
  Settings transient = impl_->transient;
  dom::object members = root;
  for (auto [key, value] : members) {
    dom::object inner;
    if ((key != "persistent" && key != "transient") || value.get(inner) != simdjson::SUCCESS) {
      return refuse(
          400, "x_content_parse_exception",
          fmt::format("[cluster_update_settings_request] unknown field [{}]", std::string_view(key)));
    }
    Settings flat;
    NARU_TRY_VOID(flatten_settings(inner, "", flat));
    for (auto& [name, setting] : flat) {
      if (name != "action.auto_create_index" && !name.starts_with("cluster.")) {
        return illegal(fmt::format("{} setting [{}], not recognized", std::string_view(key), name));
      }
      Settings& into = key == "persistent" ? persistent : transient;
      if (setting == "null") {
        into.erase(name);
      } else {
        into[name] = std::move(setting);
      }
    }
  }
  Batch batch;
  batch.put(Space::kCatalog, "settings", fmt::format("{{\"persistent\":{}}}", flat_settings(persistent)));
  if (auto written = impl_->database->write(std::move(batch), true); !written) {
    return std::unexpected(from_error(written.error()));
  }
  impl_->persistent = std::move(persistent);
  impl_->transient = std::move(transient);
  return {};
}

std::string Store::cluster_settings(bool flat) const {
  const std::shared_lock lock(impl_->catalog);
  const auto shown = flat ? flat_settings : nested_settings;
  return fmt::format("{{\"persistent\":{},\"transient\":{}}}", shown(impl_->persistent),
                     shown(impl_->transient));
}

Outcome<std::string> Store::describe(std::string_view pattern, Parts parts) const {
  NARU_TRY(const auto list, impl_->resolve(pattern, false));
  std::string out = "{";
  for (const auto& index : list) {
    const std::lock_guard lock(index->mutex);
    out += fmt::format("{}{}:{{", out.size() > 1 ? "," : "", json_string(index->name));
    const char* comma = "";
    if (parts.aliases) {
      out += "\"aliases\":{";
      for (const std::string& alias : index->aliases) {
        out += fmt::format("{}{}:{{}}", comma, json_string(alias));
        comma = ",";
      }
      out += '}';
      comma = ",";
    }
    if (parts.mappings) {
      out += fmt::format("{}\"mappings\":{}", comma, index->mapping->to_json());
      comma = ",";
    }
    if (parts.settings) {
      Settings shown = index->settings;
      shown["index.uuid"] = json_string(index->uuid);
      shown["index.creation_date"] = fmt::format("\"{}\"", index->created_millis);
      shown["index.provided_name"] = json_string(index->name);
      shown.try_emplace("index.number_of_shards", "\"1\"");
      shown.try_emplace("index.number_of_replicas", "\"0\"");
      out +=
          fmt::format("{}\"settings\":{}", comma, parts.flat ? flat_settings(shown) : nested_settings(shown));
    }
    out += '}';
  }
  return out + "}";
}

Outcome<std::string> Store::aliases(std::string_view pattern, std::string_view alias) const {
  NARU_TRY(const auto list, impl_->resolve(pattern, false));
  std::string out = "{";
  for (const auto& index : list) {
    const std::lock_guard lock(index->mutex);
    std::string shown;
    for (const std::string& name : index->aliases) {
      if (alias.empty() || std::ranges::any_of(split_list(alias), [&](std::string_view part) {
            return glob_match(part, name);
          })) {
        shown += fmt::format("{}{}:{{}}", shown.empty() ? "" : ",", json_string(name));
      }
    }
    if (!shown.empty() || alias.empty()) {
      out += fmt::format("{}{}:{{\"aliases\":{{{}}}}}", out.size() > 1 ? "," : "", json_string(index->name),
                         shown);
    }
  }
  if (out.size() == 1 && !alias.empty() && alias.find('*') == std::string_view::npos) {
    return refuse(404, "aliases_not_found_exception", fmt::format("alias [{}] missing", alias));
  }
  return out + "}";
}

Outcome<std::vector<IndexSummary>> Store::summaries(std::string_view pattern) const {
  NARU_TRY(const auto list, impl_->resolve(pattern, false));
  std::vector<IndexSummary> out;
  for (const auto& index : list) {
    const std::lock_guard lock(index->mutex);
    IndexSummary summary;
    summary.name = index->name;
    summary.uuid = index->uuid;
    summary.deleted = index->deleted == nullptr ? 0 : index->deleted->size();
    summary.documents = index->documents - summary.deleted;
    summary.stored_bytes = index->stored_bytes;
    summary.raw_bytes = index->raw_bytes;
    summary.created_millis = index->created_millis;
    out.push_back(std::move(summary));
  }
  return out;
}

Outcome<std::string> Store::search(std::string_view pattern, std::string_view body,
                                   const SearchOptions& options) const {
  const std::uint64_t started = monotonic_now();
  NARU_TRY(const auto list, impl_->resolve(pattern, options.ignore_unavailable));
  const auto now = static_cast<Nanos>(options.now);
  NARU_TRY(SearchRequest request, parse_search(body, options.count_only, now));
  if (options.size) {
    request.size = *options.size;
  }
  if (options.from) {
    request.from = *options.from;
  }
  if (options.track_total_hits) {
    request.track_total = *options.track_total_hits == "true" ? UINT64_MAX
                          : *options.track_total_hits == "false"
                              ? 0
                              : std::strtoull(options.track_total_hits->c_str(), nullptr, 10);
  }
  if (options.q) {
    NARU_TRY(request.query, parse_query_string(*options.q, {}, false));
  }
  if (!request.timeout_millis) {
    request.timeout_millis = impl_->config.search_millis_max;
  }
  request.timeout_millis = std::min(*request.timeout_millis, impl_->config.search_millis_max);
  std::vector<IndexView> views;
  views.reserve(list.size());
  for (const auto& index : list) {
    views.push_back(impl_->view(index));
  }
  const FindIdsIn find_ids = [&](const IndexView& view,
                                 const std::vector<std::string>& ids) -> Result<std::vector<std::uint64_t>> {
    std::vector<std::uint64_t> found;
    Impl::IdCache cache;
    // The view holds the index for reading; the look-up needs its lock.
    const auto index = impl_->find(view.index->name);
    if (index == nullptr) {
      return found;
    }
    const std::lock_guard lock(index->mutex);
    for (const std::string& id : ids) {
      NARU_TRY(const std::optional<std::uint64_t> sequence, impl_->find_id(*index, id_hash(id), id, cache));
      if (sequence && (*sequence & IdIndex::kPending) == 0) {
        found.push_back(*sequence);
      }
    }
    return found;
  };
  auto answer = run_search(views, request, now, find_ids);
  impl_->search_seconds.observe(static_cast<double>(monotonic_now() - started) / 1e9);
  return answer;
}

Outcome<Store::Document> Store::document(std::string_view name, std::string_view id) const {
  const std::shared_ptr<Index> target = [&]() -> std::shared_ptr<Index> {
    if (auto index = impl_->find(name)) {
      return index;
    }
    auto list = impl_->resolve(name, true);
    return list && list->size() == 1 ? list->front() : nullptr;
  }();
  if (target == nullptr) {
    return std::unexpected(no_such_index(name));
  }
  const IndexView view = impl_->view(target);
  const auto failed = [](const Error& error) { return std::unexpected(from_error(error)); };
  std::optional<std::uint64_t> sequence;
  std::uint32_t version = 1;
  {
    const std::lock_guard lock(target->mutex);
    Impl::IdCache cache;
    auto found = impl_->find_id(*target, id_hash(id), id, cache);
    if (!found) {
      return failed(found.error());
    }
    sequence = *found;
    if (const auto known = target->versions.find(id_hash(id)); known != target->versions.end()) {
      version = known->second;
    }
  }
  const auto at = std::ranges::find_if(view.blocks, [&](const BlockInfo& block) {
    return sequence && *sequence >= block.first_sequence && *sequence - block.first_sequence < block.rows;
  });
  if (!sequence || at == view.blocks.end()) {  // a document that is being stored right now is not there yet
    return Document{false, fmt::format(R"({{"_index":{},"_id":{},"found":false}})", json_string(target->name),
                                       json_string(id))};
  }
  const std::size_t row = *sequence - at->first_sequence;
  auto ids = view.ids(*at);
  if (!ids) {
    return failed(ids.error());
  }
  const std::size_t chunk = ids->chunk_of(row);
  auto bytes = view.part(*at, BlockPart::kChunk, chunk);
  if (!bytes) {
    return failed(bytes.error());
  }
  auto documents = ChunkView::open(*bytes);
  if (!documents) {
    return failed(documents.error());
  }
  return Document{
      true,
      fmt::format(
          R"({{"_index":{},"_id":{},"_version":{},"_seq_no":{},"_primary_term":1,"found":true,"_source":{}}})",
          json_string(target->name), json_string(id), version, *sequence,
          documents->document(row - ids->first_row(chunk)))};
}

}  // namespace naru::store
