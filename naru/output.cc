#include "naru/output.h"

#include <cstdio>

namespace naru {
namespace {

Result<void> judge(bool good) {
  return good ? Result<void>()
              : fail(ErrorCode::kIo,
                     "the output cannot be written: its disk is full, or its reader went away");
}

}  // namespace

Result<void> print_out(std::string_view text) {
  return judge(std::fwrite(text.data(), 1, text.size(), stdout) == text.size());
}

Result<void> flush_out() {
  return judge(std::fflush(stdout) == 0);
}

}  // namespace naru
