// Checkpoints of MirrorMaker 2: key, NUL, value.
#include "naru/kafka/checkpoint.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  naru::fuzz::Input input(data, size);
  const std::size_t key_size = input.byte();
  const std::string_view all = input.rest();
  const auto one =
      naru::parse_checkpoint(all.substr(0, key_size), all.substr(std::min(all.size(), key_size)));
  naru::fuzz::must(!one || one->partition.partition >= 0, "partitions are not negative");
  return 0;
}
