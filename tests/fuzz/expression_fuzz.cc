// Conditions of rules, pipelines and filters.
#include "core/expr/expr.h"
#include "tests/fuzz/input.h"

namespace {

class AnyRecord final : public naru::expr::Record {
 public:
  naru::expr::Value read(std::uint32_t ref) const override {
    using naru::expr::Value;
    switch (ref % 5) {
      case 0: return {};
      case 1: return Value(true);
      case 2: return Value(std::int64_t{17});
      case 3: return Value(0.5);
      default: return Value(std::string_view("error: GET /checkout 500"));
    }
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace naru::expr;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::uint32_t next = 0;
  const auto expression =
      Expression::compile(text, [&](const Field&) { return std::optional(KnownField{Type::kAny, next++}); });
  if (!expression) {
    naru::fuzz::must(expression.error().message().starts_with("column "), "an error says where");
    return 0;
  }
  const AnyRecord record;
  (void)expression->evaluate(record);
  (void)expression->matches(record);
  return 0;
}
