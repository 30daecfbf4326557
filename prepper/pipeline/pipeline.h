// Compiled pipelines: which records each takes, what its steps make of them, and where they go.
//
// A PipelineSet is immutable and shared by all workers; a reload makes a new one. Nothing here does I/O but
// load() and the tables that processors read.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/expr/expr.h"
#include "prepper/pipeline/pipeline_config.h"
#include "prepper/processors/processor.h"
#include "prepper/record/event.h"
#include "prepper/record/field_table.h"

namespace naru::prepper {

// Counts of one worker, by the slots that a set gave out; and what they mean.
using PipelineTally = std::vector<std::uint64_t>;
struct PipelineCounter {
  std::string what;  // records, documents, dropped, merged, deadlettered, failures
  std::string pipeline;
  std::string step;  // of failures
};

inline constexpr std::string_view kErrorAttribute = "naru.pipeline_error";

enum class RunOutcome : std::uint8_t { kDocument, kDropped, kMerged, kDeadLetter };

class Pipeline {
 public:
  const std::string& name() const { return name_; }
  otlp::Signal signal() const { return signal_; }
  std::size_t record_bytes_max() const { return record_bytes_max_; }
  // Whether the filter asks about the resource and the scope only.
  bool filter_of_scope() const { return filter_of_scope_; }
  bool takes(const Event& event) const { return !filter_ || filter_->matches(event); }

  // Runs the steps. kDeadLetter: scratch.reason says "step: why". Never throws.
  RunOutcome run(Event& event, Scratch& scratch, PipelineTally& tally) const;

  // Calls f(data set) for each that the record goes to; "" stands for that of its resource.
  template <class F>
  void route(const Event& event, F&& f) const {
    bool taken = false;
    for (const Route& route : routes_) {
      if (!route.when || route.when->matches(event)) {
        taken = true;
        f(std::string_view(route.dataset));
        if (!route.proceed) {
          return;
        }
      }
    }
    if (!taken) {
      f(std::string_view());
    }
  }
  bool has_step(std::string_view name) const;
  std::string step_names() const;
  void count_documents(PipelineTally& tally, std::uint64_t n) const { tally[first_slot_ + kDocuments] += n; }

 private:
  friend class PipelineSet;
  enum Slot : std::uint8_t { kRecords, kDocuments, kDropped, kMerged, kDeadLettered, kSlots };
  struct Step {
    std::string name;
    std::optional<expr::Expression> when;
    OnError on_error = OnError::kMark;
    std::unique_ptr<const Processor> processor;
  };
  struct Route {
    std::optional<expr::Expression> when;
    std::string dataset;
    bool proceed = false;
  };
  Outcome run_step(const Step& step, Event& event, Scratch& scratch, bool& grew) const;
  RunOutcome run_steps(Event& event, Scratch& scratch, PipelineTally& tally, std::string_view tapped) const;
  RunOutcome run_tapped(Event& event, Scratch& scratch, PipelineTally& tally) const;

  std::string name_;
  otlp::Signal signal_ = otlp::Signal::kLogs;
  std::size_t record_bytes_max_ = 0;
  std::optional<expr::Expression> filter_;
  bool filter_of_scope_ = true;
  std::vector<Step> steps_;
  std::vector<Route> routes_;
  std::size_t first_slot_ = 0;  // then one slot of failures per step
  std::uint64_t tap_key_ = 0;
  unsigned redacted_kinds_ = 0;
  const FieldTable* fields_ = nullptr;
};

class PipelineSet {
 public:
  struct File {
    std::string path;
    std::string text;
  };
  // kInvalidArgument: every error of every file, one line each.
  static Result<std::shared_ptr<const PipelineSet>> compile(std::span<const File> files,
                                                            std::shared_ptr<EnrichmentStore> tables);
  // The pipelines of *.yaml in `directory` (but *.test.yaml), by name. kInvalidArgument: also when the
  // directory is not there. kIo: a file.
  static Result<std::shared_ptr<const PipelineSet>> load(const std::string& directory,
                                                         std::shared_ptr<EnrichmentStore> tables);

  std::span<const Pipeline* const> of(otlp::Signal signal) const {
    return by_signal_[static_cast<std::size_t>(signal)];
  }
  const Pipeline* find(std::string_view name) const;
  std::string names() const;  // "a, b"
  std::size_t size() const { return pipelines_.size(); }
  const FieldTable& fields() const { return fields_; }
  // Largest limit of its pipelines.
  std::size_t record_bytes_max() const { return record_bytes_max_; }
  std::span<const PipelineCounter> counters() const { return counters_; }
  // Of the texts that it was made of, hexadecimal.
  const std::string& hash() const { return hash_; }

 private:
  void add(const File& file, std::shared_ptr<EnrichmentStore>& tables, std::string& errors);

  FieldTable fields_;
  std::shared_ptr<EnrichmentStore> tables_;
  std::vector<std::unique_ptr<const Pipeline>> pipelines_;
  std::vector<const Pipeline*> by_signal_[otlp::kSignals.size()];
  std::size_t record_bytes_max_ = 1u << 20;
  std::vector<PipelineCounter> counters_;
  std::string hash_;
};

// The set that counts now. Thread-safe.
class PipelineSource {
 public:
  std::shared_ptr<const PipelineSet> current() const {
    const std::lock_guard lock(mutex_);
    return set_;
  }
  std::uint64_t version() const { return version_.load(std::memory_order_acquire); }
  void swap_in(std::shared_ptr<const PipelineSet> set) {
    const std::lock_guard lock(mutex_);
    set_ = std::move(set);
    version_.fetch_add(1, std::memory_order_release);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const PipelineSet> set_;
  std::atomic<std::uint64_t> version_{0};
};

}  // namespace naru::prepper
