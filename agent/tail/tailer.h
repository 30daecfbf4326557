// Follows files: finds them, tells generations and copies apart, reads them in turn into batches, notes each
// batch in the checkpoint and hands it to the shipper. One thread owns it; only progress() is for all.
//
// A file is its own spool, kept open while it is not read to its end. Only what is not acknowledged of one
// that lost its name is copied (RestSpool), so that it outlives this process.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/checkpoint/log.h"
#include "agent/config.h"
#include "agent/metrics.h"
#include "agent/ship/batch_builder.h"
#include "agent/ship/shipper.h"
#include "agent/spool/rest_spool.h"
#include "agent/tail/followed.h"
#include "agent/tail/gunzip.h"
#include "agent/tail/record_reader.h"
#include "agent/tail/watch.h"

namespace naru::agent {

struct TailProgress {
  std::uint64_t files = 0;
  std::uint64_t bytes_read = 0;
  std::uint64_t lag_bytes = 0;
};

class Tailer {
 public:
  // All must outlive it. `resource`: attributes of every record.
  Tailer(const AgentConfig& config, std::map<std::string, std::string> resource, CheckpointLog& log,
         Shipper& shipper, Metrics& metrics, spool::FileSystem& files, Watch watch);

  // First scan, then the batches that were in flight when the agent last ended are sent again.
  void begin();
  // Looks, reads and ships what is due. Returns how long it can sleep unless something happens.
  std::chrono::milliseconds step();
  int watch_fd() const { return watch_.fd(); }
  // After the last step: notes what the shipper delivered meanwhile, and completes the copies of rests.
  void end();

  TailProgress progress() const;

 private:
  struct Suspect {  // perhaps a copy being made
    std::size_t input = 0;
    Inode inode;
    SourceKey like = 0;       // the file whose beginning it is; 0 while it is empty
    std::uint64_t size = 0;   // up to which that is so
    std::uint64_t since = 0;  // monotonic, of its last growth
  };
  struct Lane {
    BatchBuilder open;
    std::uint64_t sealed_at = 0;  // monotonic
  };
  struct Sealed {
    std::size_t lane = 0;
    Batch batch;
    std::string body;
  };
  enum class Turn { kMore, kDone };
  struct Missing {             // a generation whose rest is looked for
    std::uint64_t unread = 0;  // bytes that were seen and not read
    std::uint64_t since = 0;   // monotonic
  };
  struct Unpacking {  // a compressed copy that goes on into the spool
    Gunzip stream;
    std::string head;  // first bytes of the file
    std::string held;  // read from the stream and not in the spool yet
  };
  struct Quiet {  // a file as last seen
    std::uint64_t size = 0;
    UnixNanos modified = 0;
    std::uint64_t since = 0;  // monotonic
  };
  struct Gap {         // a file lost its name: others may have had that name between two looks
    std::string path;  // the name
    std::size_t input = 0;
    std::uint64_t since = 0;             // monotonic
    std::optional<UnixNanos> changed{};  // its directory
    std::uint64_t changed_since = 0;     // monotonic
    std::map<Inode, Quiet> files{};      // that may be the others
  };

  // --- finding files (tailer_scan.cc)
  void scan();
  void meet(const std::string& path, std::size_t input);
  void take_up(const FileCheckpoint& checkpoint, const std::string& path, std::size_t input, bool named,
               File file, const File::Facts& facts);
  void add(std::unique_ptr<Followed> file);
  // False: tail.files_max.
  bool follow_new(const std::string& path, std::size_t input, File file, const File::Facts& facts,
                  const std::string& head, std::uint64_t offset, bool named = true);
  std::uint64_t first_offset(const File& file, std::uint64_t size) const;
  void rewritten(Followed& file, std::uint64_t unread);
  void look();
  void drop(SourceKey key);
  void complain(const std::string& path, const Error& error);
  Followed* find(const std::string& path);
  Followed* find(const Inode& inode);
  FileCheckpoint checkpoint_of(const Followed& file) const;
  std::string resource_of(std::size_t input, const std::string& path) const;
  std::size_t input_of(const std::string& path) const;

  // --- files that begin alike (tailer_suspects.cc)
  std::vector<SourceKey> files_that_begin_like(const std::string& path, const std::string& head) const;
  bool settle_rewritten(const std::vector<SourceKey>& keys);
  void unindex_head(const Followed& file);
  void index_head(Followed& file, std::string_view head);
  bool holds_beginning_of(const File& copy, std::uint64_t size, const std::string& head,
                          const Followed& of) const;
  bool wait_as_suspect(const std::string& path, std::size_t input, const File& file, const File::Facts& facts,
                       const std::string& head);
  void settle_suspects(SourceKey like, std::uint64_t offset);

