// OTLP messages to documents, in one pass straight into the text of a bulk request.
//
// Does no I/O itself: finished batches, contracts and dead letters go through the three seams below. Rendered
// once and copied per document: a resource, a scope, a metric's head, an action line's index. Nothing is
// allocated per record on the usual path. Not thread-safe: one per worker.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/bus/origin.h"
#include "core/otlp/identity.h"
#include "core/otlp/otlp.h"
#include "prepper/contract/contract.h"
#include "prepper/contract/value_writer.h"
#include "prepper/declaration/datasets.h"
#include "prepper/pipeline/pipeline.h"
#include "prepper/pipeline/tap.h"
#include "prepper/process/batch.h"
#include "prepper/process/index_name.h"
#include "prepper/process/json_out.h"
#include "prepper/process/trace_roots.h"

namespace naru::prepper {

struct EncoderConfig {
  std::string pipeline = "main";
  std::string dataset;  // of this pipeline; empty: data_stream.dataset of the resource
  Datasets datasets;    // which period an index has
  TimeRules time;
  BagLimits bag;
  std::uint32_t nested_max = 4'000;    // events, links or exemplars of one document, each
  std::size_t batch_bytes = 5u << 20;  // a batch is handed over when it is this long,
  std::shared_ptr<const std::atomic<std::size_t>> batch_bytes_now;  // or what this says, when there is one
  std::string cluster_id;                                           // for identities of kind 6
  // Pipelines that records go through; nullptr, and what none of them takes: straight into documents.
  std::shared_ptr<const PipelineSource> pipelines;
  Tap* tap = nullptr;  // of whoever looks at live records; must outlive the encoder
};

// The contract of an index. May block while the index is looked up. Thread-safe.
class ContractSource {
 public:
  virtual ~ContractSource() = default;
  virtual std::shared_ptr<const Contract> contract(const IndexTarget& target) = 0;
};

// Why a record cannot become a document.
struct DeadLetterCause {
  std::string type;  // "undecodable"; or OpenSearch's error type
  std::string reason;
  int status = 0;          // HTTP status of the item, 0 when it was never sent
  std::string index = {};  // empty: none was chosen
  std::uint32_t attempts = 0;
  UnixNanos first_failed_at = 0;
};
inline constexpr std::uint32_t kWholeMessage = ~0U;  // as an ordinal: the message itself

class EncoderSink {
 public:
  virtual ~EncoderSink() = default;
  // A finished batch. May block: that is the backpressure.
  virtual void batch_ready(BulkBatch batch) = 0;
  // A record (one output of `message`, held already) that cannot be encoded.
  virtual void dead_letter(const std::shared_ptr<SourceMessage>& message, std::uint32_t ordinal,
                           std::string id, DeadLetterCause cause) = 0;
};

// Since the last take_stats().
struct EncodeStats {
  std::uint64_t records = 0;
  std::uint64_t documents = 0;
  std::uint64_t document_bytes = 0;
  std::uint64_t undecodable = 0;
  std::uint64_t time_out_of_range = 0;
  std::uint64_t invalid_utf8 = 0;
  std::uint64_t cut_leaves = 0;
  std::uint64_t overflowed_bags = 0;
  std::uint64_t nested_cut = 0;
  std::uint64_t refused_type = 0;
  std::uint64_t refused_length = 0;
  std::uint64_t dataset_replaced = 0;
};

class Encoder : private IdentitySource {
 public:
  // Both seams must outlive this.
  Encoder(EncoderConfig config, ContractSource& contracts, EncoderSink& sink);

  // Turns one message into documents and lets go of the encoder's hold on it. A message that is no OTLP at
  // all becomes one dead letter.
  void encode(const std::shared_ptr<SourceMessage>& message);
  // Hands over what is open.
  void flush();
  bool has_open_batch() const { return !batch_.entries.empty(); }
  EncodeStats take_stats() { return std::exchange(stats_, {}); }
  // How long pipelines want the worker to wait before its next message; at most a second.
  UnixNanos take_delay() { return std::exchange(scratch_.delay, 0); }
  // Gives the counts of pipelines since the last call to `f(set, tally)`, when there are any.
  template <class F>
  void take_tally(F&& f) {
    if (set_ != nullptr && tally_used_) {
      f(*set_, tally_);
      std::ranges::fill(tally_, 0);
      tally_used_ = false;
    }
  }

