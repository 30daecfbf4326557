// `_bulk`: lines -> items -> blocks -> one atomic, synced write -> one answer per item.
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <deque>

#include "core/base/bytes.h"
#include "core/base/check.h"
#include "core/base/json_text.h"
#include "core/base/random.h"
#include "store/impl.h"

namespace naru::store {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kIdBytesMax = 512;

struct Item {
  enum class State : std::uint8_t {
    kNew,        // will be stored
    kConflict,   // create of an id that is there
    kFollowing,  // create of an id that an earlier item of this bulk, or another bulk in flight, is storing
    kFailed,
    kStored,
  };
  bool create = true;
  bool generated_id = false;
  State state = State::kNew;
  std::uint32_t group = 0;
  std::uint32_t error = 0;             // place in errors
  std::uint32_t follows = UINT32_MAX;  // item of this bulk
  std::uint32_t version = 1;
  std::string_view document;
  std::uint64_t hash = 0;
  std::uint64_t sequence = 0;
  std::uint64_t replaces = UINT64_MAX;
  std::shared_future<bool> other;  // commit of the other bulk
};

// The items of one index.
struct Group {
  std::shared_ptr<Index> index;
  std::string name;  // as asked for
  std::optional<ApiError> error;
  bool overwrites = false;
  std::vector<std::uint32_t> items;
  std::size_t bytes = 0;
  Ticket ticket;
  std::uint32_t ticket_number = 0;
  std::vector<EncodedBlock> blocks;
  std::vector<std::vector<std::uint32_t>> block_items;

  std::uint64_t mark(std::uint32_t item) const {
    return IdIndex::kPending | static_cast<std::uint64_t>(ticket_number) << 32 | item;
  }
};

std::unexpected<ApiError> malformed(std::size_t line, std::string_view what) {
  return illegal(fmt::format("Malformed action/metadata line [{}], {}", line, what));
}

struct Bulk {
  std::vector<Item> items;
  std::vector<std::string_view> ids;
  std::vector<Group> groups;
  std::vector<ApiError> errors;
  std::deque<std::string> texts;  // ids and names that do not stand in the body as they are

  void fail_item(Item& item, ApiError error) {
    item.state = Item::State::kFailed;
    item.error = static_cast<std::uint32_t>(errors.size());
    errors.push_back(std::move(error));
  }

