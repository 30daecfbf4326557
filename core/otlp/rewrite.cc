#include "core/otlp/rewrite.h"

#include <algorithm>
#include <bit>
#include <deque>
#include <optional>
#include <utility>

#include "core/base/hash.h"
#include "core/otlp/build.h"
#include "core/otlp/identity.h"

namespace naru::otlp {
namespace {

// Field numbers shared by all signals (otlp.h): request and groups.
constexpr std::uint32_t kGroup = 1;          // request -> resource group
constexpr std::uint32_t kResource = 1;       // resource group -> resource
constexpr std::uint32_t kScopeGroup = 2;     // resource group -> scope group
constexpr std::uint32_t kScope = 1;          // scope group -> scope
constexpr std::uint32_t kRecord = 2;         // scope group -> record
constexpr std::uint32_t kSchemaUrl = 3;      // of both groups
constexpr std::uint32_t kLogBody = 5;        // log record
constexpr std::uint32_t kSpanTraceId = 1;    // span
constexpr std::uint32_t kMetricPoints = 1;   // gauge, sum, ...
constexpr std::size_t kMessageFieldMax = 6;  // tag and padded length

Error malformed(Signal signal) {
  return Error(ErrorCode::kInvalidArgument,
               "the request is no valid OTLP " + std::string(to_string(signal)) + " protobuf message");
}

std::size_t field_size(std::size_t payload) {
  return 1 + varint_size(payload) + payload;
}

std::uint32_t attributes_field(Signal signal) {
  return signal == Signal::kTraces ? kSpanAttributes : kLogAttributes;
}

// Walks a message and knows where each field's own bytes begin.
class Fields {
 public:
  explicit Fields(std::string_view message) : reader_(message) {}
  bool next() {
    begin_ = reader_.position();
    return reader_.next();
  }
  const Reader& in() const { return reader_; }
  bool ok() const { return reader_.ok(); }
  std::string_view raw() const { return {begin_, static_cast<std::size_t>(reader_.position() - begin_)}; }

 private:
  Reader reader_;
  const char* begin_ = nullptr;
};

// --- identify

bool is_reserved(std::string_view attribute, bool& ok) {
  KeyValue entry;
  if (!parse(attribute, entry)) {
    ok = false;
    return false;
  }
  return entry.key.starts_with(kReservedPrefix);
}

// nullopt: malformed.
std::optional<bool> has_reserved(std::string_view message, std::uint32_t field) {
  Messages attributes(message, field);
  bool ok = true;
  while (attributes.next()) {
    if (is_reserved(attributes.bytes(), ok)) {
      return true;
    }
    if (!ok) {
      return std::nullopt;
    }
  }
  return attributes.ok() ? std::optional(false) : std::nullopt;
}

class Identifier {
 public:
  explicit Identifier(const IdentifyOptions& options) : options_(options) {}

  Result<Identified> run(std::string request) {
    NARU_TRY(const bool unchanged, inspect(request));
    if (unchanged) {
      result_.request = std::move(request);
      return std::move(result_);
    }
    result_.request.reserve(request.size() + request.size() / 8 + 256);
    Fields groups(request);
    while (groups.next()) {
      if (groups.in().is(kGroup, WireType::kBytes)) {
        const std::size_t mark = begin_message_field(result_.request, kGroup);
        if (!write_group(groups.in().bytes())) {
          return fail(malformed(options_.signal));
        }
        end_message_field(result_.request, mark);
      }
    }
    return std::move(result_);
  }

 private:
  bool is_logs() const { return options_.signal == Signal::kLogs; }

  // Counts, and tells whether the request can stay as it is. Checks the outer shape; what it does not look
  // into (the records of an agent) is the prepper's to judge.
  Result<bool> inspect(std::string_view request) {
    NARU_TRY(result_.records, count_records(options_.signal, request));
    if (result_.records == 0 || (options_.trusted && !is_logs())) {
      return true;
    }
    Messages groups = resource_groups(request);
    while (groups.next()) {
      ResourceGroup group;
      if (!parse(groups.bytes(), group)) {
        return fail(malformed(options_.signal));
      }
      if (!options_.trusted) {
        if (is_logs()) {
          return false;  // every record needs a source
        }
        NARU_TRY(const bool reserved, group_has_reserved(group));
        if (reserved) {
          return false;
        }
        continue;
      }
      Messages scopes = scope_groups(group);
      while (scopes.next()) {
        NARU_TRY(const bool identified, has_identity(scopes.bytes()));
        if (!identified) {
          return false;
        }
      }
    }
    return true;
  }

