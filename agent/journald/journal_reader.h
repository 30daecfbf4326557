// Follows the systemd journal on a thread of its own and ships its entries.
//
// One source per journal directory; an entry's position is its number since that source was drawn. A batch is
// noted with the cursors of its first and last entry before it leaves, and is read again between them after a
// crash. Does not follow journals of other namespaces. Owns its thread; what it is given must outlive it.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <thread>

#include "agent/checkpoint/log.h"
#include "agent/config.h"
#include "agent/journald/journal_record.h"
#include "agent/metrics.h"
#include "agent/ship/shipper.h"

struct sd_journal;

namespace naru::agent {

class JournalReader {
 public:
  // `resource`: attributes of every record, host.name among them.
  JournalReader(const JournaldConfig& config, const ShipConfig& ship,
                std::map<std::string, std::string> resource, CheckpointLog& log, Shipper& shipper,
                Metrics& metrics);
  ~JournalReader();  // stop()

  void start();
  void stop();
  // Something was delivered: there may be room again. From any thread.
  void wake() const;

 private:
  class Journal;
  struct Open;  // a batch that is being filled

  void run();
  // False: stopping.
  bool open_journal(Journal& journal);
  bool sleep(Journal* journal, std::chrono::milliseconds limit);
  bool load_checkpoint();
  void resend(Journal& journal);
  Result<void> seek(Journal& journal, bool& entry_is_current) const;
  Result<bool> fill(Journal& journal, Open& open, bool entry_is_current);
  void commit(Open& open);

  const JournaldConfig& config_;
  const ShipConfig& ship_;
  const std::string resource_;
  CheckpointLog& log_;
  Shipper& shipper_;
  Metrics& metrics_;
  JournalRecord record_;
  JournalCheckpoint checkpoint_;  // as read; the durable one follows with each batch
  bool first_start_ = false;
  int wake_fd_ = -1;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace naru::agent
