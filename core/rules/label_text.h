// Text with the values of labels: `{{ $labels.service }}: {{ $value }} failures`, as in Prometheus rule
// files.
//
// Of Go's templates only $labels.NAME, $value and the functions humanize, humanizePercentage and
// humanizeDuration behind `|` or before are there: what a rule file of Prometheus usually holds. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace naru::rules {

using Labels = std::map<std::string, std::string>;

class LabelText {
 public:
  // kInvalidArgument: what cannot be understood, and where. `known`: labels that there may be; a name that is
  // not among them is refused.
  static Result<LabelText> parse(std::string_view text, const std::vector<std::string>& known);

  // Control characters of values become '_'.
  std::string render(const Labels& labels, double value = 0) const;

 private:
  enum class Format : std::uint8_t { kPlain, kHumanize, kPercentage, kDuration };
  struct Part {
    enum class Kind : std::uint8_t { kText, kLabel, kValue } kind;
    std::string text;  // or the label
    Format format = Format::kPlain;
  };
  std::vector<Part> parts_;
};

// 1234.5 as "1.234k", 0.034 as "3.4%", 75 as "1m 15s".
std::string humanize(double value);
std::string humanize_percentage(double value);
std::string humanize_duration(double seconds);

}  // namespace naru::rules
