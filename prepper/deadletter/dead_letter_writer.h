// Puts dead letters, and other records that are set aside, on the bus, and finishes a record only when its
// letter is durable there.
//
// What the bus does not take stays here and is tried again by tick(); nothing is given up. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "core/bus/bus.h"
#include "prepper/deadletter/dead_letter.h"

namespace naru::prepper {

class DeadLetterWriter {
 public:
  // Called when a letter is durable, before its source is finished.
  using Written = std::function<void(SourceMessage& source)>;

  DeadLetterWriter(DeadLetterContext context, std::unique_ptr<bus::Producer> producer);
  ~DeadLetterWriter();

  // Known only when the bus answers; before the first letter.
  void set_cluster_id(const std::string& cluster_id);
  // One output of `message` ends as a dead letter. The source is finished by one when the letter is durable.
  void write(const std::shared_ptr<SourceMessage>& message, std::uint32_t ordinal, std::string_view id,
             const DeadLetterCause& cause, Written written);
  // The same for another record that is set aside.
  void send(bus::OutRecord record, const std::shared_ptr<SourceMessage>& message, Written written);
  // Tries what is waiting again; called about once a second.
  void tick();
  // Waits for the answers of what was sent.
  void flush(std::chrono::milliseconds deadline);
  // Letters that are not durable yet.
  std::size_t waiting() const;

 private:
  struct Letter {
    bus::OutRecord record;
    std::shared_ptr<SourceMessage> message;
    Written written;
  };
  struct State;
  static void send_letter(const std::shared_ptr<State>& state, std::shared_ptr<Letter> letter);

  DeadLetterContext context_;     // under the state's mutex
  std::shared_ptr<State> state_;  // answers of the bus may come late
};

}  // namespace naru::prepper
