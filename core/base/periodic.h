// Does something again and again on a thread of its own, until it is destroyed.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace naru {

class Periodic {
 public:
  enum class First { kAfterEvery, kAtOnce };

  // The owner declares this behind everything that `work` uses.
  Periodic(std::chrono::milliseconds every, std::function<void()> work, First first = First::kAfterEvery)
      : every_(every), work_(std::move(work)), thread_([this, first] { run(first); }) {}
  // Waits for work that is under way.
  ~Periodic() {
    ask_to_stop();
    thread_.join();
  }
  Periodic(const Periodic&) = delete;
  Periodic& operator=(const Periodic&) = delete;

  // Does not wait. An owner of several asks all before it destroys the first.
  void ask_to_stop() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
  }

 private:
  void run(First first) {
    std::unique_lock lock(mutex_);
    auto wait = first == First::kAtOnce ? std::chrono::milliseconds{0} : every_;
    for (; !wake_.wait_for(lock, wait, [this] { return stop_; }); wait = every_) {
      lock.unlock();
      work_();
      lock.lock();
    }
  }

  const std::chrono::milliseconds every_;
  const std::function<void()> work_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace naru