  Result<bool> has_identity(std::string_view scope_group) {
    ScopeGroup group;
    if (!parse(scope_group, group)) {
      return fail(malformed(options_.signal));
    }
    return scope_identity(group.scope).present || !records(group).next();
  }

  Result<bool> group_has_reserved(const ResourceGroup& group) {
    bool found = false;
    const auto look = [&](std::string_view message, std::uint32_t field) {
      const auto reserved = has_reserved(message, field);
      found = found || reserved.value_or(false);
      return reserved.has_value();
    };
    const auto each = [](std::string_view message, std::uint32_t field, auto&& f) {
      Messages entries(message, field);
      while (entries.next()) {
        if (!f(entries.bytes())) {
          return false;
        }
      }
      return entries.ok();
    };
    const bool ok =
        each(group.raw, kResource, [&](std::string_view r) { return look(r, kResourceAttributes); }) &&
        each(group.raw, kScopeGroup, [&](std::string_view scope_group) {
          return each(scope_group, kScope, [&](std::string_view s) { return look(s, kScopeAttributes); }) &&
                 (options_.signal != Signal::kTraces ||
                  each(scope_group, kRecord,
                       [&](std::string_view span) { return look(span, kSpanAttributes); }));
        });
    if (!ok) {
      return fail(malformed(options_.signal));
    }
    return found;
  }

  bool write_group(std::string_view group) {
    std::string& out = result_.request;
    // Several resources in one group are one message in protobuf's terms; readers that take only the last
    // must not see less than others.
    std::string resource;
    bool has_resource = false;
    for (Messages entries(group, kResource); entries.next();) {
      has_resource = true;
      if (options_.trusted) {
        resource.append(entries.bytes());
      } else if (!strip(entries.bytes(), kResourceAttributes, resource)) {
        return false;
      }
    }
    if (has_resource) {
      append_bytes_field(out, kResource, resource);
    }
    Fields fields(group);
    while (fields.next()) {
      if (fields.in().is(kResource, WireType::kBytes)) {
        continue;
      }
      if (!fields.in().is(kScopeGroup, WireType::kBytes)) {
        out.append(fields.raw());
      } else if (!write_scope_group(fields.in().bytes(), fields.raw())) {
        return false;
      }
    }
    return fields.ok();
  }

  bool write_scope_group(std::string_view group, std::string_view raw) {
    std::string& out = result_.request;
    std::string scope;
    bool has_scope = false;
    std::uint64_t count = 0;
    Reader in(group);
    std::string_view last_scope;
    while (in.next()) {
      if (in.is(kScope, WireType::kBytes)) {
        has_scope = true;
        last_scope = in.bytes();
        if (!strip(in.bytes(), kScopeAttributes, scope)) {
          return false;
        }
      } else if (in.is(kRecord, WireType::kBytes)) {
        ++count;
      }
    }
    if (!in.ok()) {
      return false;
    }
    if (options_.trusted && scope_identity(last_scope).present) {
      out.append(raw);
      return true;
    }
    const std::size_t mark = begin_message_field(out, kScopeGroup);
    if (is_logs() && count > 0) {
      has_scope = true;
      append_bytes_attribute(scope, kScopeAttributes, kSourceKey,
                             {reinterpret_cast<const char*>(options_.source.data()), options_.source.size()});
      append_int_attribute(scope, kScopeAttributes, kBaseKey, static_cast<std::int64_t>(result_.stamped));
      result_.stamped += count;
    }
    if (has_scope) {
      append_bytes_field(out, kScope, scope);
    }
    if (!write_records(group)) {
      return false;
    }
    end_message_field(out, mark);
    return true;
  }

