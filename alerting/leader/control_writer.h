// The control topics on several clusters as one log: each commit goes to all of them at the same time, on a
// thread for each.
//
// A cluster that fails or lags behind the others is given up: it gets nothing any more, so that none has a
// commit without those before it. Used by one thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <vector>

#include "core/bus/bus.h"

namespace naru::alerting {

class ControlWriter {
 public:
  ControlWriter();
  ~ControlWriter();  // waits for commits that are under way

  void add(std::size_t cluster, std::unique_ptr<bus::TransactionalProducer> producer);
  // Durable when one cluster took it and none refused it. A cluster that failed, or had no answer `patience`
  // after the beginning while another took it, is in `lost` and given up. kConflict: on one of them another
  // writer has taken over, whatever the others said. Otherwise the error of a cluster when none took it.
  Result<void> commit(const std::vector<bus::OutRecord>& records, std::chrono::milliseconds patience,
                      std::vector<std::size_t>& lost);
  // To one of them only; it is given up on error.
  Result<void> commit_to(std::size_t cluster, std::vector<bus::OutRecord> records);
  // Those that hang are waited for in the destructor only.
  void give_up(std::size_t cluster);
  void give_up_all();
  std::size_t size() const { return writers_.size(); }

 private:
  class Writer;
  std::map<std::size_t, std::unique_ptr<Writer>> writers_;
  std::vector<std::unique_ptr<Writer>> leaving_;
};

}  // namespace naru::alerting
