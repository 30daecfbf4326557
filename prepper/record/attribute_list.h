// The attributes of a record on its way through pipelines.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/otlp/otlp.h"
#include "prepper/record/field_table.h"

namespace naru::prepper {

using otlp::AnyValue;

// One attribute of a bag.
struct AttributeEntry {
  std::string_view key;
  AnyValue value;
  std::string_view encoded;  // the value as it came; empty when it was made here
};

// Attributes in their order, found by name. Duplicates may occur; the first counts.
class AttributeList {
 public:
  using Entry = AttributeEntry;
  std::size_t size() const { return size_; }
  Entry& operator[](std::size_t i) { return entries_[i]; }
  const Entry& operator[](std::size_t i) const { return entries_[i]; }
  const Entry* begin() const { return entries_.data(); }
  const Entry* end() const { return entries_.data() + size_; }

  void clear() { size_ = 0; }
  void add(std::string_view key, const AnyValue& value) { add(key, hash_name(key), value); }
  void add(std::string_view key, std::uint32_t hash, const AnyValue& value) {
    if (size_ == entries_.size()) [[unlikely]] {
      const std::size_t room = std::max<std::size_t>(32, size_ * 2);
      entries_.resize(room);
      hashes_.resize(room);
    }
    hashes_[size_] = hash;
    entries_[size_++] = {key, value, {}};
  }
  // Position of `key` among the first `among`, or -1.
  std::ptrdiff_t find(std::string_view key, std::uint32_t hash, std::size_t among = SIZE_MAX) const {
    const std::size_t n = std::min(among, size_);
    for (std::size_t i = 0; i < n; ++i) {
      if (hashes_[i] == hash && entries_[i].key == key) {
        return static_cast<std::ptrdiff_t>(i);
      }
    }
    return -1;
  }
  void set(std::string_view key, std::uint32_t hash, const AnyValue& value) {
    if (const std::ptrdiff_t at = find(key, hash); at >= 0) {
      entries_[static_cast<std::size_t>(at)].value = value;
    } else {
      add(key, hash, value);
    }
  }
  void truncate(std::size_t size) { size_ = size; }
  // Entries from `first` on take the places of older ones with their names.
  void replace_older(std::size_t first) {
    std::size_t kept = first;
    for (std::size_t i = first; i < size_; ++i) {
      if (const std::ptrdiff_t at = find(entries_[i].key, hashes_[i], first); at >= 0) {
        entries_[static_cast<std::size_t>(at)].value = entries_[i].value;
      } else {
        entries_[kept] = entries_[i];
        hashes_[kept++] = hashes_[i];
      }
    }
    truncate(kept);
  }
  // All of this name.
  void remove_named(std::string_view key, std::uint32_t hash) {
    const std::ptrdiff_t first = find(key, hash);
    if (first < 0) {
      return;
    }
    auto kept = static_cast<std::size_t>(first);
    for (std::size_t i = kept + 1; i < size_; ++i) {
      if (hashes_[i] != hash || entries_[i].key != key) {
        entries_[kept] = entries_[i];
        hashes_[kept++] = hashes_[i];
      }
    }
    truncate(kept);
  }
  // Calls f(entry) for each until it says false, for the writer of documents.
  template <class F>
  bool for_each_entry(F&& f) const {
    for (const Entry& entry : *this) {
      if (!f(entry)) {
        break;
      }
    }
    return true;
  }
  template <class Predicate>
  void remove_if(Predicate&& goes) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < size_; ++i) {
      if (!goes(entries_[i])) {
        entries_[kept] = entries_[i];
        hashes_[kept++] = hashes_[i];
      }
    }
    truncate(kept);
  }

 private:
  std::vector<std::uint32_t> hashes_;  // both may be longer than size_: room that is kept
  std::vector<Entry> entries_;
  std::size_t size_ = 0;
};

}  // namespace naru::prepper
