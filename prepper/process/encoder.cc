#include "prepper/process/encoder.h"

#include <algorithm>
#include <bit>

#include "core/base/bytes.h"
#include "core/base/fault_point.h"
#include "prepper/process/record_visitor.h"

namespace naru::prepper {
namespace {

constexpr std::size_t kTargetsMax = 256;
constexpr std::size_t kDatasetsMax = 1024;
// Lengths of the names of the bags: part of each term that flat_object indexes.
constexpr std::size_t kAttributesPath = std::string_view("attributes").size();
constexpr std::size_t kResourcePath = std::string_view("resource.attributes").size();
constexpr std::size_t kScopePath = std::string_view("instrumentationScope.attributes").size();

std::string base64_chunks(std::string_view bytes) {
  std::string out;
  const bool many = bytes.size() > kOriginalChunkBytes;
  out += many ? "[\"" : "\"";
  for (std::size_t at = 0; at < bytes.size(); at += kOriginalChunkBytes) {
    if (at > 0) {
      out += "\",\"";
    }
    append_base64(out, bytes.substr(at, kOriginalChunkBytes));
  }
  out += many ? "\"]" : "\"";
  return out;
}

std::uint32_t dropped_attributes_of(std::string_view message, std::uint32_t field) {
  std::uint32_t out = 0;
  otlp::Reader in(message);
  while (in.next()) {
    if (in.is(field, otlp::WireType::kVarint)) {
      out = static_cast<std::uint32_t>(in.scalar());
    }
  }
  return out;
}

}  // namespace

Encoder::Encoder(EncoderConfig config, ContractSource& contracts, EncoderSink& sink)
    : config_(std::move(config)), contracts_(contracts), sink_(sink), values_(config_.bag) {}

void Encoder::encode(const std::shared_ptr<SourceMessage>& message) {
  message_ = message;
  ++message_serial_;
  received_ = static_cast<UnixNanos>(std::max<UnixMillis>(message->record.timestamp_ms, 0)) * kNanosPerMilli;
  ordinal_ = 0;
  documents_open_ = 0;
  source_slot_.reset();
  origin_.reset();
  message_bytes_ = 0;
  letters_here_ = 0;
  documents_here_ = 0;
  created_here_ = 0;
  dropped_here_ = 0;
  merged_here_ = 0;
  signal_ = message->signal;
  use_pipelines();
  drop_next_ = fault_point("prepper.drop_record");
  if (!encode_message()) {
    message->hold(1);
    const auto id = foreign_id(kDefaultDataset);
    ordinal_ = 1;
    letters_here_ = 1;
    ++stats_.undecodable;
    sink_.dead_letter(message, kWholeMessage, std::string(id.data(), id.size()),
                      {.type = "undecodable",
                       .reason = "the value is no OTLP " + std::string(otlp::to_string(message->signal)) +
                                 " export request"});
  }
  hold_documents();
  message->records = ordinal_;
  message->documents = documents_here_;
  message->letters = letters_here_;
  message->created = created_here_;
  message->dropped = dropped_here_;
  message->merged = merged_here_;
  message->charged_bytes += message_bytes_;
  stats_.records += ordinal_;
  finish(message, 1);
  message_.reset();
}

// False: not decodable as a whole; nothing was written.
bool Encoder::encode_message() {
  const std::string_view value = message_->record.value;
  const Result<std::uint64_t> count = otlp::count_records(message_->signal, value);
  // Bytes that happen to parse but hold no resource group at all are no request.
  if (!count || (!value.empty() && *count == 0 && !otlp::resource_groups(value).next())) {
    return false;
  }
  if (message_->signal == otlp::Signal::kTraces) {
    for (otlp::Messages resources = otlp::resource_groups(value); resources.next();) {
      otlp::ResourceGroup resource;
      otlp::parse(resources.bytes(), resource);
      for (otlp::Messages scopes = otlp::scope_groups(resource); scopes.next();) {
        otlp::ScopeGroup scope;
        otlp::parse(scopes.bytes(), scope);
        note_roots(scope);
      }
    }
  }
  otlp::Messages groups = otlp::resource_groups(value);
  while (groups.next()) {
    if (!encode_resource_group(groups.bytes())) {
      return true;
    }
  }
  return true;
}

bool Encoder::encode_resource_group(std::string_view encoded) {
  otlp::parse(encoded, resource_);  // its framing was walked by count_records()
  resource_hash_.reset();
  ++resource_serial_;
  dataset_ = &dataset_of(resource_);
  render_resource(resource_);
  if (event_ != nullptr) {
    event_->begin_resource(resource_);
  }
  otlp::Messages scopes = otlp::scope_groups(resource_);
  while (scopes.next()) {
    encode_scope_group(scopes.bytes());
  }
  if (!scratch_.metrics.empty()) {
    write_metrics();
  }
  return true;
}

bool Encoder::encode_scope_group(std::string_view encoded) {
  otlp::ScopeGroup group;
  otlp::parse(encoded, group);
  render_scope(group);
  identity_ = otlp::scope_identity(group.scope);
  scope_index_ = 0;
  choose_pipelines();
  otlp::Messages entries = otlp::records(group);
  while (entries.next()) {
    switch (message_->signal) {
      case otlp::Signal::kLogs: encode_log(entries.bytes()); break;
      case otlp::Signal::kTraces: encode_span(entries.bytes()); break;
      case otlp::Signal::kMetrics: encode_metric(entries.bytes()); break;
    }
  }
  return true;
}

Encoder::Dataset& Encoder::dataset_named(const std::string& name) {
  if (const auto known = datasets_.find(name); known != datasets_.end()) {
    return known->second;
  }
  if (datasets_.size() >= kDatasetsMax) {
    datasets_.clear();  // a cache of names that senders choose
  }
  return datasets_.emplace(name, Dataset{name, {}}).first->second;
}

Encoder::Dataset& Encoder::dataset_of(const otlp::ResourceGroup& group) {
  if (!config_.dataset.empty()) {
    return dataset_named(config_.dataset);
  }
  const std::optional<otlp::AnyValue> asked = group.attributes().find("data_stream.dataset");
  if (!asked.has_value()) {
    return dataset_named(std::string(kDefaultDataset));
  }
  std::optional<std::string> name;
  if (asked->kind == otlp::AnyValue::Kind::kString) {
    if (const auto known = datasets_.find(asked->bytes); known != datasets_.end()) {
      return known->second;
    }
    name = normal_dataset(asked->bytes);
  }
  if (!name.has_value()) {
    ++stats_.dataset_replaced;
    return dataset_named(std::string(kDefaultDataset));
  }
  return dataset_named(*name);
}

bool Encoder::render_resource(const otlp::ResourceGroup& group) {
  resource_text_.clear();
  resource_text_.raw(",\"resource\":{\"attributes\":");
  BagResult bag = values_.write_bag(resource_text_, group.attributes(), kResourcePath);
  if (!bag.ok) {
    // Kept whole, since its records are sound: the encoded bytes as text.
    resource_text_.raw("{\"naru.undecodable\":");
    resource_text_.raw(base64_chunks(group.resource));
    resource_text_.raw('}');
  }
  resource_cut_ = bag.cut;
  stats_.cut_leaves += bag.cut;
  stats_.overflowed_bags += bag.overflow ? 1 : 0;
  if (const std::uint32_t dropped = dropped_attributes_of(group.resource, 2); dropped > 0) {
    resource_text_.raw(",\"droppedAttributesCount\":");
    resource_text_.integer(dropped);
  }
  if (!group.schema_url.empty()) {
    resource_text_.raw(",\"schemaUrl\":");
    resource_text_.string(group.schema_url);
  }
  resource_text_.raw('}');
  return bag.ok;
}

bool Encoder::render_scope(const otlp::ScopeGroup& group) {
  scope_text_.clear();
  scope_cut_ = 0;
  otlp::parse(group.scope, scope_);
  const std::size_t before = scope_text_.size();
  scope_text_.raw(",\"instrumentationScope\":{");
  const std::size_t empty = scope_text_.size();
  const auto member = [&](std::string_view name) {
    if (scope_text_.size() > empty) {
      scope_text_.raw(',');
    }
    scope_text_.raw(name);
  };
  if (!scope_.name.empty()) {
    member("\"name\":");
    scope_text_.string(scope_.name);
  }
  if (!scope_.version.empty()) {
    member("\"version\":");
    scope_text_.string(scope_.version);
  }
  if (!group.schema_url.empty()) {
    member("\"schemaUrl\":");
    scope_text_.string(group.schema_url);
  }
  if (scope_.dropped_attributes_count > 0) {
    member("\"droppedAttributesCount\":");
    scope_text_.integer(scope_.dropped_attributes_count);
  }
  const std::size_t attributes = scope_text_.size();
  member("\"attributes\":");
  const std::size_t bag_begin = scope_text_.size();
  IdentityFilter filter;
  const BagResult bag = values_.write_bag(scope_text_, scope_.attributes(), kScopePath, &filter);
  scope_cut_ = bag.cut;
  stats_.cut_leaves += bag.cut;
  if (!bag.ok || scope_text_.size() == bag_begin + 2) {
    scope_text_.rewind(attributes);
  }
  if (scope_text_.size() == empty) {
    scope_text_.rewind(before);
  } else {
    scope_text_.raw('}');
  }
  return bag.ok;
}

Encoder::CachedTarget& Encoder::target_at(UnixNanos time) {
  std::vector<CachedTarget>& targets = dataset_->targets;
  for (CachedTarget& cached : targets) {
    if (cached.target->signal == signal_ && time >= cached.target->begin && time < cached.target->end) {
      return cached;
    }
  }
  if (targets.size() >= kTargetsMax) {
    targets.clear();
  }
  const Period period = config_.datasets.resolve(signal_, dataset_->name).period;
  targets.push_back(
      {std::make_shared<const IndexTarget>(make_target(signal_, dataset_->name, period, time)), nullptr});
  return targets.back();
}

void Encoder::use_contract(CachedTarget& cached) {
  if (cached.message_serial != message_serial_) {
    cached.contract = contracts_.contract(*cached.target);
    cached.message_serial = message_serial_;
  }
  contract_ = cached.contract;
  if (promoted_contract_ != contract_ || promoted_serial_ != resource_serial_) {
    render_resource_promoted();
  }
}

void Encoder::render_resource_promoted() {
  promoted_contract_ = contract_;
  promoted_serial_ = resource_serial_;
  promoted_text_.clear();
  promoted_mask_ = 0;
  resource_.attributes().for_each([&](const otlp::KeyValue& entry) {
    const int slot = contract_->find(entry.key);
    if (slot < 0 || (promoted_mask_ >> slot & 1) != 0) {
      return;
    }
    otlp::AnyValue value;
    if (!otlp::parse(entry.value, value)) {
      return;
    }
    const std::size_t begin = promoted_text_.size();
    const Refusal refusal =
        write_promoted(promoted_text_, contract_->slots()[static_cast<std::size_t>(slot)], value);
    count_refusal(refusal);
    if (refusal == Refusal::kNone) {
      promoted_mask_ |= std::uint64_t{1} << slot;
      promoted_ranges_[static_cast<std::size_t>(slot)] = {
          static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(promoted_text_.size() - begin)};
    }
  });
}

void Encoder::count_refusal(Refusal refusal) {
  stats_.refused_type += refusal == Refusal::kWrongType ? 1 : 0;
  stats_.refused_length += refusal == Refusal::kTooLong ? 1 : 0;
}

void Encoder::write_promoted_fields() {
  if ((promoted_mask_ & record_mask_) == 0) {
    out_.raw(promoted_text_.view());
  } else {
    for (std::uint64_t rest = promoted_mask_ & ~record_mask_; rest != 0; rest &= rest - 1) {
      const Range range = promoted_ranges_[static_cast<std::size_t>(std::countr_zero(rest))];
      out_.raw(promoted_text_.view().substr(range.begin, range.size));
    }
  }
  for (std::uint64_t rest = record_mask_; rest != 0; rest &= rest - 1) {
    const auto slot = static_cast<std::size_t>(std::countr_zero(rest));
    count_refusal(write_promoted(out_, contract_->slots()[slot], record_values_[slot]));
  }
}

void Encoder::begin_document(UnixNanos time) {
  target_ = &target_at(time);
  use_contract(*target_);
  record_mask_ = 0;
  uid_ = {};
  position_.reset();
  extras_.clear();
  document_begin_ = out_.size();
  const std::string& prefix = target_->target->action_prefix;
  out_.reserve(prefix.size() + kId22Size + kActionSuffix.size());
  out_.raw(prefix);
  out_.raw("0123456789012345678901");
  out_.raw(kActionSuffix);
}

void Encoder::end_document(const otlp::DocumentId& id) {
  if (drop_next_) {
    drop_next_ = false;
    out_.rewind(document_begin_);
    ++outputs_;
    return;
  }
  out_.raw("}\n");
  std::memcpy(out_.at(document_begin_ + target_->target->action_prefix.size()), id.data(), id.size());
  if (!source_slot_.has_value()) {
    source_slot_ = static_cast<std::uint32_t>(batch_.sources.size());
    batch_.sources.push_back(message_);
  }
  if (target_->batch_serial != batch_serial_) {
    target_->batch_serial = batch_serial_;
    target_->batch_slot = static_cast<std::uint32_t>(batch_.targets.size());
    batch_.targets.push_back(target_->target);
  }
  batch_.entries.push_back(
      {static_cast<std::uint32_t>(document_begin_), *source_slot_, ordinal_, target_->batch_slot});
  ++outputs_;
  written_.push_back(dataset_);
  ++documents_open_;
  ++documents_here_;
  ++stats_.documents;
  stats_.document_bytes += out_.size() - document_begin_;
  message_bytes_ += out_.size() - document_begin_;
  const std::size_t full = config_.batch_bytes_now != nullptr
                               ? config_.batch_bytes_now->load(std::memory_order_relaxed)
                               : config_.batch_bytes;
  if (out_.size() >= full) {
    hand_over();
  }
}

// The record itself is malformed inside: kept as a dead letter with its bytes.
bool Encoder::abandon_document(std::string_view what) {
  out_.rewind(document_begin_);
  const otlp::DocumentId id = foreign_id(dataset_->name);
  message_->hold(1);
  ++stats_.undecodable;
  ++letters_here_;
  ++outputs_;
  sink_.dead_letter(message_, ordinal_, std::string(id.data(), id.size()),
                    {.type = "undecodable", .reason = "the " + std::string(what) + " is malformed protobuf"});
  return false;
}

otlp::DocumentId Encoder::foreign_id(std::string_view output, std::uint32_t ordinal) {
  if (!origin_.has_value()) {
    origin_ = bus::origin_of(message_->record, config_.cluster_id);
  }
  return ids_.foreign(origin_->cluster_id, origin_->topic, origin_->partition, origin_->offset,
                      origin_->index + ordinal_, output, ordinal);
}

Result<Hash128> Encoder::resource_hash() {
  if (!resource_hash_.has_value()) {
    NARU_TRY(resource_hash_, otlp::hash_attributes(resource_.attributes(), sorter_));
  }
  return *resource_hash_;
}

// Documents must be held before the batch leaves, or a quick writer would complete the message early.
void Encoder::hold_documents() {
  if (documents_open_ > 0) {
    message_->hold(documents_open_);
    documents_open_ = 0;
  }
}

void Encoder::hand_over() {
  if (message_ != nullptr) {
    hold_documents();
  }
  source_slot_.reset();
  ++batch_serial_;
  batch_.body = out_.take();
  sink_.batch_ready(std::exchange(batch_, {}));
}

void Encoder::flush() {
  if (has_open_batch()) {
    hand_over();
  }
}

void Encoder::add_extra(std::string_view name, std::string json) {
  const auto taken = std::ranges::count_if(extras_, [&](const auto& extra) {
    return extra.first == name || (extra.first.starts_with(name) && extra.first[name.size()] == '#');
  });
  std::string unique(name);
  if (taken > 0) {
    unique += "#" + std::to_string(taken + 1);
  }
  extras_.emplace_back(std::move(unique), std::move(json));
}

void Encoder::write_event_time(const EventTime& time) {
  out_.raw("{\"@timestamp\":");
  out_.time(time.time);
  if (time.own) {
    out_.raw(",\"time\":");
    out_.time(time.time);
  }
  if (time.out_of_range) {
    out_.raw(",\"time_out_of_range\":true");
    add_extra(kOriginalTime, "\"" + format_rfc3339(time.original) + "\"");
    ++stats_.time_out_of_range;
  }
}

void Encoder::write_date(std::string_view member, std::string_view original_name, UnixNanos time) {
  if (time == 0) {
    return;
  }
  if (time > kDateNanosMax) {
    add_extra(original_name, "\"" + format_rfc3339(time) + "\"");
    return;
  }
  out_.raw(member);
  out_.time(time);
}

bool Encoder::write_body(const otlp::AnyValue& value, std::string_view encoded) {
  using Kind = otlp::AnyValue::Kind;
  if (value.kind == Kind::kEmpty) {
    return true;
  }
  out_.raw(",\"body\":");
  if (value.kind == Kind::kString || value.kind == Kind::kBytes) {
    if (!out_.string(value.bytes)) {
      add_extra(kOriginalBytes, base64_chunks(value.bytes));
      ++stats_.invalid_utf8;
    }
    return true;
  }
  JsonOut text;
  bool valid = true;
  if (!values_.write_json(text, value, valid)) {
    return false;
  }
  out_.string(text.view());
  if (!valid && !encoded.empty()) {
    add_extra(kOriginalBody, base64_chunks(encoded));
    ++stats_.invalid_utf8;
  }
  return true;
}

template <class Attributes>
bool Encoder::write_attributes(const Attributes& attributes, bool present) {
  const std::uint32_t cut_before = resource_cut_ + scope_cut_;
  if (!present && extras_.empty() && cut_before == 0) {
    return true;
  }
  extra_views_.clear();
  for (const auto& [name, json] : extras_) {
    extra_views_.push_back({name, json});
  }
  const std::size_t before = out_.size();
  out_.raw(",\"attributes\":");
  const std::size_t begin = out_.size();
  RecordVisitor visitor(*contract_, record_mask_, record_values_, uid_, position_);
  const BagResult bag =
      values_.write_bag(out_, attributes, kAttributesPath, &visitor, extra_views_, cut_before);
  stats_.cut_leaves += bag.cut;
  stats_.overflowed_bags += bag.overflow ? 1 : 0;
  if (out_.size() == begin + 2) {
    out_.rewind(before);  // only attributes that are taken out
  }
  return bag.ok;
}

template bool Encoder::write_attributes(const otlp::Attributes&, bool);  // of records as they came
template bool Encoder::write_attributes(const AttributeList&, bool);

void Encoder::encode_log(std::string_view encoded) {
  record_index_ = scope_index_++;
  if (!otlp::parse(encoded, log_)) {
    const EventTime time = event_time(log_.time, log_.observed_time, received_, config_.time);
    begin_document(time.time);
    abandon_document("log record");
  } else {
    run_pipelines();
  }
  end_record();
}

bool Encoder::write_log(const Event* event) {
  const otlp::LogRecord& record = event != nullptr ? event->log() : log_;
  const EventTime time = event_time(record.time, record.observed_time, received_, config_.time);
  begin_document(time.time);
  write_event_time(time);
  write_date(",\"observedTime\":", "naru.original_observed_time", record.observed_time);
  if (record.severity_number != 0 || !record.severity_text.empty()) {
    out_.raw(",\"severity\":{\"number\":");
    out_.integer(record.severity_number);
    if (!record.severity_text.empty()) {
      out_.raw(",\"text\":");
      out_.string(record.severity_text);
    }
    out_.raw('}');
  }
  if (event != nullptr) {
    if (!write_body(event->body(), event->encoded_body())) {
      return abandon_document("body");
    }
  } else if (record.has_body) {
    otlp::AnyValue body;
    if (!otlp::parse(record.body, body) || !write_body(body, record.body)) {
      return abandon_document("body");
    }
  }
  if (!record.event_name.empty()) {
    out_.raw(",\"eventName\":");
    out_.string(record.event_name);
  }
  if (!record.trace_id.empty()) {
    out_.raw(",\"traceId\":");
    out_.hex(record.trace_id);
  }
  if (!record.span_id.empty()) {
    out_.raw(",\"spanId\":");
    out_.hex(record.span_id);
  }
  constexpr std::uint32_t kTraceFlagsMask = 0xff;
  if (const std::uint32_t flags = record.flags & kTraceFlagsMask; flags != 0) {
    out_.raw(",\"flags\":");
    out_.integer(flags);
  }
  if (record.dropped_attributes_count > 0) {
    out_.raw(",\"droppedAttributesCount\":");
    out_.integer(record.dropped_attributes_count);
  }
  out_.raw(resource_text_.view());
  out_.raw(scope_text_.view());
  const bool written = event != nullptr
                           ? write_attributes(event->attributes(), event->attributes().size() > 0)
                           : write_attributes(record.attributes(), record.has_attributes);
  if (!written) {
    return abandon_document("log record's attributes");
  }
  write_promoted_fields();
  if (event != nullptr) {
    uid_ = event->uid();
    position_ = event->position();
  }
  end_document(log_id(dataset_->name, output_ordinal()));
  return true;
}

// contracts.md 1: a client's own id first, then what the agent or collector stamped. Of the record as it
// came.
otlp::DocumentId Encoder::log_id(std::string_view output, std::uint32_t ordinal) {
  if (!uid_.empty()) {
    if (const Result<Hash128> resource = resource_hash()) {
      return ids_.client_log(*resource, uid_, log_.body, log_.time, output, ordinal);
    }
  }
  if (identity_.present) {
    return ids_.source_log(identity_.source, position_.value_or(identity_.base + record_index_), log_.body,
                           log_.time, output, ordinal);
  }
  return foreign_id(output, ordinal);
}

// How many documents of this record this data set has already.
std::uint32_t Encoder::output_ordinal() const {
  return static_cast<std::uint32_t>(std::ranges::count(written_, dataset_));
}

}  // namespace naru::prepper
