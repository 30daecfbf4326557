#include "naru/kafka/checkpoint.h"

#include <fmt/format.h>

#include "core/base/bytes.h"

namespace naru {
namespace {

class BigEndianReader {
 public:
  explicit BigEndianReader(std::string_view in) : in_(in) {}

  std::uint64_t number(std::size_t bytes) {
    if (in_.size() < bytes) {
      ok_ = false;
      return 0;
    }
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i) {
      value = value << 8 | static_cast<unsigned char>(in_[i]);
    }
    in_.remove_prefix(bytes);
    return value;
  }
  std::string text() {
    const auto size = static_cast<std::int16_t>(number(2));
    if (!ok_ || size < 0 || in_.size() < static_cast<std::size_t>(size)) {
      ok_ = false;
      return {};
    }
    std::string out(in_.substr(0, static_cast<std::size_t>(size)));
    in_.remove_prefix(static_cast<std::size_t>(size));
    return out;
  }
  bool finished() const { return ok_ && in_.empty(); }

 private:
  std::string_view in_;
  bool ok_ = true;
};

}  // namespace

Result<Checkpoint> parse_checkpoint(std::string_view key, std::string_view value) {
  Checkpoint out;
  BigEndianReader keys(key), values(value);
  out.group = keys.text();
  out.partition.topic = keys.text();
  out.partition.partition = static_cast<std::int32_t>(keys.number(4));
  const std::uint64_t version = values.number(2);
  out.upstream = static_cast<std::int64_t>(values.number(8));
  out.downstream = static_cast<std::int64_t>(values.number(8));
  (void)values.text();
  if (!keys.finished() || !values.finished() || version != 0 || out.partition.partition < 0) {
    return fail(ErrorCode::kInvalidArgument, "not a checkpoint of MirrorMaker 2, version 0");
  }
  return out;
}

std::string checkpoints_topic(std::string_view alias) {
  return fmt::format("{}.checkpoints.internal", alias);
}

}  // namespace naru