  // All of a scope group but its scope; untouched neighbours are copied together.
  bool write_records(std::string_view group) {
    std::string& out = result_.request;
    Fields fields(group);
    const char* run = group.data();
    const auto flush = [&](const char* until) { out.append(run, static_cast<std::size_t>(until - run)); };
    while (fields.next()) {
      const std::string_view raw = fields.raw();
      if (fields.in().is(kScope, WireType::kBytes)) {
        flush(raw.data());
        run = raw.data() + raw.size();
        continue;
      }
      if (!fields.in().is(kRecord, WireType::kBytes) || options_.signal == Signal::kMetrics) {
        continue;
      }
      const std::uint32_t field = attributes_field(options_.signal);
      const std::optional<bool> reserved = has_reserved(fields.in().bytes(), field);
      if (!reserved) {
        return false;
      }
      if (*reserved) {
        flush(raw.data());
        run = raw.data() + raw.size();
        const std::size_t mark = begin_message_field(out, kRecord);
        if (!strip(fields.in().bytes(), field, out)) {
          return false;
        }
        end_message_field(out, mark);
      }
    }
    flush(group.data() + group.size());
    return fields.ok();
  }

  // Appends `message` without its reserved attributes.
  bool strip(std::string_view message, std::uint32_t field, std::string& out) {
    Fields fields(message);
    bool ok = true;
    while (fields.next()) {
      if (fields.in().is(field, WireType::kBytes) && is_reserved(fields.in().bytes(), ok)) {
        ++result_.stripped;
        continue;
      }
      if (!ok) {
        return false;
      }
      out.append(fields.raw());
    }
    return fields.ok();
  }

  const IdentifyOptions& options_;
  Identified result_;
};

// --- regroup

// Shortens one record.
struct CutSpec {
  // A repeated field that may lose its largest entries, and the field that counts them.
  struct Droppable {
    std::uint32_t field;
    std::uint32_t dropped_count;
  };
  std::uint32_t attributes = 0;
  std::uint32_t body = 0;  // 0: none
  std::vector<Droppable> droppable;
};

const CutSpec& cut_spec(Signal signal) {
  static const CutSpec kLog{kLogAttributes, kLogBody, {{6, 7}}};
  static const CutSpec kSpan{kSpanAttributes, 0, {{9, 10}, {11, 12}, {13, 14}}};
  return signal == Signal::kTraces ? kSpan : kLog;
}

// The longest start of `text` of at most `size` bytes that does not end inside a UTF-8 sequence.
std::string_view cut_text(std::string_view text, std::size_t size) {
  if (text.size() <= size) {
    return text;
  }
  constexpr std::size_t kContinuationMax = 3;
  std::size_t end = size;
  while (end > 0 && size - end < kContinuationMax && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) {
    --end;
  }
  return text.substr(0, end);
}

class RecordCutter {
 public:
  RecordCutter(const CutSpec& spec, std::string_view record) : spec_(spec), record_(record) {}

  // nullopt: the record cannot be made that small.
  std::optional<std::string> cut(std::size_t bytes_max) {
    Fields fields(record_);
    while (fields.next()) {
      if (spec_.body != 0 && fields.in().is(spec_.body, WireType::kBytes)) {
        body_ = fields.in().bytes();
        body_raw_ = fields.raw();
      } else if (const auto* kind = droppable(fields.in())) {
        pieces_.push_back({kind, fields.raw(), pieces_.size(), false});
        pieces_bytes_ += fields.raw().size();
      } else if (const auto* counter = counter_of(fields.in())) {
        dropped_[index_of(counter)] += fields.in().scalar();
      } else {
        fixed_.append(fields.raw());
      }
    }
    // What the marker, the counters and the head of the body may take.
    constexpr std::size_t kReserve = 160;
    if (!fields.ok() || fixed_.size() + kReserve > bytes_max) {
      return std::nullopt;
    }
    const std::size_t room = bytes_max - fixed_.size() - kReserve;
    drop_largest(room);
    cut_body(room - pieces_bytes_);
    return write();
  }
  std::uint64_t lost() const { return lost_; }

