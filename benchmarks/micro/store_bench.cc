// The embedded store's rows: documents per CPU-second with fsync, disk against raw JSON, a replay of known
// ids, and the searches of design.md ("The embedded store").
//
//   store_bench [--documents N] [--directory DIR] [--batch N] [--threads N] [--level N]
//
// CPU-seconds are of this whole process from the first bulk to the last answer, background work included,
// without the making of the documents. "Cold" means that the store was opened anew and its files were dropped
// from the page cache where the kernel allows it.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/telemetry/metrics.h"
#include "store/store.h"

namespace {

using namespace naru;

constexpr UnixNanos kStart = 1'795'219'200ull * kNanosPerSecond;  // 2026-11-21
constexpr const char* kTemplate =
    R"({"index_patterns":["logs-*"],"template":{"mappings":{"dynamic":"strict","properties":{
"@timestamp":{"type":"date_nanos"},"time":{"type":"date_nanos"},"observedTime":{"type":"date_nanos"},
"severity":{"properties":{"number":{"type":"integer"},"text":{"type":"keyword","ignore_above":32}}},
"body":{"type":"text"},"traceId":{"type":"keyword","ignore_above":32},"spanId":{"type":"keyword","ignore_above":16},
"service_name":{"type":"keyword","ignore_above":256},"http_status":{"type":"integer"},
"resource":{"dynamic":"false","properties":{"attributes":{"type":"flat_object"}}},
"instrumentationScope":{"properties":{"name":{"type":"keyword"}}},"attributes":{"type":"flat_object"}}}}})";

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}
long peak_rss_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

