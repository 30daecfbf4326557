#include "prepper/processors/select.h"

#include <algorithm>
#include <cstring>

#include "core/base/bytes.h"
#include "prepper/processors/convert.h"
#include "prepper/processors/keyed_slots.h"

namespace naru::prepper {
namespace {

// The values of the fields, told apart by their types and lengths, into scratch.text.
std::string_view key_text(const std::vector<std::uint32_t>& fields, const Event& event, Scratch& scratch) {
  scratch.text.clear();
  for (const std::uint32_t field : fields) {
    const AnyValue value = event.get(field);
    const std::size_t before = scratch.text.size();
    append_le(scratch.text, std::uint32_t{0});
    append_value(scratch.text, value);
    const auto size = static_cast<std::uint32_t>(scratch.text.size() - before);
    std::memcpy(scratch.text.data() + before, &size, sizeof size);
  }
  return scratch.text;
}

// Whether a share of `keep` of all hashes takes this one.
bool sampled(std::uint64_t hash, double keep) {
  return static_cast<double>(hash >> 11) * 0x1.0p-53 < keep;
}

class DropProcessor final : public Processor {
 public:
  Outcome process(Event&, Scratch&) const override { return Outcome::kDrop; }
};

class SampleProcessor final : public Processor {
 public:
  SampleProcessor(std::vector<std::uint32_t> fields, double keep) : fields_(std::move(fields)), keep_(keep) {}
  Outcome process(Event& event, Scratch& scratch) const override {
    const std::uint64_t hash =
        fields_.empty() ? scratch.identity() : xxh3_64(key_text(fields_, event, scratch));
    return sampled(hash, keep_) ? Outcome::kDone : Outcome::kDrop;
  }

 private:
  std::vector<std::uint32_t> fields_;
  double keep_;
};

class ThrottleProcessor final : public Processor {
 public:
  ThrottleProcessor(std::vector<std::uint32_t> fields, const ThrottleOptions& options)
      : fields_(std::move(fields)),
        options_(options),
        burst_(options.burst > 0 ? options.burst : std::max(options.rate, 1.0)),
        buckets_(options.keys_max) {}

  Outcome process(Event& event, Scratch& scratch) const override {
    const Hash128 key = xxh3_128(key_text(fields_, event, scratch));
    const bool in = buckets_.with(key, scratch.now, [&](Bucket& bucket, bool known) {
      if (!known) {
        bucket = {burst_, scratch.now};
      } else if (scratch.now > bucket.filled) {
        const double seconds = static_cast<double>(scratch.now - bucket.filled) / 1e9;
        bucket = {std::min(burst_, bucket.tokens + seconds * options_.rate), scratch.now};
      }
      if (bucket.tokens < 1 && options_.excess != Excess::kBlock) {
        return false;
      }
      bucket.tokens = std::max(bucket.tokens - 1, -options_.rate);  // a debt of one second at most
      if (bucket.tokens < 0) {
        scratch.delay = std::max(scratch.delay, static_cast<UnixNanos>(-bucket.tokens / options_.rate * 1e9));
      }
      return true;
    });
    const bool kept =
        in || (options_.excess == Excess::kSample && sampled(scratch.identity(), options_.keep));
    return kept ? Outcome::kDone : Outcome::kDrop;
  }

 private:
  struct Bucket {
    double tokens = 0;
    UnixNanos filled = 0;
  };
  std::vector<std::uint32_t> fields_;
  ThrottleOptions options_;
  double burst_;
  mutable KeyedSlots<Bucket> buckets_;
};

// The first record of a window goes on and is held by its own document; later ones of the same content are
// dropped. The same record read again is no duplicate of itself.
class DedupeProcessor final : public Processor {
 public:
  DedupeProcessor(std::vector<std::uint32_t> fields, const DedupeOptions& options)
      : fields_(std::move(fields)),
        window_(static_cast<UnixNanos>(std::chrono::nanoseconds(options.window).count())),
        seen_(options.keys_max) {}

