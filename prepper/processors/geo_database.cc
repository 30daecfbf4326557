#include "prepper/processors/geo_database.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <maxminddb.h>

#include <cstring>

namespace naru::prepper {

// The library maps the file; an in-place rewrite under a mapping would be undefined. MaxMind's own updater
// renames, and so must every other tool: the slot then sees another inode and maps anew.
struct GeoDatabase::Parts {
  MMDB_s database{};
  std::string language;
  bool open = false;
  ~Parts() {
    if (open) {
      MMDB_close(&database);
    }
  }
};

GeoDatabase::GeoDatabase(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
GeoDatabase::~GeoDatabase() = default;

Result<std::shared_ptr<const EnrichmentFile>> GeoDatabase::load(const std::string& path,
                                                                const std::string& language) {
  auto parts = std::make_unique<Parts>();
  parts->language = language;
  if (const int status = MMDB_open(path.c_str(), MMDB_MODE_MMAP, &parts->database); status != MMDB_SUCCESS) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: no MaxMind database: {}", path, MMDB_strerror(status)));
  }
  parts->open = true;
  return std::shared_ptr<const EnrichmentFile>(new GeoDatabase(std::move(parts)));
}

GeoDatabase::Found GeoDatabase::find(
    std::string_view address, const std::function<void(std::string_view, const AnyValue&)>& set) const {
  char text[INET6_ADDRSTRLEN];
  if (address.empty() || address.size() >= sizeof text) {
    return Found::kNoAddress;
  }
  std::memcpy(text, address.data(), address.size());
  text[address.size()] = '\0';
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  const sockaddr* any = nullptr;
  if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    any = reinterpret_cast<const sockaddr*>(&v4);
  } else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    any = reinterpret_cast<const sockaddr*>(&v6);
  } else {
    return Found::kNoAddress;
  }
  int status = MMDB_SUCCESS;
  MMDB_lookup_result_s found = MMDB_lookup_sockaddr(&parts_->database, any, &status);
  if (status != MMDB_SUCCESS || !found.found_entry) {
    return Found::kNo;
  }
  const auto take = [&](std::string_view name, const char* const* path) {
    MMDB_entry_data_s data;
    if (MMDB_aget_value(&found.entry, &data, path) != MMDB_SUCCESS || !data.has_data) {
      return;
    }
    switch (data.type) {
      case MMDB_DATA_TYPE_UTF8_STRING: set(name, text_value({data.utf8_string, data.data_size})); break;
      case MMDB_DATA_TYPE_DOUBLE: set(name, real_value(data.double_value)); break;
      case MMDB_DATA_TYPE_UINT32: set(name, int_value(data.uint32)); break;
      case MMDB_DATA_TYPE_UINT16: set(name, int_value(data.uint16)); break;
      default: break;
    }
  };
  const char* const language = parts_->language.c_str();
  const char* const country_code[] = {"country", "iso_code", nullptr};
  const char* const country_name[] = {"country", "names", language, nullptr};
  const char* const region_name[] = {"subdivisions", "0", "names", language, nullptr};
  const char* const city_name[] = {"city", "names", language, nullptr};
  const char* const postal_code[] = {"postal", "code", nullptr};
  const char* const latitude[] = {"location", "latitude", nullptr};
  const char* const longitude[] = {"location", "longitude", nullptr};
  const char* const as_number[] = {"autonomous_system_number", nullptr};
  const char* const as_name[] = {"autonomous_system_organization", nullptr};
  take("geo.country.iso_code", country_code);
  take("geo.country.name", country_name);
  take("geo.region.name", region_name);
  take("geo.locality.name", city_name);
  take("geo.postal_code", postal_code);
  take("geo.location.lat", latitude);
  take("geo.location.lon", longitude);
  take("as.number", as_number);
  take("as.organization.name", as_name);
  return Found::kYes;
}

}  // namespace naru::prepper
