// Tells a record that was sent twice: per source the highest position that was counted (contracts.md 8).
//
// Pure. Not thread-safe. Remembers at most `sources_max` sources; the one that was counted longest ago goes
// first, and a repeat from it would count again.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <unordered_map>

namespace naru::prepper {

using SourceId = std::array<unsigned char, 16>;

class Repeats {
 public:
  explicit Repeats(std::size_t sources_max);

  // True: the record is new; its position is now the source's highest. Positions of a source come in rising
  // order but for repeats, because a source keeps to one partition.
  bool admit(const SourceId& source, std::uint64_t position, std::uint32_t origin);

  // The records of `origin` will come again and must then be new.
  void forget(std::uint32_t origin);

  std::size_t sources() const { return newest_first_.size(); }
  std::uint64_t evicted() const { return evicted_; }

 private:
  struct Source {
    SourceId id;
    std::uint64_t highest;
    std::uint32_t origin;
  };
  struct IdHash {
    std::size_t operator()(const SourceId& id) const;
  };

  const std::size_t sources_max_;
  std::list<Source> newest_first_;
  std::unordered_map<SourceId, std::list<Source>::iterator, IdHash> by_id_;
  std::uint64_t evicted_ = 0;
};

}  // namespace naru::prepper
