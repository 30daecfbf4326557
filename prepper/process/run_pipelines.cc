// What pipelines do to the records of a message: the part of the encoder between decoding and writing.
#include "core/base/hash.h"
#include "prepper/process/encoder.h"

namespace naru::prepper {

void Encoder::use_pipelines() {
  candidates_.clear();
  if (config_.pipelines == nullptr) {
    return;
  }
  if (const std::uint64_t version = config_.pipelines->version(); version != set_version_) {
    set_version_ = version;
    set_ = config_.pipelines->current();
    scratch_.tables.clear();
    routed_.clear();
    tally_.assign(set_ != nullptr ? set_->counters().size() : 0, 0);
    event_ = set_ != nullptr ? std::make_unique<Event>(set_->record_bytes_max()) : nullptr;
    if (event_ != nullptr) {
      event_->use(set_->fields());
    }
    scratch_.identities = this;
    scratch_.tap = config_.tap;
  }
  scratch_.tables.refresh();
  scratch_.now = received_;
  scratch_.readable = message_->record.value;
}

// Filters that ask about the scope only are asked once for all its records.
void Encoder::choose_pipelines() {
  candidates_.clear();
  if (event_ == nullptr) {
    return;
  }
  event_->begin_scope(scope_);
  for (const Pipeline* pipeline : set_->of(message_->signal)) {
    const bool certain = pipeline->filter_of_scope();
    if (!certain || pipeline->takes(*event_)) {
      candidates_.push_back({pipeline, certain});
    }
  }
}

bool Encoder::write_record(const Event* event) {
  switch (message_->signal) {
    case otlp::Signal::kLogs: return write_log(event);
    case otlp::Signal::kTraces: return write_span(event);
    case otlp::Signal::kMetrics: return write_point(event);
  }
  return false;
}

bool Encoder::load_event() {
  switch (message_->signal) {
    case otlp::Signal::kLogs: return event_->load(log_);
    case otlp::Signal::kTraces: return event_->load(span_);
    case otlp::Signal::kMetrics: return event_->load(*metric_, point_);
  }
  return false;
}

void Encoder::run_pipelines() {
  bool taken = false, loaded = false;
  for (const Candidate& candidate : candidates_) {
    if (!loaded) {
      if (!load_event()) {
        break;  // malformed inside: the usual way says where
      }
      loaded = true;
      uid_ = event_->uid();
      position_ = event_->position();
    }
    if (!candidate.certain && !candidate.pipeline->takes(*event_)) {
      continue;
    }
    taken = true;
    tally_used_ = true;
    loaded = false;  // its steps change the record
    scratch_.json.begin_record();
    scratch_.ordinal = ordinal_;
    switch (candidate.pipeline->run(*event_, scratch_, tally_)) {
      case RunOutcome::kDocument: write_routed(*candidate.pipeline); break;
      case RunOutcome::kDeadLetter: letter_of_pipeline(*candidate.pipeline); break;
      case RunOutcome::kMerged: merged_ = true; break;
      case RunOutcome::kDropped: break;
    }
  }
  if (!taken) {
    write_record(nullptr);
  }
}

// A data set that the configuration names.
Encoder::Dataset& Encoder::routed(std::string_view name) {
  auto known = routed_.find(name);
  if (known == routed_.end()) {
    known = routed_.emplace(std::string(name), Dataset{std::string(name), {}}).first;
  }
  return known->second;
}

void Encoder::write_routed(const Pipeline& pipeline) {
  Dataset* const of_resource = dataset_;
  pipeline.route(*event_, [&](std::string_view name) {
    dataset_ = name.empty() ? of_resource : &routed(name);
    pipeline.count_documents(tally_, write_record(event_.get()) ? 1 : 0);
    dataset_ = of_resource;
  });
}

void Encoder::letter_of_pipeline(const Pipeline& pipeline) {
  const otlp::DocumentId id = foreign_id(dataset_->name, outputs_);
  message_->hold(1);
  ++letters_here_;
  ++outputs_;
  sink_.dead_letter(message_, ordinal_, std::string(id.data(), id.size()),
                    {.type = "pipeline", .reason = "pipeline " + pipeline.name() + ": " + scratch_.reason});
}

std::uint64_t Encoder::record_identity() {
  const auto hash = [](const otlp::DocumentId& id) { return xxh3_64({id.data(), id.size()}); };
  switch (message_->signal) {
    case otlp::Signal::kLogs: return hash(log_id({}, 0));
    case otlp::Signal::kTraces: return hash(span_id({}, 0));
    case otlp::Signal::kMetrics: return hash(point_id({}, 0));
  }
  return 0;
}

// The points that processors made of this resource's records, as documents of the metrics index.
void Encoder::write_metrics() {
  Dataset* const of_resource = dataset_;
  const std::uint32_t next_ordinal = ordinal_;
  scope_text_.clear();
  scope_cut_ = 0;
  signal_ = otlp::Signal::kMetrics;
  scratch_.metrics.for_each([&](const PartialMetrics::Partial& partial) {
    const MetricSpec& spec = *partial.spec;
    dataset_ = spec.dataset.empty() ? of_resource : &routed(spec.dataset);
    ordinal_ = partial.first_ordinal;
    point_bytes_.clear();
    PartialMetrics::append_point(point_bytes_, partial);
    const otlp::Metric metric = PartialMetrics::metric_of(spec);
    otlp::DataPoint point;
    otlp::parse(metric.kind, point_bytes_, point);
    render_metric_head(metric);
    const EventTime time = event_time(partial.window_begin, 0, received_, config_.time);
    begin_document(time.time);
    clamped_counts_ = 0;
    write_event_time(time);
    write_date(",\"startTime\":", "naru.original_start_time", point.start);
    add_extra("naru.window_seconds", std::to_string(spec.window / kNanosPerSecond));
    out_.raw(metric_text_.view());
    write_point_members(metric, point);
    out_.raw(resource_text_.view());
    write_attributes(point.attributes(), true);
    write_promoted_fields();
    end_document(ids_.aggregate(spec.name, partial.key, partial.window_begin, partial.first_record,
                                partial.count, dataset_->name));
    created_here_ += outputs_;  // beside what the records themselves became
    outputs_ = 0;
  });
  written_.clear();
  scratch_.metrics.clear();
  ordinal_ = next_ordinal;
  signal_ = message_->signal;
  dataset_ = of_resource;
}

void Encoder::end_record() {
  created_here_ += outputs_ > 1 ? outputs_ - 1 : 0;
  merged_here_ += outputs_ == 0 && merged_ ? 1 : 0;
  dropped_here_ += outputs_ == 0 && !merged_ ? 1 : 0;
  outputs_ = 0;
  merged_ = false;
  written_.clear();
  ++ordinal_;
}

}  // namespace naru::prepper
