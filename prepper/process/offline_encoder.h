// An encoder without a bus and a store: requests in, documents and dead letters out. For golden cases and
// tools.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "prepper/process/encoder.h"

namespace naru::prepper {

class OfflineEncoder {
 public:
  using ContractOf = std::function<std::shared_ptr<const Contract>(otlp::Signal)>;
  // `pipelines` may be nullptr.
  OfflineEncoder(std::shared_ptr<const PipelineSet> pipelines, ContractOf contracts);
  ~OfflineEncoder();

  struct Document {
    std::string dataset;
    std::string json;
  };
  struct Output {
    std::vector<Document> documents;
    std::vector<std::string> dead_letters;  // reasons
    EncodeStats stats;
    PipelineTally tally;  // empty: no pipeline took anything
  };
  // What becomes of one message with this value, received at `received`.
  Output encode(otlp::Signal signal, std::string value, UnixNanos received);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace naru::prepper
