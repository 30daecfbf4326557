#include "naru/deadletter/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <vector>

#include "core/base/clock.h"
#include "core/bus/local/record_codec.h"
#include "core/spool/log_walk.h"

namespace naru::deadletter {
namespace {

constexpr std::chrono::milliseconds kPollWait{200};
constexpr std::size_t kPollRecordsMax = 1'000;
constexpr std::uint64_t kSilenceNs = 30 * kNanosPerSecond;  // then what is left does not come

bool is_wanted(const ReadOptions& options, std::int32_t partition, std::int64_t offset) {
  if (options.only) {
    return partition == options.only->partition && offset == options.only->offset;
  }
  const auto from = options.from.find(partition);
  return from == options.from.end() || offset >= from->second;
}

// Sets where reading begins, and remembers where it ends.
class Ends final : public bus::RebalanceListener {
 public:
  explicit Ends(const ReadOptions& options) : options_(options) {}
  void on_assigned(std::span<bus::Assignment> partitions) override {
    for (bus::Assignment& entry : partitions) {
      const std::int32_t partition = entry.partition.partition;
      if (options_.only) {
        const bool there = partition == options_.only->partition && options_.only->offset >= entry.low &&
                           options_.only->offset < entry.high;
        entry.start = there ? options_.only->offset : entry.high;
      } else if (const auto from = options_.from.find(partition); from != options_.from.end()) {
        entry.start = std::clamp(from->second, entry.low, entry.high);
      }
      left_[partition] = entry.high;
      passed(partition, entry.start);
      assigned_ = true;
    }
  }
  void on_revoked(std::span<const bus::TopicPartition>, bool) override {}
  // Everything below `next` was seen.
  void passed(std::int32_t partition, std::int64_t next) {
    if (const auto at = left_.find(partition); at != left_.end() && next >= at->second) {
      left_.erase(at);
    }
  }
  bool reached() const { return assigned_ && left_.empty(); }
  bool assigned() const { return assigned_; }
  std::size_t left() const { return left_.size(); }

 private:
  const ReadOptions& options_;
  std::map<std::int32_t, std::int64_t> left_;
  bool assigned_ = false;
};

}  // namespace

Result<void> read_kafka(bus::Bus& bus, const ReadOptions& options, const Visitor& visitor) {
  NARU_TRY(const auto states, bus.describe(std::span(&options.topic, 1)));
  if (states.empty() || !states.front().exists) {
    return fail(
        ErrorCode::kNotFound,
        fmt::format("there is no topic {} on this Kafka cluster: it is made by `naru bootstrap --apply`, "
                    "or has another name (topics.dead_letters)",
                    options.topic));
  }
  Ends ends(options);
  NARU_TRY(auto consumer, bus.consumer({.group = "", .topics = {options.topic}}, ends));
  std::vector<bus::InRecord> records;
  std::uint64_t heard_at = monotonic_now();
  while (!ends.reached()) {
    if (options.stopped && options.stopped()) {
      return {};
    }
    records.clear();
    const Result<void> polled = consumer->poll(records, kPollRecordsMax, kPollWait);
    for (const bus::InRecord& record : records) {
      if (is_wanted(options, record.partition, record.offset)) {
        Letter letter = make_letter(
            {std::string(record.topic), record.partition, record.offset}, record.timestamp_ms, record.key,
            record.value,
            record.headers == nullptr ? std::span<const bus::Header>{} : std::span(*record.headers));
        NARU_TRY(const Visit next, visitor(letter));
        if (next == Visit::kStop) {
          return {};
        }
      }
      ends.passed(record.partition, record.offset + 1);
    }
    for (const auto& progress : consumer->progress()) {
      ends.passed(progress.partition.partition, progress.position);
    }
    if (!records.empty()) {
      heard_at = monotonic_now();
    } else if (monotonic_now() - heard_at > kSilenceNs) {
      NARU_TRY_VOID(polled);
      return fail(ErrorCode::kTimeout,
                  fmt::format("{} partitions of {} did not deliver what they hold within 30 s", ends.left(),
                              options.topic));
    }
  }
  return {};
}

std::string bus_directory(const std::string& data) {
  return data + "/bus";
}

Result<void> read_embedded(const std::string& data, const ReadOptions& options, const Visitor& visitor) {
  namespace fs = std::filesystem;
  std::error_code error;
  const std::string topics = bus_directory(data) + "/topics";
  if (!fs::is_directory(topics, error)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is not the data directory of a `naru up`: there is no {}", data, topics));
  }
  std::vector<std::int32_t> partitions;
  for (auto at = fs::directory_iterator(topics + "/" + options.topic, error);
       !error && at != fs::directory_iterator(); at.increment(error)) {
    const std::string name = at->path().filename().native();
    std::int32_t partition = 0;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), partition);
    if (read.ec == std::errc() && read.ptr == name.data() + name.size()) {
      partitions.push_back(partition);
    }
  }
  std::ranges::sort(partitions);
  bool ended = false;
  for (const std::int32_t partition : partitions) {
    const auto take = [&](const spool::EntryView& entry) -> Result<void> {
      const auto offset = static_cast<std::int64_t>(entry.offset);
      ended = ended || (options.stopped && options.stopped());
      if (ended || !is_wanted(options, partition, offset)) {
        return {};
      }
      NARU_TRY(const bus::local::RecordView record, bus::local::parse_record(entry.payload));
      NARU_TRY(const std::vector<bus::Header> headers, bus::local::parse_headers(record.headers));
      Letter letter = make_letter({options.topic, partition, offset}, record.timestamp_ms, record.key,
                                  record.value, headers);
      NARU_TRY(const Visit next, visitor(letter));
      ended = next == Visit::kStop;
      return {};
    };
    const auto walked =
        spool::walk_log(spool::posix_file_system(), fmt::format("{}/{}/{}", topics, options.topic, partition),
                        {.entry = take});
    if (!walked && walked.error().code() != ErrorCode::kNotFound) {  // no segment yet
      return walked;
    }
  }
  return {};
}

}  // namespace naru::deadletter
