// Segment log and local bus on the real disk: what a byte costs in processor time, and how long a sync takes.
//
// "MB/CPU-s" counts the processor time of all threads of this process, the kernel's part included. The files
// go to TMPDIR: give it a disk, not a tmpfs, or syncs cost nothing.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/bus/local/local_bus.h"
#include "core/spool/segment_log.h"

namespace naru {
namespace {

constexpr std::uint64_t kKeptBytes = 256u << 20;  // older segments are deleted while appending

class ScratchDirectory {
 public:
  ScratchDirectory()
      : path_(std::filesystem::temp_directory_path() / fmt::format("naru-bench-{}", ::getpid())) {}
  ~ScratchDirectory() { std::filesystem::remove_all(path_); }
  std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
};

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Reports bytes and records against the processor time since `cpu_begin`.
void report(benchmark::State& state, double cpu_begin, std::uint64_t bytes, std::uint64_t records) {
  const double cpu = cpu_seconds() - cpu_begin;
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
  state.counters["MB/CPU-s"] = static_cast<double>(bytes) / 1e6 / cpu;
  state.counters["records/CPU-s"] = static_cast<double>(records) / cpu;
}

template <class T>
T value_or_die(Result<T> result) {
  if (!result) {
    fmt::print(stderr, "{}\n", result.error().message());
    std::exit(1);
  }
  return std::move(*result);
}
void done_or_die(const Result<void>& result) {
  if (!result) {
    fmt::print(stderr, "{}\n", result.error().message());
    std::exit(1);
  }
}

// Groups of about 4 MB: append, checksum and fdatasync each.
void append_and_sync(benchmark::State& state) {
  const ScratchDirectory directory;
  auto log = value_or_die(
      spool::SegmentLog::open(spool::posix_file_system(), {.directory = directory.path()}, wall_now()));
  const std::string body(static_cast<std::size_t>(state.range(0)), 'x');
  const std::size_t group = std::max<std::size_t>(1, (4u << 20) / body.size());
  std::vector<spool::EntryParts> entries(group);
  const double cpu = cpu_seconds();
  std::uint64_t bytes = 0;
  for (auto _ : state) {
    for (auto& entry : entries) {
      entry = {.body = body, .crc = spool::payload_crc({}, body)};
    }
    value_or_die(log->append(entries, wall_now()));
    done_or_die(log->sync());
    bytes += group * body.size();
    if (log->stats().bytes > kKeptBytes) {
      value_or_die(log->trim_before(log->segments()[1].first_offset));
    }
  }
  report(state, cpu, bytes, bytes / body.size());
}
BENCHMARK(append_and_sync)->Arg(500)->Arg(20'000)->Arg(500'000)->UseRealTime();

// One small entry, synced: the least time that a durable answer takes here.
void sync_one(benchmark::State& state) {
  const ScratchDirectory directory;
  auto log = value_or_die(
      spool::SegmentLog::open(spool::posix_file_system(), {.directory = directory.path()}, wall_now()));
  const std::string body(500, 'x');
  const spool::EntryParts entry{.body = body, .crc = spool::payload_crc({}, body)};
  for (auto _ : state) {
    value_or_die(log->append(std::span(&entry, 1), wall_now()));
    done_or_die(log->sync());
  }
}
BENCHMARK(sync_one)->UseRealTime();

// From the page cache, checksums compared.
void read(benchmark::State& state) {
  const ScratchDirectory directory;
  auto log = value_or_die(
      spool::SegmentLog::open(spool::posix_file_system(), {.directory = directory.path()}, wall_now()));
  const std::string body(static_cast<std::size_t>(state.range(0)), 'x');
  std::vector<spool::EntryParts> entries(std::max<std::size_t>(1, (4u << 20) / body.size()),
                                         {.body = body, .crc = spool::payload_crc({}, body)});
  while (log->stats().bytes < kKeptBytes) {
    value_or_die(log->append(entries, wall_now()));
    done_or_die(log->sync());
  }
  const double cpu = cpu_seconds();
  std::uint64_t bytes = 0;
  std::uint64_t records = 0;
  spool::LogReader reader(*log, 0);
  for (auto _ : state) {
    auto batch = value_or_die(reader.read(4u << 20));
    if (batch.entries.empty()) {
      reader.seek(0);
    }
    for (const auto& entry : batch.entries) {
      bytes += entry.payload.size();
    }
    records += batch.entries.size();
  }
  report(state, cpu, bytes, records);
}
BENCHMARK(read)->Arg(500)->Arg(20'000)->Arg(500'000)->UseRealTime();

class Everything final : public bus::RebalanceListener {
  void on_assigned(std::span<bus::Assignment>) override {}
  void on_revoked(std::span<const bus::TopicPartition>, bool) override {}
};

// 500 kB values through the bus: made, sent, synced, polled. Four partitions, one producer, one consumer.
void bus_round_trip(benchmark::State& state) {
  const ScratchDirectory directory;
  const auto bus =
      value_or_die(bus::open_local_bus({.directory = directory.path(), .retention_bytes = kKeptBytes / 4}));
  const bus::TopicConfig topic{.name = "t", .partitions = 4, .settings = {}};
  done_or_die(bus->ensure_topics(std::span(&topic, 1)));
  const auto producer = value_or_die(bus->producer());
  Everything listener;
  const auto consumer = value_or_die(bus->consumer({.group = "", .topics = {"t"}}, listener));
  const std::string value(static_cast<std::size_t>(state.range(0)), 'x');
  const double cpu = cpu_seconds();
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::vector<bus::InRecord> records;
  const auto receive = [&] {
    records.clear();
    done_or_die(consumer->poll(records, 1000, std::chrono::milliseconds(100)));
    received += records.size();
  };
  for (auto _ : state) {
    bus::OutRecord record;
    record.topic = "t";
    record.partition = static_cast<std::int32_t>(sent++ % 4);
    record.value = value;
    done_or_die(
        producer->send(record, [](Result<bus::Position> position) { value_or_die(std::move(position)); }));
    while (sent - received > 64) {
      receive();
    }
  }
  while (received < sent) {
    receive();
  }
  report(state, cpu, received * value.size(), received);
}
BENCHMARK(bus_round_trip)->Arg(20'000)->Arg(500'000)->UseRealTime();

// From send() to the record in the hands of a waiting consumer, one at a time.
void bus_latency(benchmark::State& state) {
  const ScratchDirectory directory;
  const auto bus = value_or_die(bus::open_local_bus({.directory = directory.path()}));
  const bus::TopicConfig topic{.name = "t", .partitions = 1, .settings = {}};
  done_or_die(bus->ensure_topics(std::span(&topic, 1)));
  const auto producer = value_or_die(bus->producer());
  Everything listener;
  const auto consumer = value_or_die(bus->consumer({.group = "", .topics = {"t"}}, listener));
  std::vector<bus::InRecord> records;
  for (auto _ : state) {
    bus::OutRecord record;
    record.topic = "t";
    record.value.assign(500, 'x');
    done_or_die(
        producer->send(record, [](Result<bus::Position> position) { value_or_die(std::move(position)); }));
    records.clear();
    while (records.empty()) {
      done_or_die(consumer->poll(records, 1, std::chrono::seconds(1)));
    }
  }
}
BENCHMARK(bus_latency)->UseRealTime();

}  // namespace
}  // namespace naru

BENCHMARK_MAIN();