  // --- generations that no followed file has (tailer_sleeping.cc)
  void put_to_sleep(FileCheckpoint checkpoint);
  void wake(SourceKey key);
  void find_sleeping();
  bool find_rest_of(const FileCheckpoint& sleeping);
  static bool is_name_of(const FileCheckpoint& checkpoint, const std::string& path);
  static bool may_be_copy(const FileCheckpoint& checkpoint, const std::string& path);
  bool take_up_file(const FileCheckpoint& sleeping);
  void note_gap(const std::string& path, std::size_t input);
  void find_missed();
  bool find_missed(Gap& gap, UnixNanos after);
  void note_names(const std::string& path, UnixNanos known_at, bool went_back);
  bool is_sleeping(const File& file, const Inode& inode) const;
  bool holds_known(const File& file, std::uint64_t size, bool packed) const;
  void forget_old();
  UnixNanos forget_after() const;

  // --- what is left of files that lost their names (tailer_rest.cc)
  void open_spool();
  std::optional<FileCheckpoint> unacknowledged(const FileCheckpoint& as_read) const;
  bool protect(Followed& file);
  bool unpack(Followed& file);
  void keep_rests();
  void release_copies();
  bool take_up_copy(const FileCheckpoint& sleeping);
  bool take_up_gzip(const FileCheckpoint& sleeping);
  bool take_up_gzip(const FileCheckpoint& sleeping, const File& packed);
  std::shared_ptr<RestCopy> begin_copy(const FileCheckpoint& from, std::string_view head);
  void spool_refused(const Error& error);

  // --- reading (tailer.cc)
  void enqueue(Followed& file);
  Turn read_turn(Followed& file);
  bool ensure_open(Followed& file);
  bool read_records(Followed& file, Rest rest, std::uint64_t unread);
  void seal(std::size_t lane);
  bool commit();
  void drop_one(Sealed& sealed, std::uint64_t& records);
  // Notes of the shipper's results that could not be written yet are kept.
  void note_done();
  std::uint64_t held_bytes() const;
  void publish();

  // --- what was in flight (tailer_resend.cc)
  void resend(bool for_the_last_time);
  std::uint64_t rebuild(const Batch& batch, BatchBuilder& into);
  bool rebuild(const Range& range, const File& file, const RecordSource& from, BatchBuilder& into);
  bool rebuild(const Range& range, BatchBuilder& into);

  const AgentConfig& config_;
  const std::map<std::string, std::string> resource_;
  CheckpointLog& log_;
  Shipper& shipper_;
  Metrics& metrics_;
  Watch watch_;
  RecordReader reader_;
  RestSpool rests_;  // before the files that are read from it

  std::map<SourceKey, std::unique_ptr<Followed>> followed_;
  std::unordered_map<std::string, SourceKey> by_path_;
  std::map<Inode, SourceKey> by_inode_;
  std::multimap<std::string, SourceKey> by_head_;
  std::map<SourceKey, FileCheckpoint> sleeping_;  // generations that no followed file has
  std::multimap<Inode, SourceKey> sleeping_by_inode_;
  std::set<SourceKey> looked_for_;  // of these, the ones whose rest was looked for
  std::map<SourceKey, Missing> missing_;
  std::set<SourceKey> needs_room_;  // found compressed, but the spool refused it
  std::vector<Gap> gaps_;
  std::set<SourceKey> copying_;  // files without a name that may have to be copied
  std::map<SourceKey, Unpacking> unpacking_;
  std::vector<Batch> unbuilt_;  // in flight when the agent last ended, not found again yet
  std::uint64_t began_at_ = 0;  // monotonic
  std::uint64_t spool_told_at_ = 0, state_told_at_ = 0;
  std::map<std::string, Suspect> suspects_;
  std::set<std::string> complained_;
  bool complained_limit_ = false;
  bool watch_incomplete_ = false;
  bool first_start_ = false;  // the very first scan of this state directory
  bool scan_due_ = true;
  std::uint64_t scan_at_ = 0, look_at_ = 0, publish_at_ = 0;  // monotonic, of the next

  std::deque<SourceKey> ready_;
  std::vector<Lane> lanes_;
  std::vector<Sealed> sealed_;
  std::vector<std::string> pending_;  // payloads of the next commit, the sealed batches among them, in order
  std::vector<Delivered> done_;       // not written yet
  std::uint64_t retry_commit_at_ = 0;
  std::uint64_t bytes_read_ = 0;
  std::size_t open_files_ = 0;

  std::atomic<std::uint64_t> shown_files_{0}, shown_bytes_{0}, shown_lag_{0};
};

}  // namespace naru::agent
