// Export requests of strangers: identified and cut for the bus, no record appears or goes.
#include "core/otlp/rewrite.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace naru;
  using namespace naru::otlp;
  fuzz::Input input(data, size);
  const std::uint8_t how = input.byte();
  IdentifyOptions identify_options;
  identify_options.signal = kSignals[how % kSignals.size()];
  identify_options.trusted = (how & 8) != 0;
  Result<Identified> identified = identify(identify_options, std::string(input.rest()));
  if (!identified) {
    return 0;
  }
  RegroupOptions options;
  options.signal = identify_options.signal;
  options.partitions = 1 + (how >> 4);
  options.value_bytes_max = 200;
  const std::uint64_t records = identified->records;
  const Result<Regrouped> regrouped = regroup(options, std::move(identified->request), records);
  if (!regrouped) {
    return 0;
  }
  std::uint64_t out = 0;
  for (const PartitionValue& value : regrouped->values) {
    fuzz::must(value.partition >= 0 && value.partition < options.partitions, "a partition of the topic");
    out += value.records;
    Result<Identified> again = identify(identify_options, value.value);
    fuzz::must(again.has_value() && again->records == value.records,
               "a value holds the records that it says");
  }
  fuzz::must(out == records, "every record is in one value");
  return 0;
}
