// Runs the encoder alone: contracts are given, batches and dead letters are kept.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "prepper/bootstrap/mappings.h"
#include "prepper/process/encoder.h"

namespace naru::prepper {

class GivenContracts : public ContractSource {
 public:
  explicit GivenContracts(std::map<otlp::Signal, std::shared_ptr<const Contract>> contracts)
      : contracts_(std::move(contracts)) {}
  std::shared_ptr<const Contract> contract(const IndexTarget& target) override {
    asked.push_back(target.name);
    return contracts_.at(target.signal);
  }
  std::vector<std::string> asked;

 private:
  std::map<otlp::Signal, std::shared_ptr<const Contract>> contracts_;
};

class KeepingSink : public EncoderSink, public CompletionSink {
 public:
  struct Letter {
    std::uint32_t ordinal;
    std::string id;
    DeadLetterCause cause;
  };
  void batch_ready(BulkBatch batch) override { batches.push_back(std::move(batch)); }
  void dead_letter(const std::shared_ptr<SourceMessage>&, std::uint32_t ordinal, std::string id,
                   DeadLetterCause cause) override {
    letters.push_back({ordinal, std::move(id), std::move(cause)});
  }
  void completed(const std::shared_ptr<SourceMessage>& message) override { done.push_back(message); }

  std::vector<BulkBatch> batches;
  std::vector<Letter> letters;
  std::vector<std::shared_ptr<SourceMessage>> done;
};

struct Document {
  std::string index, id, json;
};

// One encoder with the declared mappings and everything that it gave away.
class Encoding {
 public:
  explicit Encoding(EncoderConfig config = {})
      : mappings(*load_mappings("")),
        contracts(mappings.contracts),
        encoder(with_cluster(std::move(config)), contracts, sink) {}

  std::shared_ptr<SourceMessage> encode(otlp::Signal signal, std::string value, std::int64_t offset = 7,
                                        const std::vector<bus::Header>* headers = nullptr) {
    auto owner = std::make_shared<const std::string>(std::move(value));
    bus::InRecord record;
    record.headers = headers;
    record.topic = otlp::default_topic(signal);
    record.partition = 2;
    record.offset = offset;
    record.timestamp_ms = kReceivedMillis;
    record.value = *owner;
    record.owner = owner;
    auto message = std::make_shared<SourceMessage>(std::move(record), signal, 1, &sink);
    encoder.encode(message);
    return message;
  }
  // Everything encoded so far.
  std::vector<Document> documents() {
    encoder.flush();
    std::vector<Document> out;
    for (const BulkBatch& batch : sink.batches) {
      for (std::size_t i = 0; i < batch.entries.size(); ++i) {
        const std::string_view lines = batch.text(i);
        const std::size_t cut = lines.find('\n');
        out.push_back({batch.target(i).name, std::string(batch.id(i)),
                       std::string(lines.substr(cut + 1, lines.size() - cut - 2))});
      }
    }
    return out;
  }

  static constexpr UnixMillis kReceivedMillis = 1'795'222'924'000;  // 2026-11-21T01:02:04Z
  KeepingSink sink;
  Mappings mappings;
  GivenContracts contracts;
  Encoder encoder;

 private:
  static EncoderConfig with_cluster(EncoderConfig config) {
    config.cluster_id = "test-cluster";
    return config;
  }
};

}  // namespace naru::prepper
