// The bulk writers by themselves: documents that were made before are sent to a server and settled.
//
//   naru-bench-writer --url http://127.0.0.1:9200 --records 400000 --writers 2
//
// Prints one JSON object: what was created, what was there already, retries, wall time, and the processor
// time and peak memory of this process from the first batch handed over to the last document settled.
#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/net/http_client.h"
#include "core/otlp/identity.h"
#include "prepper/bootstrap/mappings.h"
#include "prepper/write/index_admin.h"
#include "prepper/write/writer.h"

namespace {

using namespace naru;
using namespace naru::prepper;

// No document of the benchmark is at fault.
class NoProducer : public bus::Producer {
 public:
  Result<void> send(bus::OutRecord&, bus::DeliveryCallback) override {
    return fail(ErrorCode::kInternal, "a benchmark has no dead letters");
  }
  Result<void> flush(std::chrono::milliseconds) override { return {}; }
  Result<std::int32_t> partition_count(const std::string&) override { return 1; }
};

class Finished : public CompletionSink {
 public:
  void completed(const std::shared_ptr<SourceMessage>&) override {
    const std::lock_guard lock(mutex_);
    ++done_;
    changed_.notify_one();
  }
  void wait_for(std::uint64_t messages) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return done_ == messages; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t done_ = 0;
};

// One source message for each batch.
std::vector<BulkBatch> make_batches(std::uint64_t records, std::size_t document_bytes,
                                    std::size_t batch_bytes, const std::string& dataset, std::uint64_t salt,
                                    CompletionSink& sink) {
  const UnixNanos now = wall_now();
  const auto target =
      std::make_shared<const IndexTarget>(make_target(otlp::Signal::kLogs, dataset, Period::kDay, now));
  const std::string head =
      fmt::format(R"({{"@timestamp":"{}","severity":{{"number":9,"text":"INFO"}},"host_name":"bench",)"
                  R"("body":")",
                  format_rfc3339(now));
  std::vector<BulkBatch> out;
  for (std::uint64_t number = 0; number < records;) {
    BulkBatch& batch = out.emplace_back();
    batch.body.reserve(batch_bytes + 2 * document_bytes);
    bus::InRecord record;
    record.topic = "otlp_logs";
    record.timestamp_ms = static_cast<UnixMillis>(now / kNanosPerMilli);
    batch.sources = {std::make_shared<SourceMessage>(record, otlp::Signal::kLogs, 1, &sink)};
    batch.targets = {target};
    for (; number < records && batch.body.size() < batch_bytes; ++number) {
      batch.entries.push_back({.begin = static_cast<std::uint32_t>(batch.body.size()),
                               .source = 0,
                               .ordinal = static_cast<std::uint32_t>(batch.entries.size()),
                               .target = 0});
      unsigned char id[16];
      std::ranges::copy(xxh3_128(fmt::format("{}/{}", salt, number)), id);
      char id_text[kId22Size];
      write_id22(id, id_text);
      batch.body += target->action_prefix;
      batch.body.append(id_text, kId22Size);
      batch.body += kActionSuffix;
      const std::size_t begin = batch.body.size();
      batch.body += head;
      // Words, so that the server has something to index.
      for (std::uint64_t word = number; batch.body.size() < begin + document_bytes - 3; ++word) {
        batch.body += fmt::format("{:x} ", word * 2654435761U % 1'000'003);
      }
      batch.body.resize(begin + document_bytes - 3);
      batch.body += "\"}\n";
    }
    batch.sources[0]->hold(static_cast<std::uint32_t>(batch.entries.size()) - 1);
  }
  return out;
}

double cpu_seconds(const rusage& usage) {
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Result<void> run(const std::string& url, std::uint64_t records, std::uint32_t writers,
                 std::size_t document_bytes, std::size_t batch_bytes, const std::string& dataset) {
  const auto connect = [url](const std::string&) -> std::unique_ptr<net::HttpTransport> {
    net::HttpClientConfig config;
    config.url = url;
    return std::move(*net::make_http_client(config));
  };
  const ClusterAccess access([connect, url] { return connect(url); }, {url}, connect);
  telemetry::Registry registry;
  telemetry::Health health{registry};
  NARU_TRY(Mappings mappings, load_mappings(""));
  IndexAdmin admin({}, access.any(), std::move(mappings.promoted), std::move(mappings.contracts), wall_now);
  DeadLetterWriter letters({}, std::make_unique<NoProducer>());
  Finished finished;
  std::vector<BulkBatch> batches =
      make_batches(records, document_bytes, batch_bytes, dataset, wall_now(), finished);
  std::uint64_t bytes = 0;
  for (const BulkBatch& batch : batches) {
    bytes += batch.body.size();
  }
  WriterConfig config;
  config.threads = writers;
  config.discovery = false;
  config.retry.first = std::chrono::milliseconds(20);
  BulkWriter writer(config, access, admin, letters, registry, health);
  writer.start();
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  const std::uint64_t begin = monotonic_now();
  const std::size_t count = batches.size();
  for (BulkBatch& batch : batches) {
    writer.submit(std::move(batch));
  }
  finished.wait_for(count);
  const std::uint64_t end = monotonic_now();
  getrusage(RUSAGE_SELF, &after);
  const BulkWriter::Totals totals = writer.totals();
  writer.stop();
  fmt::print(
      R"({{"created":{},"duplicates":{},"bytes":{},"sent_bytes":{},"seconds":{:.3f},"cpu":{:.3f},"rss":{}}})"
      "\n",
      totals.created, totals.duplicates, bytes, totals.bytes, static_cast<double>(end - begin) / 1e9,
      cpu_seconds(after) - cpu_seconds(before), after.ru_maxrss * 1024);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("The bulk writers by themselves.");
  std::string url, dataset = "bench";
  std::uint64_t records = 400'000;
  std::uint32_t writers = 2;
  std::size_t document_bytes = 1'200, batch_bytes = 5u << 20;
  app.add_option("--url", url, "the server")->required();
  app.add_option("--records", records, "documents");
  app.add_option("--writers", writers, "requests in flight at most");
  app.add_option("--document-bytes", document_bytes, "of each document");
  app.add_option("--batch-bytes", batch_bytes, "of each request");
  app.add_option("--dataset", dataset, "part of the index name");
  CLI11_PARSE(app, argc, argv);
  if (const auto done = run(url, records, writers, document_bytes, batch_bytes, dataset); !done) {
    fmt::print(stderr, "naru-bench-writer: {}\n", done.error().message());
    return 1;
  }
  return 0;
}
