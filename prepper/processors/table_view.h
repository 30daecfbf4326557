// The versions of tables that a worker uses: they stay the same, and alive, while a message is worked on.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "prepper/processors/table.h"

namespace naru::prepper {

// One per worker.
class TableView {
 public:
  const Table& of(const std::shared_ptr<TableSlot>& slot) {
    for (const Entry& entry : entries_) {
      if (entry.slot == slot) {
        return *entry.table;
      }
    }
    const std::uint64_t version = slot->version();
    entries_.push_back({slot, slot->current(), version});
    return *entries_.back().table;
  }
  // Between messages.
  void refresh() {
    for (Entry& entry : entries_) {
      if (const std::uint64_t version = entry.slot->version(); version != entry.version) {
        entry = {entry.slot, entry.slot->current(), version};
      }
    }
  }
  void clear() { entries_.clear(); }

 private:
  struct Entry {
    std::shared_ptr<TableSlot> slot;
    std::shared_ptr<const Table> table;
    std::uint64_t version;
  };
  std::vector<Entry> entries_;
};

}  // namespace naru::prepper
