// The two sides of the prepper in memory: a bus with one consumer, and an OpenSearch that keeps documents.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/bus/bus.h"
#include "core/net/http.h"
#include "core/telemetry/exposition.h"
#include "prepper/bootstrap/mappings.h"
#include "prepper/process/index_name.h"

namespace naru::prepper {

// Waits for something that another thread does.
template <class Predicate>
bool eventually(Predicate&& predicate, std::chrono::milliseconds limit = std::chrono::seconds(20)) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!predicate()) {
    if (std::chrono::steady_clock::now() > deadline) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

// Of naru_records_<what>, over all partitions that are assigned now.
inline std::uint64_t counted(const telemetry::Registry& registry, const std::string& what,
                             const std::string& stage, const std::string& signal = "logs") {
  double sum = 0;
  for (const telemetry::MetricSample& sample :
       telemetry::parse_exposition(registry.expose(), "naru_records_" + what)->samples) {
    const auto& labels = sample.labels;
    sum += labels.at("stage") == stage && labels.at("signal") == signal ? sample.value : 0;
  }
  return static_cast<std::uint64_t>(sum);
}

class FakeBus : public bus::Bus {
 public:
  struct Stored {
    std::string key, value;
    std::vector<bus::Header> headers;
  };

  // --- the test's side (any thread)
  void put(const std::string& topic, std::string value, std::int32_t partition = 0, std::string key = "") {
    const std::lock_guard lock(mutex_);
    logs_[{topic, partition}].push_back({std::move(key), std::move(value), {}});
  }
  // Records are `age` old when they are read; topics keep them for `kept`.
  void set_ages(std::chrono::milliseconds age, std::chrono::milliseconds kept) {
    const std::lock_guard lock(mutex_);
    age_ = age;
    kept_ = kept;
  }
  // The next poll begins so many records later than committed, and says so.
  void lose(std::int64_t records) {
    const std::lock_guard lock(mutex_);
    lost_ = records;
  }
  std::vector<Stored> stored(const std::string& topic) {
    const std::lock_guard lock(mutex_);
    return logs_[{topic, 0}];
  }
  std::optional<std::int64_t> committed(const std::string& topic, std::int32_t partition = 0) {
    const std::lock_guard lock(mutex_);
    const auto at = committed_.find({topic, partition});
    return at == committed_.end() ? std::nullopt : std::optional(at->second.offset);
  }
  std::string metadata(const std::string& topic) {
    const std::lock_guard lock(mutex_);
    return committed_[{topic, 0}].metadata;
  }
  void set_committed(const std::string& topic, std::int64_t offset, std::string metadata) {
    const std::lock_guard lock(mutex_);
    committed_[{topic, 0}] = {{topic, 0}, offset, std::move(metadata)};
  }
  std::int64_t position(const std::string& topic) {
    const std::lock_guard lock(mutex_);
    return positions_[{topic, 0}];
  }
  // The next poll gives the partition away or takes it back.
  void revoke(const std::string& topic) { change(topic, false); }
  void assign(const std::string& topic) { change(topic, true); }
  bool is_assigned(const std::string& topic) {
    const std::lock_guard lock(mutex_);
    return assigned_.contains({topic, 0});
  }
  void refuse_sends(int count) {
    const std::lock_guard lock(mutex_);
    refused_sends_ = count;
  }
  void set_away(bool away) {
    const std::lock_guard lock(mutex_);
    away_ = away;
  }
  int polls() {
    const std::lock_guard lock(mutex_);
    return polls_;
  }

  // --- bus::Bus
  Result<std::unique_ptr<bus::Producer>> producer() override { return std::make_unique<FakeProducer>(*this); }
  Result<std::unique_ptr<bus::Consumer>> consumer(const bus::ConsumerConfig& config,
                                                  bus::RebalanceListener& listener) override {
    {
      const std::lock_guard lock(mutex_);
      for (const std::string& topic : config.topics) {
        changes_.emplace_back(bus::TopicPartition{topic, 0}, true);
      }
    }
    return std::make_unique<FakeConsumer>(*this, listener, config.topics);
  }
  Result<void> ensure_topics(std::span<const bus::TopicConfig> topics) override {
    const std::lock_guard lock(mutex_);
    for (const bus::TopicConfig& topic : topics) {
      topics_.emplace(topic.name, topic);
    }
    return {};
  }
  Result<std::vector<bus::TopicState>> describe(std::span<const std::string> names) override {
    const std::lock_guard lock(mutex_);
    std::vector<bus::TopicState> out;
    for (const std::string& name : names) {
      const auto at = topics_.find(name);
      out.push_back({name, at == topics_.end() ? 0 : at->second.partitions, at != topics_.end()});
    }
    return out;
  }
  Result<std::chrono::milliseconds> retention(const std::string&) override {
    const std::lock_guard lock(mutex_);
    return kept_;
  }
  Result<std::string> cluster_id() override {
    const std::lock_guard lock(mutex_);
    if (away_) {
      return fail(ErrorCode::kUnavailable, "the bus is away");
    }
    return std::string("fake-cluster");
  }

 private:
  class FakeProducer : public bus::Producer {
   public:
    explicit FakeProducer(FakeBus& bus) : bus_(bus) {}
    Result<void> send(bus::OutRecord& record, bus::DeliveryCallback done) override {
      {
        const std::lock_guard lock(bus_.mutex_);
        if (bus_.refused_sends_ > 0) {
          --bus_.refused_sends_;
          return fail(ErrorCode::kOverloaded, "the queue is full");
        }
        bus_.logs_[{record.topic, 0}].push_back({record.key, record.value, record.headers});
      }
      done(bus::Position{0, 0});
      return {};
    }
    Result<void> flush(std::chrono::milliseconds) override { return {}; }
    Result<std::int32_t> partition_count(const std::string&) override { return 1; }

   private:
    FakeBus& bus_;
  };

  class FakeConsumer : public bus::Consumer {
   public:
    FakeConsumer(FakeBus& bus, bus::RebalanceListener& listener, const std::vector<std::string>& topics)
        : bus_(bus), listener_(listener), topics_(topics.begin(), topics.end()) {}
    Result<void> poll(std::vector<bus::InRecord>& out, std::size_t records_max,
                      std::chrono::milliseconds) override {
      rebalance();
      {
        const std::lock_guard lock(bus_.mutex_);
        ++bus_.polls_;
        for (const bus::TopicPartition& name : bus_.assigned_) {
          if (!topics_.contains(name.topic)) {
            continue;  // of another consumer
          }
          const std::vector<Stored>& log = bus_.logs_[name];
          std::int64_t& position = bus_.positions_[name];
          while (!paused_.contains(name) && out.size() < records_max &&
                 position < static_cast<std::int64_t>(log.size())) {
            struct Owner {
              std::string topic, key, value;
              std::vector<bus::Header> headers;
            };
            const Stored& stored = log[static_cast<std::size_t>(position)];
            auto owner =
                std::make_shared<const Owner>(Owner{name.topic, stored.key, stored.value, stored.headers});
            bus::InRecord record;
            record.topic = owner->topic;
            record.partition = name.partition;
            record.offset = position++;
            record.timestamp_ms = static_cast<UnixMillis>(wall_now() / kNanosPerMilli) - bus_.age_.count();
            record.key = owner->key;
            record.value = owner->value;
            record.headers = owner->headers.empty() ? nullptr : &owner->headers;
            record.owner = owner;
            out.push_back(std::move(record));
          }
        }
      }
      if (out.empty()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      return {};
    }
    Result<void> commit(std::span<const bus::Commit> commits) override {
      const std::lock_guard lock(bus_.mutex_);
      for (const bus::Commit& commit : commits) {
        bus_.committed_[commit.partition] = commit;
      }
      return {};
    }
    Result<void> pause(std::span<const bus::TopicPartition> names) override {
      paused_.insert(names.begin(), names.end());
      return {};
    }
    Result<void> resume(std::span<const bus::TopicPartition> names) override {
      for (const bus::TopicPartition& name : names) {
        paused_.erase(name);
      }
      return {};
    }
    std::vector<Progress> progress() override { return {}; }
    void close() override {
      std::vector<bus::TopicPartition> owned;
      {
        const std::lock_guard lock(bus_.mutex_);
        std::ranges::copy_if(bus_.assigned_, std::back_inserter(owned),
                             [&](const auto& name) { return topics_.contains(name.topic); });
      }
      listener_.on_revoked(owned, false);
      const std::lock_guard lock(bus_.mutex_);
      std::erase_if(bus_.assigned_, [&](const auto& name) { return topics_.contains(name.topic); });
    }

   private:
    void rebalance() {
      std::vector<std::pair<bus::TopicPartition, bool>> changes;
      {
        const std::lock_guard lock(bus_.mutex_);
        std::erase_if(bus_.changes_, [&](const auto& change) {
          const bool own = topics_.contains(change.first.topic);
          if (own) {
            changes.push_back(change);
          }
          return own;
        });
      }
      for (const auto& [name, assigned] : changes) {
        if (assigned) {
          bus::Assignment assignment;
          assignment.partition = name;
          {
            const std::lock_guard lock(bus_.mutex_);
            if (const auto stored = bus_.committed_.find(name); stored != bus_.committed_.end()) {
              assignment.committed = stored->second.offset;
              assignment.metadata = stored->second.metadata;
            }
            assignment.high = static_cast<std::int64_t>(bus_.logs_[name].size());
          }
          assignment.start = assignment.committed.value_or(0);
          listener_.on_assigned({&assignment, 1});
          std::unique_lock lock(bus_.mutex_);
          if (const std::int64_t lost = std::exchange(bus_.lost_, 0); lost > 0) {
            assignment.start += lost;
            lock.unlock();
            listener_.on_lost(name, static_cast<std::uint64_t>(lost), assignment.start);
            lock.lock();
          }
          bus_.positions_[name] = assignment.start;
          bus_.assigned_.insert(name);
        } else {
          listener_.on_revoked({&name, 1}, false);
          paused_.erase(name);
          const std::lock_guard lock(bus_.mutex_);
          bus_.assigned_.erase(name);
        }
      }
    }
    FakeBus& bus_;
    bus::RebalanceListener& listener_;
    std::set<std::string> topics_;
    std::set<bus::TopicPartition> paused_;
  };

  void change(const std::string& topic, bool assigned) {
    const std::lock_guard lock(mutex_);
    changes_.emplace_back(bus::TopicPartition{topic, 0}, assigned);
  }

  std::mutex mutex_;
  std::map<bus::TopicPartition, std::vector<Stored>> logs_;
  std::map<bus::TopicPartition, std::int64_t> positions_;
  std::map<bus::TopicPartition, bus::Commit> committed_;
  std::set<bus::TopicPartition> assigned_;
  std::vector<std::pair<bus::TopicPartition, bool>> changes_;
  std::map<std::string, bus::TopicConfig> topics_;
  int refused_sends_ = 0, polls_ = 0;
  std::chrono::milliseconds age_{0}, kept_{std::chrono::milliseconds::max()};
  std::int64_t lost_ = 0;
  bool away_ = false;
};

// Keeps documents by index and id. A script may answer in its place.
class FakeOpenSearch {
 public:
  struct Line {
    std::string index, id, document;
  };
  struct Bulk {
    std::vector<Line> lines;
    std::string body;
  };
  // Called before a bulk is applied; an answer replaces the usual one (then nothing is applied, unless the
  // script calls apply()). Runs on a writer's thread and may block.
  using Script = std::function<std::optional<Result<net::HttpResponse>>(FakeOpenSearch&, const Bulk&)>;

  // What it says of itself.
  void set_server(std::string answer) {
    const std::lock_guard lock(mutex_);
    server_ = std::move(answer);
  }
  void set_script(Script script) {
    const std::lock_guard lock(mutex_);
    script_ = std::move(script);
  }
  void set_away(bool away) {
    const std::lock_guard lock(mutex_);
    away_ = away;
  }
  // Bulk requests are not answered at all, until their transport is cancelled.
  void set_mute(bool mute) {
    const std::lock_guard lock(mutex_);
    mute_ = mute;
  }
  // Indices must be made by PUT unless this is off.
  void drop_index(const std::string& name) {
    const std::lock_guard lock(mutex_);
    indices_.erase(name);
  }

  // Writes to this index are refused, whether the document is there or not.
  void block_writes(const std::string& name, bool blocked = true) {
    const std::lock_guard lock(mutex_);
    blocked ? void(blocked_.insert(name)) : void(blocked_.erase(name));
  }
  // Indices with this part in their names are not created: the limit of shards.
  void refuse_indices(const std::string& part) {
    const std::lock_guard lock(mutex_);
    refused_part_ = part;
  }
  // So many looks for documents are answered with 503.
  void refuse_looks(int count) {
    const std::lock_guard lock(mutex_);
    refused_looks_ = count;
  }
  // Document by id, of every index with the part in its name.
  std::map<std::string, std::vector<std::string>> contents(std::string_view index_part = "") {
    const std::lock_guard lock(mutex_);
    std::map<std::string, std::vector<std::string>> out;
    for (const auto& [name, documents] : indices_) {
      for (const auto& [id, document] : documents) {
        if (name.find(index_part) != std::string::npos) {
          out[id].push_back(document);
        }
      }
    }
    return out;
  }

  std::size_t documents(std::string_view index_part = "") {
    const std::lock_guard lock(mutex_);
    std::size_t out = 0;
    for (const auto& [name, documents] : indices_) {
      out += name.find(index_part) == std::string::npos ? 0 : documents.size();
    }
    return out;
  }
  std::vector<std::string> created() {
    const std::lock_guard lock(mutex_);
    return created_;
  }
  std::vector<Bulk> bulks() {
    const std::lock_guard lock(mutex_);
    return bulks_;
  }
  // The items that the bulk would be answered with; stores what is created.
  std::string apply(const Bulk& bulk) {
    const std::lock_guard lock(mutex_);
    std::string items;
    for (const Line& line : bulk.lines) {
      items += items.empty() ? "" : ",";
      items += apply_line(line);
    }
    return "{\"took\":1,\"errors\":true,\"items\":[" + items + "]}";
  }
  // The item of one line.
  std::string apply_one(const Line& line) {
    const std::lock_guard lock(mutex_);
    return apply_line(line);
  }

  net::HttpTransportFactory factory() {
    return [this] { return std::make_unique<Transport>(*this); };
  }

 private:
  class Transport : public net::HttpTransport {
   public:
    explicit Transport(FakeOpenSearch& server) : server_(server) {}
    Result<net::HttpResponse> exchange(net::HttpRequest request, std::chrono::milliseconds) override {
      if (request.path() == "/_bulk" && server_.is_mute()) {
        std::unique_lock lock(mutex_);
        cancels_.wait(lock, [&] { return cancelled_; });
        return fail(ErrorCode::kTimeout, "no answer in time");
      }
      return server_.answer(request);
    }
    void cancel() override {
      const std::lock_guard lock(mutex_);
      cancelled_ = true;
      cancels_.notify_all();
    }

   private:
    FakeOpenSearch& server_;
    std::mutex mutex_;
    std::condition_variable cancels_;
    bool cancelled_ = false;
  };

  bool is_mute() {
    const std::lock_guard lock(mutex_);
    return mute_;
  }

  static Bulk parse(const std::string& body) {
    Bulk out;
    out.body = body;
    std::string_view rest = body;
    const auto line = [&] {
      const std::size_t end = rest.find('\n');
      const std::string_view text = rest.substr(0, end);
      rest.remove_prefix(end + 1);
      return text;
    };
    const auto between = [](std::string_view text, std::string_view before) {
      const std::size_t at = text.find(before) + before.size();
      return std::string(text.substr(at, text.find('"', at) - at));
    };
    while (!rest.empty()) {
      const std::string_view action = line();
      Line parsed{between(action, "\"_index\":\""), between(action, "\"_id\":\""), std::string(line())};
      out.lines.push_back(std::move(parsed));
    }
    return out;
  }

  std::string apply_line(const Line& line) {
    const auto index = indices_.find(line.index);
    if (index == indices_.end()) {
      return R"({"create":{"status":404,"error":{"type":"index_not_found_exception","reason":"no such index"}}})";
    }
    if (blocked_.contains(line.index)) {
      return R"({"create":{"status":403,"error":{"type":"cluster_block_exception","reason":"index read-only"}}})";
    }
    return index->second.emplace(line.id, line.document).second
               ? R"({"create":{"status":201}})"
               : R"({"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"exists"}}})";
  }

  Result<net::HttpResponse> answer(const net::HttpRequest& request) {
    Script script;
    {
      const std::lock_guard lock(mutex_);
      if (away_) {
        return fail(ErrorCode::kUnavailable, "connection refused");
      }
      if (request.path() != "/_bulk") {
        return administer(request);
      }
      script = script_;
    }
    const Bulk bulk = parse(request.body);
    {
      const std::lock_guard lock(mutex_);
      bulks_.push_back(bulk);
    }
    if (script) {
      if (std::optional<Result<net::HttpResponse>> scripted = script(*this, bulk)) {
        return *scripted;
      }
    }
    return net::json_response(200, apply(bulk));
  }

  Result<net::HttpResponse> administer(const net::HttpRequest& request) {
    const std::string path(request.path());
    if (path == "/") {
      return net::json_response(200, server_);
    }
    const std::string name = path.substr(1, path.find('/', 1) - 1);
    if (request.method == "PUT") {
      if (!refused_part_.empty() && name.find(refused_part_) != std::string::npos) {
        return net::json_response(
            400,
            R"({"error":{"type":"validation_exception","reason":"this action would add [2] total shards"}})");
      }
      if (!indices_.try_emplace(name).second) {
        return net::json_response(400,
                                  R"({"error":{"type":"resource_already_exists_exception"},"status":400})");
      }
      created_.push_back(name);
      return net::json_response(200, R"({"acknowledged":true})");
    }
    if (path.ends_with("/_mget") && refused_looks_ > 0) {
      --refused_looks_;
      return net::json_response(503, "{}");
    }
    if (!indices_.contains(name)) {
      return net::json_response(404, R"({"error":{"type":"index_not_found_exception"},"status":404})");
    }
    if (path.ends_with("/_mget")) {
      std::string docs;
      std::string_view ids = request.body;
      ids.remove_prefix(ids.find('[') + 1);
      for (std::size_t at = 0; (at = ids.find('"')) != std::string_view::npos;) {
        const std::string id(ids.substr(at + 1, kId22Size));
        ids.remove_prefix(at + kId22Size + 2);
        docs += std::string(docs.empty() ? "" : ",") + R"({"_id":")" + id + R"(","found":)" +
                (indices_[name].contains(id) ? "true}" : "false}");
      }
      return net::json_response(200, R"({"docs":[)" + docs + "]}");
    }
    for (const DeclaredTemplate& declared : mappings_.templates) {
      if (name.starts_with(index_prefix(declared.signal))) {
        return net::json_response(200, declared.text);
      }
    }
    return net::json_response(404, "{}");
  }

  std::mutex mutex_;
  Mappings mappings_ = *load_mappings("");
  std::map<std::string, std::map<std::string, std::string>> indices_;
  std::set<std::string> blocked_;
  int refused_looks_ = 0;
  std::string server_ = R"({"version":{"distribution":"opensearch","number":"2.19.1"}})";
  std::string refused_part_;
  std::vector<std::string> created_;
  std::vector<Bulk> bulks_;
  Script script_;
  bool away_ = false;
  bool mute_ = false;
};

}  // namespace naru::prepper
