#include "naru/up/endpoints.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <simdjson.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace naru {

std::string endpoints_path(std::string_view data_directory) {
  return fmt::format("{}/endpoints.json", data_directory);
}

Result<void> write_endpoints(const std::string& path, const std::vector<Endpoint>& endpoints) {
  std::string json = "{";
  for (const Endpoint& endpoint : endpoints) {
    json += fmt::format("{}\n  \"{}\": \"{}\"", json.size() > 1 ? "," : "", endpoint.what, endpoint.address);
  }
  json += "\n}\n";
  const std::string temporary = path + ".tmp";
  const int fd = ::open(temporary.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);
  const bool written = fd >= 0 && ::write(fd, json.data(), json.size()) == std::ssize(json);
  if (fd >= 0) {
    ::close(fd);
  }
  if (!written || ::rename(temporary.c_str(), path.c_str()) != 0) {
    return fail(ErrorCode::kIo, fmt::format("{} cannot be written: {}", path, std::strerror(errno)));
  }
  return {};
}

Result<std::string> read_endpoint(const std::string& path, std::string_view what) {
  simdjson::padded_string text;
  if (simdjson::padded_string::load(path).get(text) != simdjson::SUCCESS) {
    return fail(ErrorCode::kNotFound, fmt::format("{} cannot be read", path));
  }
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(text).get(object) != simdjson::SUCCESS) {
    return fail(ErrorCode::kCorrupt, fmt::format("{} is no JSON object", path));
  }
  std::string_view address;
  if (object[what].get(address) != simdjson::SUCCESS) {
    return fail(ErrorCode::kNotFound, fmt::format("{} names no listener '{}'", path, what));
  }
  return std::string(address);
}

}  // namespace naru
