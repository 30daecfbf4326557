#include "prepper/processors/date.h"

#include <fmt/format.h>

#include "prepper/processors/convert.h"
#include "prepper/processors/date_format.h"

namespace naru::prepper {
namespace {

class DateProcessor final : public Processor {
 public:
  DateProcessor(std::uint32_t field, std::uint32_t target, bool keep, std::vector<DateFormat> formats,
                TimeZone zone)
      : field_(field), target_(target), keep_(keep), formats_(std::move(formats)), zone_(std::move(zone)) {}

  Outcome process(Event& event, Scratch& scratch) const override {
    const std::optional<AnyValue> text = convert(event.get(field_), Conversion::kText, event.arena());
    if (!text) {
      return scratch.fail("the field has no time");
    }
    for (const DateFormat& format : formats_) {
      if (const std::optional<UnixNanos> time =
              format.parse(text->bytes, zone_, event.reference_time(scratch.now))) {
        char* const written = event.arena().allocate(kRfc3339Size);
        write_rfc3339(*time, written);
        event.set(target_, text_value({written, kRfc3339Size}));
        if (!keep_ && field_ != target_) {
          event.remove(field_);
        }
        return Outcome::kDone;
      }
    }
    return scratch.fail("the text has none of the formats");
  }

 private:
  std::uint32_t field_, target_;
  bool keep_;
  std::vector<DateFormat> formats_;
  TimeZone zone_;
};

}  // namespace

void describe(config::Schema<DateOptions>& s) {
  s.field("field", &DateOptions::field, "Field with the text or number.").required().min(1);
  s.field("formats", &DateOptions::formats,
          "Tried in their order: iso8601, unix, unix_ms, unix_us, unix_ns, or letters such as "
          "dd/MMM/yyyy:HH:mm:ss Z.")
      .min(1)
      .max(32);
  s.field("zone", &DateOptions::zone,
          "Zone of texts that tell none: UTC, +09:00 or a name such as Asia/Seoul.");
  s.field("target", &DateOptions::target, "Field that takes the time; `time` is the record's own.");
  s.field("keep", &DateOptions::keep, "Keep the field; false: it is removed once it was read.");
}

std::unique_ptr<Processor> build(const DateOptions& options, Builder& builder) {
  std::vector<DateFormat> formats;
  for (std::size_t i = 0; i < options.formats.size(); ++i) {
    Result<DateFormat> format = DateFormat::compile(options.formats[i]);
    if (!format) {
      builder.error(fmt::format("formats[{}]", i), format.error().message());
    } else {
      formats.push_back(std::move(*format));
    }
  }
  Result<TimeZone> zone = TimeZone::load(options.zone);
  if (!zone) {
    builder.error("zone", zone.error().message());
    return nullptr;
  }
  const std::uint32_t field =
      options.keep ? builder.field("field", options.field) : builder.target("field", options.field);
  return std::make_unique<DateProcessor>(field, builder.target("target", options.target), options.keep,
                                         std::move(formats), std::move(*zone));
}

}  // namespace naru::prepper
