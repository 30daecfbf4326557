#include "core/rules/label_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace naru::rules {
namespace {

std::string rendered(std::string_view text, const Labels& labels, double value = 0) {
  std::vector<std::string> known = {"service", "host"};
  return LabelText::parse(text, known).value().render(labels, value);
}

TEST(LabelText, PutsLabelsAndTheValueIn) {
  EXPECT_EQ(rendered("a {{ $labels.service }}: {{$value}} failures", {{"service", "checkout"}}, 101),
            "a checkout: 101 failures");
  EXPECT_EQ(rendered("{{ $value | humanizePercentage }} {{ humanize $value }}", {}, 0.25), "25% 0.25");
  EXPECT_EQ(rendered("{{ $value | humanizeDuration }}", {}, 3725), "1h 2m 5s");
  EXPECT_EQ(rendered("{{ $value | humanizeDuration }}", {}, 0.25), "250ms");
  EXPECT_EQ(rendered("{{ $value | humanize }}", {}, 1234567), "1.235M");
}

TEST(LabelText, NamesWhatIsMissingAndNeverLetsControlCharactersThrough) {
  EXPECT_EQ(rendered("host.{{ $labels.host }}", {}), "host.unknown");
  EXPECT_EQ(rendered("host.{{ $labels.host }}", {{"host", "a\nb"}}), "host.a_b");
}

TEST(LabelText, SaysWhatItCannotUse) {
  const auto problem = [](std::string_view text) {
    return LabelText::parse(text, {"service"}).error().message();
  };
  EXPECT_THAT(problem("{{ $labels.sevrice }}"),
              testing::HasSubstr("no label 'sevrice'; `by` and `labels` give service"));
  EXPECT_THAT(problem("{{ $value"), testing::HasSubstr("has no }}"));
  EXPECT_THAT(problem("{{ $value | shout }}"), testing::HasSubstr("no function 'shout'"));
  EXPECT_THAT(problem("{{ query }}"), testing::HasSubstr("neither $labels.NAME nor $value"));
}

}  // namespace
}  // namespace naru::rules