 private:
  struct Piece {
    const CutSpec::Droppable* kind;
    std::string_view raw;
    std::size_t order;
    bool dropped;
  };
  static constexpr std::size_t kKindsMax = 3;

  const CutSpec::Droppable* droppable(const Reader& in) const {
    for (const auto& kind : spec_.droppable) {
      if (in.is(kind.field, WireType::kBytes)) {
        return &kind;
      }
    }
    return nullptr;
  }
  const CutSpec::Droppable* counter_of(const Reader& in) const {
    for (const auto& kind : spec_.droppable) {
      if (in.is(kind.dropped_count, WireType::kVarint)) {
        return &kind;
      }
    }
    return nullptr;
  }
  std::size_t index_of(const CutSpec::Droppable* kind) const {
    return static_cast<std::size_t>(kind - spec_.droppable.data());
  }

  void drop_largest(std::size_t room) {
    if (pieces_bytes_ <= room) {
      return;
    }
    std::ranges::sort(pieces_, [](const Piece& a, const Piece& b) {
      return a.raw.size() != b.raw.size() ? a.raw.size() > b.raw.size() : a.order < b.order;
    });
    for (Piece& piece : pieces_) {
      if (pieces_bytes_ <= room) {
        break;
      }
      piece.dropped = true;
      pieces_bytes_ -= piece.raw.size();
      lost_ += piece.raw.size();
      ++dropped_[index_of(piece.kind)];
    }
    std::ranges::sort(pieces_, {}, &Piece::order);
  }

  void cut_body(std::size_t room) {
    if (body_raw_.empty()) {
      return;
    }
    if (body_raw_.size() <= room) {
      new_body_.assign(body_raw_);
      return;
    }
    AnyValue value;
    const bool text = parse(body_, value) && value.kind == AnyValue::Kind::kString;
    const bool bytes = value.kind == AnyValue::Kind::kBytes;
    std::string_view kept;
    if (text) {
      kept = cut_text(value.bytes, room);
    } else if (bytes) {
      kept = value.bytes.substr(0, room);
    }  // a structure has no end to cut: it goes as a whole
    lost_ += (text || bytes ? value.bytes.size() : body_.size()) - kept.size();
    const std::uint32_t kind = bytes ? 7 : 1;  // AnyValue bytes_value, string_value
    append_tag(new_body_, spec_.body, WireType::kBytes);
    append_varint(new_body_, field_size(kept.size()));
    append_bytes_field(new_body_, kind, kept);
  }

  std::string write() {
    std::string out = std::move(fixed_);
    out.append(new_body_);
    for (const Piece& piece : pieces_) {
      if (!piece.dropped) {
        out.append(piece.raw);
      }
    }
    for (std::size_t i = 0; i < spec_.droppable.size(); ++i) {
      if (dropped_[i] != 0) {
        append_varint_field(out, spec_.droppable[i].dropped_count, dropped_[i]);
      }
    }
    append_int_attribute(out, spec_.attributes, kTruncatedKey, static_cast<std::int64_t>(lost_));
    return out;
  }

  const CutSpec& spec_;
  std::string_view record_;
  std::string fixed_, new_body_;
  std::string_view body_, body_raw_;
  std::vector<Piece> pieces_;
  std::size_t pieces_bytes_ = 0;
  std::uint64_t dropped_[kKindsMax] = {};
  std::uint64_t lost_ = 0;
};

// A scope as the values repeat it.
struct ScopeHead {
  std::size_t group = 0;  // which resource
  std::string_view scope;
  bool has_scope = false;
  std::string_view schema_url;
  ScopeIdentity identity;
  std::size_t head_size() const {
    return kMessageFieldMax + field_size(scope.size()) + 64 + field_size(schema_url.size());
  }
};

struct GroupHead {
  std::string_view resource;
  bool has_resource = false;
  std::string_view schema_url;
  std::size_t head_size() const {
    return kMessageFieldMax + field_size(resource.size()) + field_size(schema_url.size());
  }
};

// One record on its way into a value.
struct Unit {
  std::size_t scope = 0;
  std::uint64_t index = 0;    // in its scope group
  std::string_view bytes;     // encoded record
  std::uint64_t records = 1;  // points of a metric
};

// Writes units one behind the other into values of a bounded size, repeating resource and scope as needed.
class ValueWriter {
 public:
  ValueWriter(const std::vector<GroupHead>& groups, const std::vector<ScopeHead>& scopes,
              std::size_t bytes_max)
      : groups_(groups), scopes_(scopes), bytes_max_(bytes_max) {}

