// What the agent's tests share: a temporary directory, file helpers and a collector that follows a script.
#pragma once

#include <gtest/gtest.h>
#include <zlib.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/base/bytes.h"
#include "core/net/http.h"
#include "core/otlp/otlp.h"
#include "tests/unit/temp_dir.h"

namespace naru::agent::test {

using naru::test::TempDir;

inline void append(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::app) << text;
}
inline void overwrite(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

// As gzip(1) writes it.
inline std::string gzip(const std::string& text) {
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(out.size() - z.avail_out);
  deflateEnd(&z);
  return out;
}

// A record as it arrived.
struct Arrived {
  std::string source;  // hexadecimal
  std::uint64_t position = 0;
  std::string body;
  bool bytes = false;  // bytesValue
  UnixNanos observed = 0;
  UnixNanos time = 0;
  std::string path;  // log.file.path
  std::optional<std::int64_t> truncated;
  std::string raw;  // the encoded record
};

inline std::vector<Arrived> decode(const std::string& request) {
  std::vector<Arrived> out;
  for (otlp::Messages groups = otlp::resource_groups(request); groups.next();) {
    otlp::ResourceGroup group;
    EXPECT_TRUE(otlp::parse(groups.bytes(), group));
    const auto path = group.attributes().find("log.file.path");
    for (otlp::Messages scopes = otlp::scope_groups(group); scopes.next();) {
      otlp::ScopeGroup scope;
      EXPECT_TRUE(otlp::parse(scopes.bytes(), scope));
      const otlp::ScopeIdentity identity = otlp::scope_identity(scope.scope);
      EXPECT_TRUE(identity.present);
      std::uint64_t index = 0;
      for (otlp::Messages records = otlp::records(scope); records.next(); ++index) {
        otlp::LogRecord record;
        EXPECT_TRUE(otlp::parse(records.bytes(), record));
        otlp::AnyValue body;
        EXPECT_TRUE(otlp::parse(record.body, body));
        Arrived one;
        one.source = to_hex({reinterpret_cast<const char*>(identity.source.data()), identity.source.size()});
        one.position = identity.base + index;
        one.body = body.bytes;
        one.bytes = body.kind == otlp::AnyValue::Kind::kBytes;
        one.observed = record.observed_time;
        one.time = record.time;
        one.path = path ? path->bytes : "";
        if (const auto cut = record.attributes().find("naru.truncated_bytes")) {
          one.truncated = cut->integer;
        }
        one.raw = record.raw;
        out.push_back(std::move(one));
      }
    }
  }
  return out;
}

// Takes requests, answers as told, keeps what it accepted and everything it saw.
class FakeCollector {
 public:
  using Answer = std::function<Result<net::HttpResponse>(const std::vector<Arrived>&)>;

  static Result<net::HttpResponse> ok() { return net::HttpResponse{}; }
  static Result<net::HttpResponse> status(int code) {
    net::HttpResponse response;
    response.status = code;
    return response;
  }

  void answer_with(Answer answer) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
  }

  net::HttpTransportFactory factory() {
    return [this] { return std::make_unique<Transport>(*this); };
  }

  // Waits until `condition` holds of what was accepted.
  bool wait(const std::function<bool(const std::vector<Arrived>&)>& condition,
            std::chrono::seconds limit = std::chrono::seconds(20)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [&] { return condition(accepted_); });
  }
  // As a collector that takes the records and dies before it answers.
  void lose_answers(bool lose) {
    const std::lock_guard lock(mutex_);
    lose_answers_ = lose;
  }
  Result<net::HttpResponse> take(const net::HttpRequest& request) {
    EXPECT_EQ(request.target, "/v1/logs");
    EXPECT_EQ(request.headers.get("content-type"), "application/x-protobuf");
    const std::vector<Arrived> records = decode(request.body);
    Answer answer;
    {
      const std::lock_guard lock(mutex_);
      answer = answer_;
    }
    auto response = answer ? answer(records) : ok();
    const std::lock_guard lock(mutex_);
    seen_.push_back(records);
    if (response && response->status == 200) {
      accepted_.insert(accepted_.end(), records.begin(), records.end());
      if (lose_answers_) {
        response = fail(ErrorCode::kTimeout, "no answer");
      }
    }
    changed_.notify_all();
    return response;
  }
  // Each record once by its identity; two identities for one body, or a missing one, fail the test.
  void expect_each_once(const std::vector<std::string>& bodies) {
    std::map<std::string, std::vector<std::string>> documents;
    for (const auto& [identity, raw] : distinct()) {
      otlp::LogRecord record;
      EXPECT_TRUE(otlp::parse(raw, record));
      otlp::AnyValue body;
      EXPECT_TRUE(otlp::parse(record.body, body));
      documents[std::string(body.bytes)].push_back(identity.first + "@" + std::to_string(identity.second));
    }
    std::string lost;
    for (const std::string& body : bodies) {
      const auto at = documents.find(body);
      if (at == documents.end()) {
        lost += body + "\n";
        continue;
      }
      EXPECT_EQ(at->second.size(), 1U)
          << "doubled: " << body << " " << at->second[0] << " " << at->second.back();
      documents.erase(at);
    }
    EXPECT_EQ(lost, "");
    for (const auto& [body, identities] : documents) {
      ADD_FAILURE() << "never written: " << body;
    }
  }
  bool wait_for(std::size_t records) {
    return wait([records](const auto& accepted) { return accepted.size() >= records; });
  }
  bool wait_seen(std::size_t requests) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return seen_.size() >= requests; });
  }

  std::vector<Arrived> accepted() {
    const std::lock_guard lock(mutex_);
    return accepted_;
  }
  std::vector<std::vector<Arrived>> seen() {
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  std::vector<std::string> bodies(const std::string& path = {}) {
    std::vector<std::string> out;
    for (const Arrived& one : accepted()) {
      if (path.empty() || one.path == path) {
        out.push_back(one.body);
      }
    }
    return out;
  }
  // Accepted records without repeats of an identity; two contents under one identity fail the test.
  std::map<std::pair<std::string, std::uint64_t>, std::string> distinct() {
    std::map<std::pair<std::string, std::uint64_t>, std::string> out;
    for (const Arrived& one : accepted()) {
      const auto [at, fresh] = out.try_emplace({one.source, one.position}, one.raw);
      EXPECT_TRUE(fresh || at->second == one.raw) << "two records under one identity: " << one.body;
    }
    return out;
  }

 private:
  class Transport : public net::HttpTransport {
   public:
    explicit Transport(FakeCollector& collector) : collector_(collector) {}
    Result<net::HttpResponse> exchange(net::HttpRequest request, std::chrono::milliseconds) override {
      return collector_.take(request);
    }

   private:
    FakeCollector& collector_;
  };

  std::mutex mutex_;
  std::condition_variable changed_;
  Answer answer_;
  std::vector<Arrived> accepted_;
  std::vector<std::vector<Arrived>> seen_;
  bool lose_answers_ = false;
};

}  // namespace naru::agent::test