 private:
  struct CachedTarget {
    std::shared_ptr<const IndexTarget> target;
    std::shared_ptr<const Contract> contract;
    std::uint64_t message_serial = 0;
    std::uint64_t batch_serial = 0;
    std::uint32_t batch_slot = 0;
  };
  struct Dataset {
    std::string name;
    std::vector<CachedTarget> targets;  // per signal and period, few
  };
  // Attributes of a record in passing: identity and promoted values.
  class RecordVisitor;

  bool encode_message();
  bool encode_resource_group(std::string_view encoded);
  bool encode_scope_group(std::string_view encoded);
  void encode_log(std::string_view encoded);
  void encode_span(std::string_view encoded);
  void encode_metric(std::string_view encoded);
  void encode_point(const otlp::Metric& metric, std::string_view encoded);
  // A document of the record being encoded: as it came, or with what pipelines left in `event`. False: it was
  // abandoned.
  bool write_log(const Event* event);
  bool write_span(const Event* event);
  void note_roots(const otlp::ScopeGroup& group);
  void write_trace_group(std::string_view name, std::int32_t status_code, UnixNanos start, UnixNanos end);
  bool write_point(const Event* event);
  void write_point_members(const otlp::Metric& metric, const otlp::DataPoint& point);
  bool write_record(const Event* event);

  // Pipelines
  void use_pipelines();
  void choose_pipelines();
  // Runs the record being encoded through the pipelines that take it, or writes it as it is.
  void run_pipelines();
  bool load_event();
  Dataset& routed(std::string_view name);
  void write_routed(const Pipeline& pipeline);
  void letter_of_pipeline(const Pipeline& pipeline);
  void write_metrics();
  void end_record();
  std::uint32_t output_ordinal() const;
  std::uint64_t record_identity() override;
  otlp::DocumentId log_id(std::string_view output, std::uint32_t ordinal);
  otlp::DocumentId span_id(std::string_view output, std::uint32_t ordinal);
  otlp::DocumentId point_id(std::string_view output, std::uint32_t ordinal);

  bool render_resource(const otlp::ResourceGroup& group);
  bool render_scope(const otlp::ScopeGroup& group);
  void render_metric_head(const otlp::Metric& metric);
  Dataset& dataset_of(const otlp::ResourceGroup& group);
  Dataset& dataset_named(const std::string& name);

  // A document from its action line to its line feed. The id is filled in at the end.
  void begin_document(UnixNanos time);
  void end_document(const otlp::DocumentId& id);
  bool abandon_document(std::string_view what);

  CachedTarget& target_at(UnixNanos time);
  void use_contract(CachedTarget& cached);
  void render_resource_promoted();
  void write_promoted_fields();
  void count_refusal(Refusal refusal);
  void hand_over();
  void hold_documents();

  // `encoded`: the body as it came, empty for one that was made here.
  bool write_body(const otlp::AnyValue& value, std::string_view encoded);
  // `"attributes":{...}` with its comma, when there is any. False: malformed.
  template <class Attributes>
  bool write_attributes(const Attributes& attributes, bool present);
  bool write_nested_attributes(const otlp::Attributes& attributes, std::string_view path);
  void write_event_time(const EventTime& time);
  // A date field that may not fit date_nanos: then it is left out, and the original is an extra attribute.
  void write_date(std::string_view member, std::string_view original_name, UnixNanos time);
  void add_extra(std::string_view name, std::string json);
  bool write_events(const otlp::Span& span);
  bool write_links(const otlp::Span& span);
  bool write_exemplars(const otlp::DataPoint& point, std::uint32_t field);
  void write_real_member(std::string_view member, std::string_view original_name, double value);
  void write_count(std::uint64_t count);
  void write_exponential_buckets(std::string_view offset_member, std::string_view counts_member,
                                 std::string_view encoded);
  void write_histogram(const otlp::DataPoint& point);
  void write_exponential(const otlp::DataPoint& point);
  void write_summary(const otlp::DataPoint& point);
  Result<Hash128> resource_hash();
  otlp::DocumentId foreign_id(std::string_view output, std::uint32_t ordinal = 0);