  bool empty() const { return records_ == 0; }
  std::size_t size() const { return out_.size(); }
  std::uint64_t records() const { return records_; }

  // False: no room; take() first. Always true when empty.
  bool add(const Unit& unit) {
    if (!empty() && out_.size() + cost(unit) > bytes_max_) {
      return false;
    }
    if (needs_scope(unit)) {
      open_scope(unit);
    }
    append_bytes_field(out_, kRecord, unit.bytes);
    records_ += unit.records;
    next_index_ = unit.index + 1;
    return true;
  }

  std::string take() {
    close_group();
    records_ = 0;
    return std::exchange(out_, {});
  }

 private:
  // With an identity, records behind a gap need a base of their own.
  bool needs_scope(const Unit& unit) const {
    return !scope_mark_ || scope_ != unit.scope ||
           (scopes_[unit.scope].identity.present && unit.index != next_index_);
  }

  std::size_t cost(const Unit& unit) const {
    std::size_t bytes = field_size(unit.bytes.size());
    if (needs_scope(unit)) {
      bytes += scopes_[unit.scope].head_size();
    }
    if (!group_mark_ || group_ != scopes_[unit.scope].group) {
      bytes += groups_[scopes_[unit.scope].group].head_size();
    }
    return bytes;
  }

  void open_scope(const Unit& unit) {
    const ScopeHead& head = scopes_[unit.scope];
    close_scope();
    if (!group_mark_ || group_ != head.group) {
      close_group();
      const GroupHead& group = groups_[head.group];
      group_mark_ = begin_message_field(out_, kGroup);
      group_ = head.group;
      if (group.has_resource) {
        append_bytes_field(out_, kResource, group.resource);
      }
      if (!group.schema_url.empty()) {
        append_bytes_field(out_, kSchemaUrl, group.schema_url);
      }
    }
    scope_mark_ = begin_message_field(out_, kScopeGroup);
    scope_ = unit.scope;
    if (head.identity.present) {
      const std::size_t mark = begin_message_field(out_, kScope);
      for (Fields fields(head.scope); fields.next();) {
        KeyValue entry;
        if (fields.in().is(kScopeAttributes, WireType::kBytes) && parse(fields.in().bytes(), entry) &&
            entry.key == kBaseKey) {
          continue;
        }
        out_.append(fields.raw());
      }
      append_int_attribute(out_, kScopeAttributes, kBaseKey,
                           static_cast<std::int64_t>(head.identity.base + unit.index));
      end_message_field(out_, mark);
    } else if (head.has_scope) {
      append_bytes_field(out_, kScope, head.scope);
    }
    if (!head.schema_url.empty()) {
      append_bytes_field(out_, kSchemaUrl, head.schema_url);
    }
  }

  void close_scope() {
    if (scope_mark_) {
      end_message_field(out_, *std::exchange(scope_mark_, std::nullopt));
    }
  }
  void close_group() {
    close_scope();
    if (group_mark_) {
      end_message_field(out_, *std::exchange(group_mark_, std::nullopt));
    }
  }

  const std::vector<GroupHead>& groups_;
  const std::vector<ScopeHead>& scopes_;
  const std::size_t bytes_max_;
  std::string out_;
  std::uint64_t records_ = 0;
  std::optional<std::size_t> group_mark_, scope_mark_;
  std::size_t group_ = 0, scope_ = 0;
  std::uint64_t next_index_ = 0;
};

class Regrouper {
 public:
  Regrouper(const RegroupOptions& options, std::string request, std::uint64_t records)
      : options_(options), request_(std::move(request)), records_(records) {}

