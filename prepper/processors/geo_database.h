// A MaxMind database file (.mmdb, format 2.0). Immutable; lookups allocate nothing.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "prepper/processors/enrichment.h"
#include "prepper/record/event.h"

namespace naru::prepper {

class GeoDatabase : public EnrichmentFile {
 public:
  // Maps the file, which must be replaced by renaming and not rewritten in place (MaxMind's own updater
  // renames). kInvalidArgument: it is no such file, or cannot be read.
  static Result<std::shared_ptr<const EnrichmentFile>> load(const std::string& path,
                                                            const std::string& language);
  ~GeoDatabase() override;

  enum class Found { kYes, kNo, kNoAddress };
  // Calls set(name, value) for what the file knows of `address`; texts are views into it.
  Found find(std::string_view address,
             const std::function<void(std::string_view, const AnyValue&)>& set) const;

 private:
  struct Parts;
  explicit GeoDatabase(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace naru::prepper
