#include "prepper/deadletter/dead_letter_writer.h"

#include "core/telemetry/log.h"

namespace naru::prepper {

struct DeadLetterWriter::State {
  explicit State(std::unique_ptr<bus::Producer> bus_producer) : producer(std::move(bus_producer)) {}

  std::unique_ptr<bus::Producer> producer;
  mutable std::mutex mutex;
  std::deque<std::shared_ptr<Letter>> again;
  std::size_t open = 0;  // sent or waiting
  UnixNanos logged = 0;
};

DeadLetterWriter::DeadLetterWriter(DeadLetterContext context, std::unique_ptr<bus::Producer> producer)
    : context_(std::move(context)), state_(std::make_shared<State>(std::move(producer))) {}

DeadLetterWriter::~DeadLetterWriter() {
  flush(std::chrono::seconds(1));
  state_->producer.reset();
}

void DeadLetterWriter::set_cluster_id(const std::string& cluster_id) {
  const std::lock_guard lock(state_->mutex);
  context_.cluster_id = cluster_id;
}

void DeadLetterWriter::write(const std::shared_ptr<SourceMessage>& message, std::uint32_t ordinal,
                             std::string_view id, const DeadLetterCause& cause, Written written) {
  DeadLetterContext context;
  {
    const std::lock_guard lock(state_->mutex);
    context = context_;
  }
  send(make_dead_letter(context, *message, ordinal, id, cause, wall_now()), message, std::move(written));
}

void DeadLetterWriter::send(bus::OutRecord record, const std::shared_ptr<SourceMessage>& message,
                            Written written) {
  {
    const std::lock_guard lock(state_->mutex);
    ++state_->open;
  }
  send_letter(state_, std::make_shared<Letter>(Letter{std::move(record), message, std::move(written)}));
}

void DeadLetterWriter::send_letter(const std::shared_ptr<State>& state, std::shared_ptr<Letter> letter) {
  const auto keep = [](State& holder, std::shared_ptr<Letter> kept, const Error& error) {
    const std::lock_guard lock(holder.mutex);
    const UnixNanos now = wall_now();
    if (now - holder.logged > 30 * kNanosPerSecond) {
      holder.logged = now;
      telemetry::log_warn("prepper", "dead letters or parked records wait, the bus does not take them: {}",
                          error.message());
    }
    holder.again.push_back(std::move(kept));
  };
  bus::OutRecord record = letter->record;  // a failed delivery is sent again
  const Result<void> taken =
      state->producer->send(record, [state, letter, keep](Result<bus::Position> answer) {
        if (!answer) {
          keep(*state, letter, answer.error());
          return;
        }
        {
          const std::lock_guard lock(state->mutex);
          --state->open;
        }
        letter->written(*letter->message);
        finish(letter->message, 1);
      });
  if (!taken) {
    keep(*state, std::move(letter), taken.error());
  }
}

void DeadLetterWriter::tick() {
  std::deque<std::shared_ptr<Letter>> again;
  {
    const std::lock_guard lock(state_->mutex);
    again.swap(state_->again);
  }
  for (std::shared_ptr<Letter>& letter : again) {
    send_letter(state_, std::move(letter));
  }
}

void DeadLetterWriter::flush(std::chrono::milliseconds deadline) {
  if (waiting() > 0) {
    if (const Result<void> flushed = state_->producer->flush(deadline); !flushed) {
      telemetry::log_warn("prepper", "dead letters are still on their way: {}", flushed.error().message());
    }
  }
}

std::size_t DeadLetterWriter::waiting() const {
  const std::lock_guard lock(state_->mutex);
  return state_->open;
}

}  // namespace naru::prepper
