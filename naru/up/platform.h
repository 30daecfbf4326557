// Every stage in one process, on the embedded bus and store (design.md, embedded profile).
//
// Only wiring: each stage is the same library that its own program runs.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "naru/up/endpoints.h"
#include "naru/up/options.h"
#include "naru/up/progress.h"

namespace naru {

class Platform {
 public:
  // kInvalidArgument: what a person wrote. kUnavailable: an address is in use. kConflict: the data directory
  // belongs to another running naru. kIo, kNoSpace, kPermissionDenied, kCorrupt: the data directory.
  static Result<std::unique_ptr<Platform>> start(const UpOptions& options);
  ~Platform();

  const std::vector<Endpoint>& endpoints() const;
  ProgressSample progress() const;
  // Stops intake, lets what is in flight reach the store for at most `drain`, and says what is left: nothing
  // of it is lost, the next start goes on with it.
  std::string stop(std::chrono::milliseconds drain);

 private:
  struct Parts;
  explicit Platform(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace naru