  Outcome process(Event& event, Scratch& scratch) const override {
    const Hash128 key = xxh3_128(key_text(fields_, event, scratch));
    const std::uint64_t identity = scratch.identity();
    const UnixNanos now = scratch.now;
    const bool first = seen_.with(key, now, [&](Seen& seen, bool known) {
      const UnixNanos apart = now > seen.at ? now - seen.at : seen.at - now;
      if (known && apart < window_ && seen.identity != identity) {
        return false;
      }
      if (!known || apart >= window_) {
        seen = {identity, now};
      }
      return true;
    });
    return first ? Outcome::kDone : Outcome::kDrop;
  }

 private:
  struct Seen {
    std::uint64_t identity = 0;
    UnixNanos at = 0;
  };
  std::vector<std::uint32_t> fields_;
  UnixNanos window_;
  mutable KeyedSlots<Seen> seen_;
};

std::vector<std::uint32_t> readable(std::string_view key, const std::vector<std::string>& texts,
                                    Builder& builder) {
  std::vector<std::uint32_t> out;
  for (const std::string& text : texts) {
    out.push_back(builder.field(key, text));
  }
  return out;
}

}  // namespace

void describe(config::Schema<DropOptions>&) {}
std::unique_ptr<Processor> build(const DropOptions&, Builder&) {
  return std::make_unique<DropProcessor>();
}

void describe(config::Schema<SampleOptions>& s) {
  s.field("keep", &SampleOptions::keep, "Share of the records that goes on.").min(0).max(1);
  s.field("by", &SampleOptions::by,
          "Fields whose values decide, so that all records of one trace or user share their fate; empty: the "
          "record's "
          "own identity.")
      .max(16);
}
std::unique_ptr<Processor> build(const SampleOptions& options, Builder& builder) {
  return std::make_unique<SampleProcessor>(readable("by", options.by, builder), options.keep);
}

void describe(config::Schema<ThrottleOptions>& s) {
  s.field("by", &ThrottleOptions::by, "Fields whose values have a rate each; empty: all records share one.")
      .max(16);
  s.field("rate", &ThrottleOptions::rate, "Records a second, by the time of their receipt, in this process.")
      .min(0.001);
  s.field("burst", &ThrottleOptions::burst, "Records at once; 0: those of one second.").min(0);
  s.choice("excess", &ThrottleOptions::excess,
           "What becomes of records over the rate. block: all go on, and the worker waits up to a second "
           "after each message, which "
           "holds the other pipelines up as well.",
           {{"drop", Excess::kDrop}, {"sample", Excess::kSample}, {"block", Excess::kBlock}});
  s.field("keep", &ThrottleOptions::keep, "Share of the excess that goes on with `sample`.").min(0).max(1);
  s.field("keys_max", &ThrottleOptions::keys_max, "Values remembered; the oldest give way and begin anew.")
      .min(8)
      .max(10'000'000);
}
std::unique_ptr<Processor> build(const ThrottleOptions& options, Builder& builder) {
  return std::make_unique<ThrottleProcessor>(readable("by", options.by, builder), options);
}

void describe(config::Schema<DedupeOptions>& s) {
  using namespace std::chrono_literals;
  s.field("by", &DedupeOptions::by, "Fields whose equal values make a duplicate.").min(1).max(16);
  s.field("window", &DedupeOptions::window, "How long after the first record, by the time of receipt.")
      .min(1ms)
      .max(24h);
  s.field("keys_max", &DedupeOptions::keys_max,
          "Values remembered; the oldest give way, then a duplicate may pass.")
      .min(8)
      .max(10'000'000);
}
std::unique_ptr<Processor> build(const DedupeOptions& options, Builder& builder) {
  return std::make_unique<DedupeProcessor>(readable("by", options.by, builder), options);
}

}  // namespace naru::prepper
