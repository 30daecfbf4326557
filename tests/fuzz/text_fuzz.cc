// Texts of strangers: syslog messages and pages of metrics.
#include "core/syslog/syslog.h"
#include "core/telemetry/exposition.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)naru::syslog::parse_syslog(text, 1'795'000'000'000'000'000);
  const auto page = naru::telemetry::parse_exposition(text);
  naru::fuzz::must(!page || page->samples.size() <= naru::telemetry::kExpositionSamplesMax, "bounded");
  return 0;
}