  Result<Regrouped> run() {
    if (records_ == 0) {
      return Regrouped{};
    }
    return options_.signal == Signal::kTraces ? run_spans() : run_resources();
  }

 private:
  struct KeyedGroup {
    std::string_view raw;  // the field of the request
    std::string_view bytes;
    std::int32_t partition;
    Hash128 key;
  };

  Result<Regrouped> whole(std::int32_t partition, std::string key) {
    result_.values.push_back({partition, std::move(key), std::move(request_), records_});
    return std::move(result_);
  }

  // --- logs and metrics

  Result<Regrouped> run_resources() {
    std::vector<KeyedGroup> groups;
    AttributeSorter sorter;
    Fields fields(request_);
    bool one_partition = true;
    while (fields.next()) {
      if (!fields.in().is(kGroup, WireType::kBytes)) {
        continue;
      }
      ResourceGroup group;
      if (!parse(fields.in().bytes(), group)) {
        return fail(malformed(options_.signal));
      }
      NARU_TRY(const Hash128 key, hash_attributes(group.attributes(), sorter));
      const std::int32_t partition = partition_of_key(as_bytes(key), options_.partitions);
      one_partition = one_partition && (groups.empty() || groups.front().partition == partition);
      groups.push_back({fields.raw(), fields.in().bytes(), partition, key});
      if (options_.want_keys) {
        result_.keys.push_back(key);
      }
    }
    if (!fields.ok() || groups.empty()) {
      return fail(malformed(options_.signal));
    }
    if (one_partition && request_.size() <= options_.value_bytes_max) {
      return whole(groups.front().partition, std::string(as_bytes(groups.front().key)));
    }
    std::ranges::sort(groups, [](const KeyedGroup& a, const KeyedGroup& b) {
      return a.partition != b.partition ? a.partition < b.partition : a.raw.data() < b.raw.data();
    });
    for (const KeyedGroup& group : groups) {
      if (group.raw.size() > options_.value_bytes_max) {
        NARU_TRY_VOID(split(group));
      } else {
        NARU_TRY(const std::uint64_t count, count_records(options_.signal, group.raw));
        append(group, group.raw, count);
      }
    }
    return std::move(result_);
  }

  // Behind the last value of the partition if there is room. Groups come sorted by partition.
  void append(const KeyedGroup& group, std::string_view bytes, std::uint64_t count) {
    if (count == 0) {
      return;
    }
    auto& values = result_.values;
    if (values.empty() || values.back().partition != group.partition ||
        values.back().value.size() + bytes.size() > options_.value_bytes_max) {
      values.push_back({group.partition, std::string(as_bytes(group.key)), {}, 0});
    }
    values.back().value.append(bytes);
    values.back().records += count;
  }

  Result<void> split(const KeyedGroup& group) {
    std::vector<GroupHead> groups;
    std::vector<ScopeHead> scopes;
    std::vector<Unit> units;
    std::size_t total = 0;
    NARU_TRY_VOID(collect(group.bytes, groups, scopes, [&](Unit unit) {
      total += field_size(unit.bytes.size());
      units.push_back(unit);
      return true;
    }));
    NARU_TRY_VOID(shrink(groups, scopes, units));
    // Halved until a part fits: parts of about equal size.
    const std::size_t parts =
        std::bit_ceil((total + options_.value_bytes_max - 1) / options_.value_bytes_max);
    const std::size_t part_bytes = total / parts;
    ValueWriter writer(groups, scopes, options_.value_bytes_max);
    const auto flush = [&] {
      const std::uint64_t count = writer.records();
      append(group, writer.take(), count);
    };
    for (const Unit& unit : units) {
      if (!writer.add(unit)) {
        flush();
        writer.add(unit);
      }
      if (writer.size() >= part_bytes) {
        flush();
      }
    }
    if (!writer.empty()) {
      flush();
    }
    return {};
  }

