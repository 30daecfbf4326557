// What an encoder needs round it in a benchmark: the declared contracts, and a far end that counts.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "prepper/bootstrap/mappings.h"
#include "prepper/process/encoder.h"

namespace naru::prepper {

class OneContract : public ContractSource {
 public:
  OneContract() : mappings_(*load_mappings("")) {}
  std::shared_ptr<const Contract> contract(const IndexTarget& target) override {
    return mappings_.contracts.at(target.signal);
  }

 private:
  Mappings mappings_;
};

// Counts what comes out, and lets go of it as a writer does.
class CountingSink : public EncoderSink, public CompletionSink {
 public:
  void batch_ready(BulkBatch batch) override {
    bytes += batch.body.size();
    for (const DocumentEntry& entry : batch.entries) {
      finish(batch.sources[entry.source], 1);
    }
    documents += batch.entries.size();
  }
  void dead_letter(const std::shared_ptr<SourceMessage>&, std::uint32_t, std::string,
                   DeadLetterCause) override {
    ++letters;
  }
  void completed(const std::shared_ptr<SourceMessage>&) override { ++messages; }
  std::uint64_t bytes = 0, documents = 0, letters = 0, messages = 0;
};

}  // namespace naru::prepper
