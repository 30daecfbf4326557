#include "agent/tail/lines.h"

namespace naru::agent {

std::size_t first_line_start(std::string_view bytes, std::size_t from) {
  const std::size_t feed = bytes.find('\n', from);
  return feed == std::string_view::npos ? feed : feed + 1;
}

}  // namespace naru::agent
