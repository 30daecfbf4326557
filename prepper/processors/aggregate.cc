#include "prepper/processors/aggregate.h"

#include <cmath>

#include "prepper/process/index_name.h"
#include "prepper/processors/convert.h"

namespace naru::prepper {
namespace {

class MetricProcessor final : public Processor {
 public:
  MetricProcessor(MetricSpec spec, std::vector<std::uint32_t> by, std::optional<std::uint32_t> value,
                  bool keep)
      : spec_(std::move(spec)), by_(std::move(by)), value_(value), keep_(keep) {}

  Outcome process(Event& event, Scratch& scratch) const override {
    double number = 1;
    if (value_) {
      const auto converted = convert(event.get(*value_), Conversion::kDouble, event.arena());
      if (!converted || !std::isfinite(converted->real)) {
        return scratch.fail("the value is missing or no number");
      }
      number = converted->real;
    }
    scratch.encoded.clear();
    for (std::size_t i = 0; i < by_.size(); ++i) {
      const AnyValue part = event.get(by_[i]);
      if (part.kind != AnyValue::Kind::kEmpty) {
        PartialMetrics::append_key(scratch.encoded, spec_.attributes[i], part);
      }
    }
    const UnixNanos own = event.time();
    const UnixNanos time = own != 0 && own <= kDateNanosMax - spec_.window ? own : scratch.now;
    if (!scratch.metrics.add(spec_, time, scratch.encoded, number, scratch.ordinal, *scratch.identities)) {
      return scratch.fail("one message has more keys than keys_max");
    }
    return keep_ ? Outcome::kDone : Outcome::kMerged;
  }

 private:
  MetricSpec spec_;
  std::vector<std::uint32_t> by_;
  std::optional<std::uint32_t> value_;
  bool keep_;
};

template <class Options>
void describe_metric(config::Schema<Options>& s) {
  using namespace std::chrono_literals;
  const auto own = []<class M>(M MetricOptions::* member) { return static_cast<M Options::*>(member); };
  s.field("metric", own(&MetricOptions::metric), "Name of the metric.").required().min(1);
  s.field("unit", own(&MetricOptions::unit), "Its unit (UCUM).");
  s.field("by", own(&MetricOptions::by),
          "Fields that make the key; each is an attribute of the points under its last name.")
      .max(16);
  s.field("window", own(&MetricOptions::window),
          "Tumbling window of the record's time that one point covers.")
      .min(1s)
      .max(24h);
  s.field("dataset", own(&MetricOptions::dataset), "Data set of the points; empty: that of the resource.")
      .check([](const std::string& name) -> Result<void> {
        if (!name.empty() && normal_dataset(name) != name) {
          return fail(ErrorCode::kInvalidArgument, "is no data set; write lower-case letters, digits and _");
        }
        return {};
      });
  s.field("keys_max", own(&MetricOptions::keys_max),
          "More keys and windows than this in one message are a failure.")
      .min(1)
      .max(100'000);
}

std::unique_ptr<Processor> build_metric(const MetricOptions& options, MetricSpec::Kind kind, bool keep,
                                        Builder& builder) {
  MetricSpec spec;
  spec.name = options.metric;
  spec.unit = options.unit;
  spec.kind = kind;
  spec.window = static_cast<UnixNanos>(std::chrono::nanoseconds(options.window).count());
  spec.dataset = options.dataset;
  spec.keys_max = options.keys_max;
  std::vector<std::uint32_t> by;
  for (const std::string& text : options.by) {
    by.push_back(builder.field("by", text));
    const std::string& key = builder.ok() ? builder.fields().at(by.back()).key : text;
    spec.attributes.push_back(key.empty() ? text : key);
  }
  std::optional<std::uint32_t> value;
  if (!options.value.empty()) {
    value = builder.field("value", options.value);
  } else if (kind != MetricSpec::Kind::kCounter) {
    builder.error("value", "a gauge or histogram needs the field with its values");
  }
  return std::make_unique<MetricProcessor>(std::move(spec), std::move(by), value, keep);
}

}  // namespace

void describe(config::Schema<AggregateOptions>& s) {
  describe_metric(s);
  s.field("value", static_cast<std::string AggregateOptions::*>(&MetricOptions::value),
          "Field with a number: the points are exponential histograms with count, sum, min, max and "
          "percentiles; empty: they "
          "count records.");
  s.field("keep", &AggregateOptions::keep, "The records become documents too; false: only the points do.");
}
std::unique_ptr<Processor> build(const AggregateOptions& options, Builder& builder) {
  return build_metric(options,
                      options.value.empty() ? MetricSpec::Kind::kCounter : MetricSpec::Kind::kHistogram,
                      options.keep, builder);
}

void describe(config::Schema<LogToMetricOptions>& s) {
  describe_metric(s);
  s.field("value", static_cast<std::string LogToMetricOptions::*>(&MetricOptions::value),
          "Field with a number; empty: a counter of records.");
  s.choice("kind", &LogToMetricOptions::kind,
           "counter: a sum; gauge: the last value; histogram: their distribution.",
           {{"counter", MetricSpec::Kind::kCounter},
            {"gauge", MetricSpec::Kind::kGauge},
            {"histogram", MetricSpec::Kind::kHistogram}});
}
std::unique_ptr<Processor> build(const LogToMetricOptions& options, Builder& builder) {
  return build_metric(options, options.kind, true, builder);
}

}  // namespace naru::prepper