  Outcome<void> parse(std::string_view body, std::string_view default_index, std::size_t items_max);
};

Outcome<void> Bulk::parse(std::string_view body, std::string_view default_index, std::size_t items_max) {
  if (body.empty()) {
    return refuse(400, "parse_exception", "request body is required");
  }
  if (body.back() != '\n') {
    return illegal("The bulk request must be terminated by a newline [\\n]");
  }
  dom::parser parser;
  std::size_t line = 0;
  std::uint32_t last_group = UINT32_MAX;
  std::size_t at = 0;
  const auto next_line = [&] {
    const std::size_t end = body.find('\n', at);
    const std::string_view text = body.substr(at, end - at);
    at = end + 1;
    ++line;
    return text;
  };
  while (at < body.size()) {
    const std::string_view action = next_line();
    if (action.empty() || action == "\r") {
      continue;
    }
    if (items.size() >= items_max) {
      return refuse(413, "content_too_long_exception",
                    fmt::format("a bulk may hold at most {} items", items_max));
    }
    dom::element root;
    dom::object outer;
    // Behind every line of the body there is enough of it, or of its reserve, to read.
    if (auto code = parser.parse(action.data(), action.size(), false).get(root)) {
      return malformed(line, fmt::format("not JSON: {}", simdjson::error_message(code)));
    }
    if (root.get(outer) != simdjson::SUCCESS) {
      return malformed(line, "expected START_OBJECT");
    }
    if (outer.size() != 1) {
      return malformed(line, "expected one action");
    }
    const auto member = *outer.begin();
    Item item;
    item.create = member.key == "create";
    if (!item.create && member.key != "index") {
      if (member.key == "delete" || member.key == "update") {
        return illegal(
            fmt::format("Action/metadata line [{}]: the action [{}] is not supported by the embedded store",
                        line, member.key));
      }
      return malformed(
          line,
          fmt::format("expected field [create], [delete], [index] or [update] but found [{}]", member.key));
    }
    dom::object fields;
    if (member.value.get(fields) != simdjson::SUCCESS) {
      return malformed(line, "expected START_OBJECT behind the action");
    }
    std::string_view index = default_index;
    std::string_view id;
    bool has_id = false;
    for (auto [key, value] : fields) {
      if (key == "_index") {
        if (value.get(index) != simdjson::SUCCESS) {
          return malformed(line, "[_index] must be a string");
        }
      } else if (key == "_id") {
        if (!value.is_null()) {
          if (value.get(id) != simdjson::SUCCESS) {
            texts.push_back(simdjson::minify(value));
            id = texts.back();
          }
          has_id = true;
        }
      } else if (bool flag = false; key != "require_alias" || value.get(flag) != simdjson::SUCCESS || flag) {
        return illegal(fmt::format("Action/metadata line [{}] contains an unknown parameter [{}]", line,
                                   std::string_view(key)));
      }
    }
    if (index.empty()) {
      return refuse(400, "action_request_validation_exception", "Validation Failed: 1: index is missing;");
    }
    if (id.size() > kIdBytesMax) {
      return refuse(
          400, "action_request_validation_exception",
          fmt::format(
              "Validation Failed: 1: id [{}] is too long, must be no longer than 512 bytes but was: {};", id,
              id.size()));
    }
    if (at >= body.size()) {
      return refuse(400, "action_request_validation_exception", "Validation Failed: 1: no requests added;");
    }
    // Ids are read from the parser's own memory, which the next line overwrites: keep those of the body.
    if (has_id) {
      const std::size_t place = action.find(id);
      if (place != std::string_view::npos && !id.empty()) {
        id = action.substr(place, id.size());
      } else {
        texts.emplace_back(id);
        id = texts.back();
      }
    } else {
      const auto bytes = random_16();
      unsigned char raw[16];
      std::ranges::copy(bytes, raw);
      texts.emplace_back(kId22Size, '\0');
      write_id22(raw, texts.back().data());
      id = texts.back();
      item.generated_id = true;
    }
    if (last_group == UINT32_MAX || groups[last_group].name != index) {
      const auto known = std::ranges::find(groups, index, &Group::name);
      last_group = static_cast<std::uint32_t>(known - groups.begin());
      if (known == groups.end()) {
        groups.emplace_back();
        groups.back().name = index;
      }
    }
    item.group = last_group;
    Group& group = groups[last_group];
    group.overwrites |= !item.create && has_id;
    item.document = next_line();
    if (!item.document.empty() && item.document.back() == '\r') {
      item.document.remove_suffix(1);
    }
    group.bytes += item.document.size();
    item.hash = id_hash(id);
    if (id.empty()) {
      fail_item(item,
                {400, "illegal_argument_exception", "if _id is specified it must not be empty", {}, {}, {}});
    } else {
      group.items.push_back(static_cast<std::uint32_t>(items.size()));
    }
    items.push_back(std::move(item));
    ids.push_back(id);
  }
  if (items.empty()) {
    return refuse(400, "action_request_validation_exception", "Validation Failed: 1: no requests added;");
  }
  return {};
}

// append_json_string() for texts that nearly always need no escapes.
void append_name(std::string& out, std::string_view text) {
  if (std::ranges::all_of(text, [](char c) { return c >= ' ' && c < 0x7F && c != '"' && c != '\\'; })) {
    out += '"';
    out += text;
    out += '"';
  } else {
    append_json_string(out, text);
  }
}

void append_answer(std::string& out, const Bulk& bulk, std::size_t number) {
  const Item& item = bulk.items[number];
  const Group& group = bulk.groups[item.group];
  const std::string& name = group.index != nullptr ? group.index->name : group.name;
  out += item.create ? "{\"create\":{\"_index\":" : "{\"index\":{\"_index\":";
  append_name(out, name);
  out += ",\"_id\":";
  append_name(out, bulk.ids[number]);
  switch (item.state) {
    case Item::State::kStored:
      fmt::format_to(std::back_inserter(out),
                     ",\"_version\":{},\"result\":\"{}\",\"_shards\":{{\"total\":1,\"successful\":1,"
                     "\"failed\":0}},\"_seq_no\":{},"
                     "\"_primary_term\":1,\"status\":{}}}}}",
                     item.version, item.replaces == UINT64_MAX ? "created" : "updated", item.sequence,
                     item.replaces == UINT64_MAX ? 201 : 200);
      return;
    case Item::State::kConflict: {
      ApiError conflict{409,
                        "version_conflict_engine_exception",
                        fmt::format("[{}]: version conflict, document already exists (current version [{}])",
                                    bulk.ids[number], item.version),
                        {},
                        {},
                        name};
      out += ",\"status\":409,\"error\":";
      append_error_object(out, conflict);
      break;
    }
    default: {
      const ApiError& error = bulk.errors[item.error];
      fmt::format_to(std::back_inserter(out), ",\"status\":{},\"error\":", error.status);
      append_error_object(out, error);
    }
  }
  out += "}}";
}

}  // namespace

