// The files of console/assets, as embed.cmake puts them into the program.
#pragma once

#include <span>
#include <string_view>

namespace naru::console {

struct EmbeddedFile {
  std::string_view path;  // "/app.js"
  std::string_view etag;  // quoted, from the contents
  std::string_view bytes;
};

std::span<const EmbeddedFile> embedded_files();

}  // namespace naru::console