  // Shortens or divides the units that are over the limit by themselves.
  Result<void> shrink(const std::vector<GroupHead>& groups, const std::vector<ScopeHead>& scopes,
                      std::vector<Unit>& units) {
    if (!options_.shorten) {
      return {};
    }
    std::vector<Unit> out;
    out.reserve(units.size());
    for (const Unit& unit : units) {
      const ScopeHead& scope = scopes[unit.scope];
      const std::size_t heads = groups[scope.group].head_size() + scope.head_size() + kMessageFieldMax;
      if (heads + unit.bytes.size() <= options_.value_bytes_max) {
        out.push_back(unit);
        continue;
      }
      if (heads >= options_.value_bytes_max) {
        return too_large("the resource or scope of a record");
      }
      NARU_TRY_VOID(shrink_unit(unit, options_.value_bytes_max - heads, out));
    }
    units = std::move(out);
    return {};
  }

  Result<void> shrink_unit(const Unit& unit, std::size_t room, std::vector<Unit>& out) {
    if (options_.signal == Signal::kMetrics) {
      return divide_metric(unit, room, out);
    }
    RecordCutter cutter(cut_spec(options_.signal), unit.bytes);
    auto shorter = cutter.cut(room);
    if (!shorter) {
      return too_large("a record without its body and attributes");
    }
    ++result_.cut_records;
    result_.cut_bytes += cutter.lost();
    storage_.push_back(std::move(*shorter));
    Unit cut = unit;
    cut.bytes = storage_.back();
    out.push_back(cut);
    return {};
  }

  // The same metric several times, each with some of its points.
  Result<void> divide_metric(const Unit& unit, std::size_t room, std::vector<Unit>& out) {
    Metric metric;
    if (!parse(unit.bytes, metric)) {
      return fail(malformed(options_.signal));
    }
    std::string head, data_head;
    std::uint32_t data_field = 0;
    for (Fields fields(unit.bytes); fields.next();) {
      if (fields.in().type() == WireType::kBytes && fields.in().bytes().data() == metric.data.data() &&
          !metric.data.empty()) {
        data_field = fields.in().field();
      } else {
        head.append(fields.raw());
      }
    }
    for (Fields fields(metric.data); fields.next();) {
      if (!fields.in().is(kMetricPoints, WireType::kBytes)) {
        data_head.append(fields.raw());
      }
    }
    const std::size_t heads = head.size() + data_head.size() + kMessageFieldMax;
    std::string points;
    std::uint64_t count = 0;
    const auto flush = [&] {
      std::string part = head;
      append_tag(part, data_field, WireType::kBytes);
      append_varint(part, data_head.size() + points.size());
      part.append(data_head).append(points);
      storage_.push_back(std::move(part));
      out.push_back({unit.scope, unit.index, storage_.back(), count});
      points.clear();
      count = 0;
    };
    for (Fields fields(metric.data); fields.next();) {
      if (!fields.in().is(kMetricPoints, WireType::kBytes)) {
        continue;
      }
      if (heads + fields.raw().size() > room) {
        return too_large("a metric's data point");
      }
      if (count > 0 && heads + points.size() + fields.raw().size() > room) {
        flush();
      }
      points.append(fields.raw());
      ++count;
    }
    if (count > 0) {
      flush();
    }
    return {};
  }

  // --- spans

  Result<Regrouped> run_spans() {
    std::vector<GroupHead> groups;
    std::vector<ScopeHead> scopes;
    std::vector<Unit> units;
    std::vector<std::int32_t> partitions;
    NARU_TRY_VOID(collect_request(groups, scopes, [&](Unit unit) {
      units.push_back(unit);
      return true;
    }));
    bool one_partition = true;
    for (const Unit& unit : units) {
      Messages ids(unit.bytes, kSpanTraceId);
      const std::string_view id = ids.next() ? ids.bytes() : std::string_view{};
      partitions.push_back(partition_of_trace(id, options_.partitions));
      one_partition = one_partition && partitions.back() == partitions.front();
    }
    if (one_partition && request_.size() <= options_.value_bytes_max) {
      return whole(partitions.front(), {});
    }
    NARU_TRY_VOID(shrink(groups, scopes, units));  // one for one
    std::vector<std::optional<ValueWriter>> writers(static_cast<std::size_t>(options_.partitions));
    const auto flush = [&](std::size_t partition) {
      ValueWriter& writer = *writers[partition];
      const std::uint64_t count = writer.records();
      result_.values.push_back({static_cast<std::int32_t>(partition), {}, writer.take(), count});
    };
    for (std::size_t i = 0; i < units.size(); ++i) {
      const auto partition = static_cast<std::size_t>(partitions[i]);
      auto& writer = writers[partition];
      if (!writer) {
        writer.emplace(groups, scopes, options_.value_bytes_max);
      }
      if (!writer->add(units[i])) {
        flush(partition);
        writer->add(units[i]);
      }
    }
    for (std::size_t partition = 0; partition < writers.size(); ++partition) {
      if (writers[partition] && !writers[partition]->empty()) {
        flush(partition);
      }
    }
    return std::move(result_);
  }