Outcome<std::string> Store::bulk(std::string body, const BulkOptions& options) {
  const std::uint64_t started = monotonic_now();
  body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
  Bulk bulk;
  NARU_TRY_VOID(bulk.parse(body, options.index, impl_->config.bulk_items_max));
  using State = Item::State;

  // Where each item goes. Index numbers give the order of all locks below.
  for (Group& group : bulk.groups) {
    if (impl_->disk_full()) {
      group.error = from_error(Error(ErrorCode::kNoSpace, fmt::format("index [{}]", group.name)));
      continue;
    }
    auto target = impl_->write_target(group.name);
    if (target) {
      group.index = std::move(*target);
    } else {
      group.error = std::move(target).error();
    }
  }
  std::vector<Group*> order;
  for (Group& group : bulk.groups) {
    if (group.index != nullptr) {
      order.push_back(&group);
    }
  }
  std::ranges::sort(order, {}, [](const Group* group) { return group->index->number; });
  // An index and its alias in one bulk: one group takes all.
  for (std::size_t i = 1; i < order.size();) {
    if (order[i]->index != order[i - 1]->index) {
      ++i;
      continue;
    }
    Group& into = *order[i - 1];
    const auto number = static_cast<std::uint32_t>(&into - bulk.groups.data());
    for (std::uint32_t item : order[i]->items) {
      bulk.items[item].group = number;
      into.items.push_back(item);
    }
    std::ranges::sort(into.items);
    into.overwrites |= order[i]->overwrites;
    into.bytes += order[i]->bytes;
    order[i]->items.clear();
    order.erase(order.begin() + static_cast<std::ptrdiff_t>(i));
  }
  std::vector<std::shared_lock<std::shared_mutex>> shared;
  std::vector<std::unique_lock<std::shared_mutex>> exclusive;
  for (Group* group : order) {
    if (group->overwrites) {
      exclusive.emplace_back(group->index->overwrite);
    } else {
      shared.emplace_back(group->index->overwrite);
    }
  }

  // Which ids are there already. New ones are marked, so that another bulk meets them from now on.
  std::promise<bool> promise;
  const std::shared_future<bool> committed = promise.get_future().share();
  for (Group* group : order) {
    Index& index = *group->index;
    group->ticket.committed = committed;
    group->ticket.ids = &bulk.ids;
    Store::Impl::IdCache cache;
    const std::lock_guard lock(index.mutex);
    if (index.dropped) {
      group->error = ApiError{
          404,       "index_not_found_exception", fmt::format("no such index [{}]", index.name), {}, {},
          index.name};
      continue;
    }
    group->ticket_number = index.next_ticket;
    index.next_ticket = (index.next_ticket + 1) & 0x3FFFFFFF;
    index.tickets.emplace(group->ticket_number, &group->ticket);
    for (std::uint32_t number : group->items) {
      Item& item = bulk.items[number];
      if (!item.generated_id) {
        auto found = impl_->find_id(index, item.hash, bulk.ids[number], cache);
        if (!found) {
          bulk.fail_item(item, from_error(found.error()));
          continue;
        }
        if (*found) {
          const std::uint64_t existing = **found;
          const bool pending = (existing & IdIndex::kPending) != 0;
          const auto ticket = static_cast<std::uint32_t>(existing >> 32) & 0x7FFFFFFF;
          if (pending && ticket == group->ticket_number) {
            item.follows = static_cast<std::uint32_t>(existing);
            item.state = State::kFollowing;
            continue;
          }
          if (pending) {
            NARU_CHECK(item.create, "an overwriting bulk is alone with its index");
            item.other = index.tickets.at(ticket)->committed;
            item.state = State::kFollowing;
            continue;
          }
          const auto version = index.versions.find(item.hash);
          item.version = version == index.versions.end() ? 1 : version->second;
          if (item.create) {
            item.state = State::kConflict;
            continue;
          }
          item.replaces = existing;
          ++item.version;
        }
      }
      index.ids.recent().add(item.hash, group->mark(number));
    }
  }

  // Documents become blocks.
  for (Group* group : order) {
    if (group->error) {
      continue;
    }
    auto builder = impl_->take_builder();
    std::shared_ptr<const Mapping> mapping;
    {
      const std::lock_guard lock(group->index->mutex);
      mapping = group->index->mapping;
    }
    builder->begin(mapping);
    const std::size_t count =
        std::max<std::size_t>(1, (group->bytes + kBlockRawTarget / 2) / kBlockRawTarget);
    const std::size_t target = group->bytes / count + 1;
    std::vector<std::uint32_t> members;
    std::unordered_map<std::uint32_t, std::uint32_t>
        latest;  // first item with an id -> the last one that is stored
    const auto finish = [&] {
      if (builder->rows() > 0) {
        group->blocks.push_back(builder->finish());
        group->block_items.push_back(std::move(members));
        members.clear();
      }
    };
    for (std::uint32_t number : group->items) {
      Item& item = bulk.items[number];
      if (item.follows != UINT32_MAX) {
        const std::uint32_t first = item.follows;
        if (const auto later = latest.find(item.follows); later != latest.end()) {
          item.follows = later->second;
        }
        Item& earlier = bulk.items[item.follows];
        if (earlier.state != State::kFailed && item.create) {
          item.state = State::kConflict;
          continue;
        }
        // The earlier one was refused, or this one overwrites it: it takes the place. Of two versions in one
        // bulk only the last is stored.
        const std::lock_guard lock(group->index->mutex);
        group->index->ids.recent().add(item.hash, group->mark(number));
        item.state = State::kNew;
        latest[first] = number;
        if (earlier.state == State::kNew) {
          item.replaces = UINT64_MAX - 1;
          item.version = earlier.version + 1;
        }
      }
      if (item.state != State::kNew) {
        continue;
      }
      NewField learned;
      Outcome<void> added;
      for (;;) {
        added = builder->add(item.document, bulk.ids[number], learned);
        if (!added || learned.name.empty()) {
          break;
        }
        auto extended = impl_->learn(*group->index, learned);
        if (!extended) {
          added = std::unexpected(std::move(extended).error());
          break;
        }
        builder->set_mapping(std::move(*extended));
      }
      if (!added) {
        bulk.fail_item(item, std::move(added).error());
        const std::lock_guard lock(group->index->mutex);
        group->index->ids.recent().remove(item.hash, group->mark(number));
        continue;
      }
      members.push_back(number);
      if (builder->raw_bytes() >= target || builder->rows() == kBlockRowsMax) {
        finish();
      }
    }
    finish();
    impl_->give_builder(std::move(builder));
  }

  // Sequence numbers, then one synced write for all indices.
  Batch batch;
  bool writes = options.applied.has_value();
  for (Group* group : order) {
    Index& index = *group->index;
    {
      const std::lock_guard lock(index.mutex);
      for (EncodedBlock& block : group->blocks) {
        block.info.first_sequence = index.next_sequence;
        index.uncommitted.insert(index.next_sequence);
        index.next_sequence += block.info.rows;
      }
    }
    for (std::size_t i = 0; i < group->blocks.size(); ++i) {
      EncodedBlock& block = group->blocks[i];
      writes = true;
      for (std::size_t row = 0; row < group->block_items[i].size(); ++row) {
        bulk.items[group->block_items[i][row]].sequence = block.info.first_sequence + row;
      }
      put_block(batch, index.number, block);
      block.chunks.clear();
    }
    for (std::uint32_t number : group->items) {
      Item& item = bulk.items[number];
      if (item.state != State::kNew || item.replaces == UINT64_MAX) {
        continue;
      }
      if (item.replaces == UINT64_MAX - 1) {
        item.replaces = bulk.items[item.follows].sequence;
      }
      std::string key = index_key(index.number, 'D');
      append_be64(key, item.replaces);
      batch.put(Space::kCatalog, key, "");
      key = index_key(index.number, 'V');
      append_be64(key, item.hash);
      std::string version;
      append_le<std::uint32_t>(version, item.version);
      batch.put(Space::kCatalog, key, version);
    }
  }
  if (options.applied) {
    std::string value;
    append_le<std::uint64_t>(value, options.applied->offset);
    batch.put(Space::kCatalog, fmt::format("offset/{}", options.applied->key), value);
  }
  Result<void> written;
  if (writes) {
    written = impl_->database->write(std::move(batch), true);
  }
  if (written && options.applied) {
    const std::lock_guard lock(impl_->offsets_mutex);
    impl_->offsets.insert_or_assign(options.applied->key, options.applied->offset);
  }

  // Make it visible.
  std::uint64_t stored = 0;
  for (Group* group : order) {
    if (group->error) {
      continue;
    }
    Index& index = *group->index;
    const std::lock_guard lock(index.mutex);
    std::shared_ptr<Deleted> deleted;
    for (std::size_t i = 0; i < group->blocks.size(); ++i) {
      const BlockInfo& info = group->blocks[i].info;
      index.uncommitted.erase(info.first_sequence);
      if (written) {
        index.blocks.insert(
            std::ranges::upper_bound(index.blocks, info.first_sequence, {}, &BlockInfo::first_sequence),
            info);
        index.documents += info.rows;
        index.stored_bytes += info.stored_bytes;
        index.raw_bytes += info.raw_bytes;
        stored += info.rows;
      }
      for (std::uint32_t number : group->block_items[i]) {
        Item& item = bulk.items[number];
        if (!written) {
          index.ids.recent().remove(item.hash, group->mark(number));
          bulk.fail_item(item, from_error(written.error()));
          continue;
        }
        item.state = State::kStored;
        index.ids.recent().replace(item.hash, group->mark(number), item.sequence);
        if (item.replaces != UINT64_MAX) {
          if (deleted == nullptr) {
            deleted = index.deleted == nullptr ? std::make_shared<Deleted>()
                                               : std::make_shared<Deleted>(*index.deleted);
          }
          deleted->push_back(item.replaces);
          index.versions[item.hash] = item.version;
        }
      }
    }
    if (deleted != nullptr) {
      std::ranges::sort(*deleted);
      index.deleted = std::move(deleted);
    }
    index.tickets.erase(group->ticket_number);
    index.last_write = monotonic_now();
    if (auto flushed = index.ids.flush(index.stable()); !flushed) {
      impl_->maintenance_failures.add();  // the entries stay in memory and are tried with the next bulk
    }
  }
  promise.set_value(written.has_value());
  shared.clear();
  exclusive.clear();

  bool errors = false;
  std::uint64_t conflicts = 0;
  std::uint64_t refused = 0;
  for (Item& item : bulk.items) {
    Group& group = bulk.groups[item.group];
    if (group.error && item.state != State::kFailed) {
      bulk.fail_item(item, *group.error);
    }
    if (item.state == State::kConflict && item.follows != UINT32_MAX &&
        bulk.items[item.follows].state == State::kFailed) {
      bulk.fail_item(item, bulk.errors[bulk.items[item.follows].error]);
    }
    if (item.state == State::kFollowing) {
      if (item.other.valid() && item.other.get()) {
        item.state = State::kConflict;
      } else {
        bulk.fail_item(item, {503,
                              "unavailable_shards_exception",
                              "another request was storing the same document and failed: send it again",
                              {},
                              {},
                              {}});
      }
    }
    conflicts += item.state == State::kConflict;
    refused += item.state == State::kFailed;
    errors |= item.state != State::kStored;
  }
  std::string out;
  out.reserve(bulk.items.size() * 220 + 64);
  fmt::format_to(std::back_inserter(out), "{{\"took\":{},\"errors\":{},\"items\":[",
                 (monotonic_now() - started) / kNanosPerMilli, errors);
  for (std::size_t i = 0; i < bulk.items.size(); ++i) {
    if (i != 0) {
      out += ',';
    }
    append_answer(out, bulk, i);
  }
  out += "]}";
  impl_->documents.add(stored);
  impl_->duplicates.add(conflicts);
  impl_->refused.add(refused);
  impl_->bulk_seconds.observe(static_cast<double>(monotonic_now() - started) / 1e9);
  return out;
}

}  // namespace naru::store
