#include "prepper/process/offline_encoder.h"

#include <utility>

namespace naru::prepper {

struct OfflineEncoder::Parts final : ContractSource, EncoderSink, CompletionSink {
  Parts(std::shared_ptr<const PipelineSet> pipelines, ContractOf contract_of)
      : contracts(std::move(contract_of)), encoder(config_with(std::move(pipelines)), *this, *this) {}

  static EncoderConfig config_with(std::shared_ptr<const PipelineSet> pipelines) {
    EncoderConfig out;
    out.cluster_id = "offline";
    if (pipelines != nullptr) {
      auto source = std::make_shared<PipelineSource>();
      source->swap_in(std::move(pipelines));
      out.pipelines = std::move(source);
    }
    return out;
  }
  std::shared_ptr<const Contract> contract(const IndexTarget& target) override {
    return contracts(target.signal);
  }
  void batch_ready(BulkBatch batch) override {
    for (std::size_t i = 0; i < batch.entries.size(); ++i) {
      std::string_view json = batch.document(i);
      json.remove_suffix(1);  // its line feed
      output.documents.push_back({batch.target(i).dataset, std::string(json)});
    }
  }
  void dead_letter(const std::shared_ptr<SourceMessage>& message, std::uint32_t, std::string,
                   DeadLetterCause cause) override {
    output.dead_letters.push_back(std::move(cause.reason));
    finish(message, 1);
  }
  void completed(const std::shared_ptr<SourceMessage>&) override {}

  ContractOf contracts;
  Output output;
  Encoder encoder;
};

OfflineEncoder::OfflineEncoder(std::shared_ptr<const PipelineSet> pipelines, ContractOf contracts)
    : parts_(std::make_unique<Parts>(std::move(pipelines), std::move(contracts))) {}

OfflineEncoder::~OfflineEncoder() = default;

OfflineEncoder::Output OfflineEncoder::encode(otlp::Signal signal, std::string value, UnixNanos received) {
  Parts& parts = *parts_;
  auto owner = std::make_shared<const std::string>(std::move(value));
  bus::InRecord record;
  record.topic = otlp::default_topic(signal);
  record.timestamp_ms = static_cast<UnixMillis>(received / kNanosPerMilli);
  record.value = *owner;
  record.owner = owner;
  parts.encoder.encode(std::make_shared<SourceMessage>(std::move(record), signal, 1, &parts));
  parts.encoder.flush();
  parts.output.stats = parts.encoder.take_stats();
  parts.encoder.take_tally(
      [&](const PipelineSet&, const PipelineTally& tally) { parts.output.tally = tally; });
  return std::exchange(parts.output, {});
}

}  // namespace naru::prepper