  EncoderConfig config_;
  ContractSource& contracts_;
  EncoderSink& sink_;
  EncodeStats stats_;
  ValueWriter values_;
  otlp::IdentityHasher ids_;
  otlp::AttributeSorter sorter_;
  std::unique_ptr<TraceRoots> roots_;  // once there are spans

  JsonOut out_;
  BulkBatch batch_;  // its body is in out_ until handed over
  std::uint64_t batch_serial_ = 1;

  // The message
  std::shared_ptr<SourceMessage> message_;
  std::uint64_t message_serial_ = 0;
  UnixNanos received_ = 0;
  std::optional<bus::Origin> origin_;  // once a record needs it
  std::uint32_t ordinal_ = 0;          // of the next record
  std::uint32_t documents_open_ = 0;   // of this message in the open batch, not held yet
  std::optional<std::uint32_t> source_slot_;
  std::uint64_t letters_here_ = 0;
  std::uint64_t documents_here_ = 0;
  std::uint64_t created_here_ = 0;   // outputs beyond the first of a record
  std::uint64_t dropped_here_ = 0;   // records that pipelines want no document of
  std::uint64_t merged_here_ = 0;    // records that went into data points only
  bool drop_next_ = false;           // fault point
  std::uint64_t message_bytes_ = 0;  // of its documents

  // The resource group
  otlp::ResourceGroup resource_;
  JsonOut resource_text_;
  std::uint32_t resource_cut_ = 0;
  std::uint64_t resource_serial_ = 0;
  std::optional<Hash128> resource_hash_;
  Dataset* dataset_ = nullptr;
  std::map<std::string, Dataset, std::less<>> datasets_;

  // Promoted fields of the resource, rendered for one contract
  std::shared_ptr<const Contract> promoted_contract_;
  std::uint64_t promoted_serial_ = 0;
  JsonOut promoted_text_;
  std::uint64_t promoted_mask_ = 0;
  struct Range {
    std::uint32_t begin, size;
  };
  std::array<Range, kPromotedMax> promoted_ranges_{};

  // The scope group
  otlp::Scope scope_;
  JsonOut scope_text_;
  std::uint32_t scope_cut_ = 0;
  otlp::ScopeIdentity identity_;
  std::uint64_t scope_index_ = 0;  // of the next record in its group

  // Pipelines
  std::shared_ptr<const PipelineSet> set_;
  std::uint64_t set_version_ = 0;
  PipelineTally tally_;
  bool tally_used_ = false;
  std::unique_ptr<Event> event_;
  Scratch scratch_;
  struct Candidate {
    const Pipeline* pipeline;
    bool certain;  // takes every record of this scope
  };
  std::vector<Candidate> candidates_;  // of this scope
  std::map<std::string, Dataset, std::less<>> routed_;

  // The record
  otlp::LogRecord log_;
  otlp::Span span_;
  const otlp::Metric* metric_ = nullptr;
  otlp::DataPoint point_;
  std::string_view encoded_record_;
  std::uint64_t record_index_ = 0;             // in its scope group
  std::uint32_t outputs_ = 0;                  // documents and dead letters of it
  bool merged_ = false;                        // it went into a data point
  otlp::Signal signal_ = otlp::Signal::kLogs;  // of the document being written
  std::string point_bytes_;                    // of a point that was made here
  std::vector<const Dataset*> written_;        // where its documents went

  // The metric
  JsonOut metric_text_;

  // The document
  std::size_t document_begin_ = 0;
  CachedTarget* target_ = nullptr;
  std::shared_ptr<const Contract> contract_;
  std::uint64_t record_mask_ = 0;
  std::array<otlp::AnyValue, kPromotedMax> record_values_{};
  std::uint32_t clamped_counts_ = 0;
  std::string_view uid_;
  std::optional<std::uint64_t> position_;
  std::vector<std::pair<std::string, std::string>> extras_;
  std::vector<ExtraMember> extra_views_;
};

// Base64 text that fits one leaf; longer originals become an array of such texts, to be joined after
// decoding.
inline constexpr std::size_t kOriginalChunkBytes = 24'000;
inline constexpr std::string_view kOriginalBytes = "log.record.original_bytes";
inline constexpr std::string_view kOriginalBody = "naru.original_body";
inline constexpr std::string_view kOriginalTime = "naru.original_time";

}  // namespace naru::prepper