  // --- both

  template <class F>
  Result<void> collect_request(std::vector<GroupHead>& groups, std::vector<ScopeHead>& scopes, F&& take) {
    Messages entries = resource_groups(request_);
    while (entries.next()) {
      NARU_TRY_VOID(collect(entries.bytes(), groups, scopes, take));
    }
    if (!entries.ok()) {
      return fail(malformed(options_.signal));
    }
    return {};
  }

  template <class F>
  Result<void> collect(std::string_view bytes, std::vector<GroupHead>& groups, std::vector<ScopeHead>& scopes,
                       F&& take) {
    ResourceGroup group;
    if (!parse(bytes, group)) {
      return fail(malformed(options_.signal));
    }
    groups.push_back({group.resource, group.resource.data() != nullptr, group.schema_url});
    Messages scope_entries = scope_groups(group);
    while (scope_entries.next()) {
      ScopeGroup scope;
      if (!parse(scope_entries.bytes(), scope)) {
        return fail(malformed(options_.signal));
      }
      ScopeHead head{groups.size() - 1, scope.scope, scope.scope.data() != nullptr, scope.schema_url, {}};
      if (options_.signal == Signal::kLogs) {
        head.identity = scope_identity(scope.scope);
      }
      scopes.push_back(head);
      Messages entries = records(scope);
      std::uint64_t index = 0;
      while (entries.next()) {
        Unit unit{scopes.size() - 1, index++, entries.bytes(), 1};
        if (options_.signal == Signal::kMetrics) {
          Metric metric;
          if (!parse(unit.bytes, metric)) {
            return fail(malformed(options_.signal));
          }
          unit.records = 0;
          for (Messages points = metric.points(); points.next();) {
            ++unit.records;
          }
        }
        take(unit);
      }
    }
    return {};
  }

  Result<void> too_large(std::string_view what) const {
    return fail(ErrorCode::kTooLarge, std::string(what) + " is over " +
                                          std::to_string(options_.value_bytes_max) +
                                          " bytes, the limit of one Kafka value; send less in one record");
  }

  const RegroupOptions& options_;
  std::string request_;
  std::uint64_t records_;
  Regrouped result_;
  std::deque<std::string> storage_;  // units that were rewritten
};

}  // namespace

Result<Identified> identify(const IdentifyOptions& options, std::string request) {
  return Identifier(options).run(std::move(request));
}

Result<Regrouped> regroup(const RegroupOptions& options, std::string request, std::uint64_t records) {
  return Regrouper(options, std::move(request), records).run();
}

std::int32_t partition_of_key(std::string_view key, std::int32_t partitions) {
  std::uint32_t hash = 0x811C9DC5;
  for (const char byte : key) {
    hash = (hash ^ static_cast<unsigned char>(byte)) * 0x01000193;
  }
  if (static_cast<std::int32_t>(hash) < 0) {
    hash = ~hash + 1;
  }
  return static_cast<std::int32_t>(hash % static_cast<std::uint32_t>(partitions));
}

std::int32_t partition_of_trace(std::string_view trace_id, std::int32_t partitions) {
  return static_cast<std::int32_t>(xxh3_64(trace_id) % static_cast<std::uint64_t>(partitions));
}

}  // namespace naru::otlp