// One access-log-like record as an OTLP document of about 1.2 kB.
class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  void append(std::string& out, std::uint64_t number, std::uint64_t total) {
    static constexpr const char* kPaths[] = {"/api/orders", "/api/quotes",       "/api/accounts/balance",
                                             "/login",      "/static/app.js",    "/api/positions",
                                             "/health",     "/api/orders/cancel"};
    static constexpr const char* kWords[] = {
        "upstream", "request", "completed", "timeout", "retry",  "connection", "pool",     "order",
        "accepted", "session", "account",   "cache",   "miss",   "hit",        "queue",    "worker",
        "flush",    "commit",  "partition", "offset",  "broker", "leader",     "follower", "lag"};
    static constexpr const char* kLevels[] = {"INFO", "INFO",  "INFO", "INFO", "INFO",
                                              "INFO", "DEBUG", "WARN", "ERROR"};
    const std::uint64_t a = random_();
    const std::uint64_t b = random_();
    unsigned char id[16];
    std::memcpy(id, &a, 8);
    std::memcpy(id + 8, &b, 8);
    char id22[kId22Size];
    write_id22(id, id22);
    // A day of traffic; a little out of order, as several hosts send.
    const UnixNanos time =
        kStart + static_cast<UnixNanos>(static_cast<double>(number) / static_cast<double>(total) * 86'000e9) +
        (a % 2'000'000'000);
    const std::string stamp = format_rfc3339(time);
    const unsigned status = a % 50 == 0 ? 500 : a % 20 == 1 ? 404 : 200;
    const unsigned host = static_cast<unsigned>(b % 40);
    std::string message;
    for (int i = 0; i < 14; ++i) {
      message += kWords[(i % 2 == 0 ? a >> (i * 4) : b >> (i * 4)) % std::size(kWords)];
      message += ' ';
    }
    if (number % 1'000'003 == 777'777) {
      message += "xylophone ";
    }
    fmt::format_to(
        std::back_inserter(out),
        "{{\"create\":{{\"_index\":\"logs-otel-v1-bench-2026.11.21\",\"_id\":\"{}\"}}}}\n"
        R"({{"@timestamp":"{}","time":"{}","observedTime":"{}","severity":{{"number":9,"text":"{}"}},"body":"10.{}.{}.{} - - \"GET {}?id={} HTTP/1.1\" {} {} {:.3f} {}","traceId":"{:016x}{:016x}","spanId":"{:016x}","service_name":"svc-{}","http_status":{},"resource":{{"attributes":{{"service.name":"svc-{}","service.version":"1.4.{}","host.name":"app-{:02}.example.internal","host.id":"{:08x}","deployment.environment":"production","cloud.region":"ap-northeast-2","k8s.namespace.name":"trading","k8s.pod.name":"svc-{}-7c9d8b6f5-{:05x}","process.pid":{}}},"droppedAttributesCount":0}},"instrumentationScope":{{"name":"naru.agent.tail"}},"attributes":{{"log.file.path":"/var/log/nginx/access.log","log.file.name":"access.log","http.request.method":"GET","http.response.status_code":{},"url.path":"{}","client.address":"10.{}.{}.{}","user_agent.original":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36","http.response.body.size":{},"request.id":"{:016x}"}}}})"
        "\n",
        std::string_view(id22, sizeof(id22)), stamp, stamp, stamp, kLevels[b % std::size(kLevels)], a & 255,
        b & 255, (a >> 8) & 255, kPaths[a % std::size(kPaths)], a % 1'000'000, status, b % 50'000,
        static_cast<double>(a % 3000) / 1000, message, a, b, a ^ b, host % 12, status, host % 12, host % 7,
        host, host * 2654435761u, host % 12, host * 7919, 1000 + host, status, kPaths[a % std::size(kPaths)],
        a & 255, b & 255, (a >> 8) & 255, b % 50'000, b);
  }

 private:
  std::mt19937_64 random_;
};

void forget_pages(const std::string& directory) {
  ::sync();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (const int file = ::open(entry.path().c_str(), O_RDONLY); file >= 0) {
      ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
      ::close(file);
    }
  }
}

std::uint64_t file_bytes(const std::string& directory, bool logs) {
  std::uint64_t total = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file() && (logs || entry.path().extension() != ".log")) {
      total += entry.file_size();
    }
  }
  return total;
}

[[noreturn]] void stop(const std::string& why) {
  fmt::print(stderr, "store_bench: {}\n", why);
  std::exit(1);
}

std::unique_ptr<store::Store> open_store(const store::StoreConfig& config, telemetry::Registry& registry) {
  auto opened = store::Store::open(config, registry);
  if (!opened) {
    stop(opened.error().message());
  }
  return std::move(*opened);
}

struct Load {
  double wall = 0, cpu = 0, making = 0;
  std::uint64_t raw_bytes = 0;
};

// Sends `documents` documents in bulks from `threads` threads and checks that each answer has `wanted`.
Load send(store::Store& store, std::uint64_t documents, std::uint64_t batch, std::size_t threads,
          std::string_view wanted) {
  std::atomic<std::uint64_t> next{0};
  std::atomic<std::uint64_t> raw{0};
  std::atomic<std::uint64_t> making{0};
  const double cpu = cpu_seconds();
  const std::uint64_t started = monotonic_now();
  std::vector<std::thread> senders;
  for (std::size_t t = 0; t < threads; ++t) {
    senders.emplace_back([&] {
      std::string body;
      for (std::uint64_t number = next++; number * batch < documents; number = next++) {
        timespec before{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
        body.clear();
        Generator generator(number + 1);
        for (std::uint64_t i = number * batch; i < std::min(documents, (number + 1) * batch); ++i) {
          generator.append(body, i, documents);
        }
        timespec after{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
        making += static_cast<std::uint64_t>((after.tv_sec - before.tv_sec) * 1'000'000'000 + after.tv_nsec -
                                             before.tv_nsec);
        const std::uint64_t count = std::min(documents, (number + 1) * batch) - number * batch;
        raw += body.size() - count * 87;  // without the action lines
        auto answer = store.bulk(std::move(body), {});
        if (!answer || answer->find(wanted) == std::string::npos) {
          stop(answer ? answer->substr(0, 500) : answer.error().reason);
        }
        body = {};
      }
    });
  }
  for (std::thread& sender : senders) {
    sender.join();
  }
  Load load;
  load.wall = static_cast<double>(monotonic_now() - started) / 1e9;
  load.making = static_cast<double>(making) / 1e9;
  load.cpu = cpu_seconds() - cpu - load.making;
  load.raw_bytes = raw;
  return load;
}

void print_load(std::string_view name, const Load& load, std::uint64_t documents) {
  const auto count = static_cast<double>(documents);
  fmt::print(
      "{:<34} {:>9.0f} docs/CPU-s {:>9.0f} docs/s {:>7.1f} MB/s {:>6.2f} CPU-s/M docs, peak RSS {} MB\n",
      name, count / load.cpu, count / load.wall, static_cast<double>(load.raw_bytes) / load.wall / 1e6,
      load.cpu / count * 1e6, peak_rss_mb());
}

void timed_search(const store::Store& store, std::string_view name, std::string_view body) {
  const double cpu = cpu_seconds();
  const std::uint64_t started = monotonic_now();
  store::Store::SearchOptions options;
  options.now = kStart + 86'400 * kNanosPerSecond;
  auto answer = store.search("logs-*", body, options);
  const double wall = static_cast<double>(monotonic_now() - started) / 1e6;
  if (!answer) {
    stop(answer.error().reason);
  }
  const std::size_t total = answer->find("\"total\":{");
  fmt::print("{:<34} {:>9.1f} ms {:>9.1f} ms CPU   {}\n", name, wall, (cpu_seconds() - cpu) * 1e3,
             total == std::string::npos ? "" : answer->substr(total, answer->find('}', total) - total + 1));
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t documents = 1'000'000;
  std::uint64_t batch = 1000;
  std::size_t threads = 1;
  store::StoreConfig config;
  config.directory =
      (std::filesystem::temp_directory_path() / fmt::format("naru-store-bench-{}", ::getpid())).string();
  bool keep = false;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i];
    if (flag == "--documents") {
      documents = std::strtoull(argv[i + 1], nullptr, 10);
    } else if (flag == "--batch") {
      batch = std::strtoull(argv[i + 1], nullptr, 10);
    } else if (flag == "--threads") {
      threads = std::strtoull(argv[i + 1], nullptr, 10);
    } else if (flag == "--level") {
      config.zstd_level = std::atoi(argv[i + 1]);
    } else if (flag == "--directory") {
      config.directory = argv[i + 1];
      keep = true;
    } else {
      stop(fmt::format("unknown flag {}", flag));
    }
  }
  std::uint64_t raw = 0;
  {
    telemetry::Registry registry;
    auto store = open_store(config, registry);
    if (auto put = store->put_template("logs", kTemplate); !put) {
      stop(put.error().reason);
    }
    const Load first = send(*store, documents, batch, threads, "\"errors\":false");
    raw = first.raw_bytes;
    fmt::print("{} documents of {} bytes, bulks of {}, {} thread(s), zstd level {}\n", documents,
               raw / documents, batch, threads, config.zstd_level);
    print_load("bulk create, fsync", first, documents);
    const std::uint64_t again = std::min<std::uint64_t>(documents, 200'000);
    const Load second = send(*store, again, batch, threads, "\"status\":409");
    print_load("the same again (409)", second, again);
    timed_search(
        *store, "histogram, warm",
        R"({"size":0,"aggs":{"t":{"date_histogram":{"field":"@timestamp","fixed_interval":"10m"}}}})");
  }
  {
    telemetry::Registry registry;
    const std::uint64_t started = monotonic_now();
    open_store(config, registry);
    fmt::print("{:<34} {:>9.1f} ms\n", "open, replaying the log",
               static_cast<double>(monotonic_now() - started) / 1e6);
  }
  fmt::print("disk {:.1f} % of the raw JSON ({:.1f} % with write-ahead logs)\n",
             100.0 * static_cast<double>(file_bytes(config.directory, false)) / static_cast<double>(raw),
             100.0 * static_cast<double>(file_bytes(config.directory, true)) / static_cast<double>(raw));
  forget_pages(config.directory);
  {
    telemetry::Registry registry;
    const std::uint64_t started = monotonic_now();
    auto store = open_store(config, registry);
    fmt::print("{:<34} {:>9.1f} ms\n", "open", static_cast<double>(monotonic_now() - started) / 1e6);
    timed_search(
        *store, "histogram, cold",
        R"({"size":0,"track_total_hits":true,"aggs":{"t":{"date_histogram":{"field":"@timestamp","fixed_interval":"10m"}}}})");
    timed_search(*store, "rare word, cold",
                 R"({"size":10,"track_total_hits":true,"query":{"match":{"body":"xylophone"}}})");
    timed_search(*store, "rare word, warm",
                 R"({"size":10,"track_total_hits":true,"query":{"match":{"body":"xylophone"}}})");
    timed_search(*store, "absent trace id",
                 R"({"size":10,"query":{"term":{"traceId":"00000000000000000000000000000000"}}})");
    timed_search(*store, "newest 500 of everything", R"({"size":500,"sort":[{"@timestamp":"desc"}]})");
    timed_search(
        *store, "newest 500 with a common word",
        R"({"size":500,"sort":[{"@timestamp":"desc"}],"query":{"query_string":{"query":"body:timeout AND severity.text:ERROR"}}})");
    timed_search(
        *store, "status 500 by service and hour",
        R"({"size":0,"track_total_hits":true,"query":{"term":{"http_status":500}},"aggs":{"s":{"terms":{"field":"service_name"},"aggs":{"t":{"date_histogram":{"field":"@timestamp","calendar_interval":"hour"}}}}}})");
    timed_search(
        *store, "one attribute, last 10 minutes",
        R"({"size":50,"track_total_hits":true,"query":{"bool":{"filter":[{"term":{"attributes.http.request.method":"GET"}},{"range":{"@timestamp":{"gte":"2026-11-21T12:00:00Z","lt":"2026-11-21T12:10:00Z"}}}]}}})");
    fmt::print("peak RSS {} MB\n", peak_rss_mb());
  }
  if (!keep) {
    std::filesystem::remove_all(config.directory);
  }
  return 0;
}
