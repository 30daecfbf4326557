// An agent in a process of its own, so that it can be killed: its requests come to the test's collector
// through socket pairs.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "agent/agent.h"
#include "tests/unit/agent/support.h"

namespace naru::agent::test {

inline bool send_bytes(int fd, const void* data, std::size_t size) {
  const auto* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t n = ::send(fd, at, size, MSG_NOSIGNAL);
    if (n <= 0) {
      return false;
    }
    at += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}
inline bool receive_bytes(int fd, void* data, std::size_t size) {
  auto* at = static_cast<char*>(data);
  while (size > 0) {
    const ssize_t n = ::recv(fd, at, size, 0);
    if (n <= 0) {
      return false;
    }
    at += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}
inline bool send_text(int fd, const std::string& text) {
  const std::uint64_t size = text.size();
  return send_bytes(fd, &size, sizeof size) && send_bytes(fd, text.data(), size);
}
inline bool receive_text(int fd, std::string& text) {
  std::uint64_t size = 0;
  if (!receive_bytes(fd, &size, sizeof size)) {
    return false;
  }
  text.resize(size);
  return receive_bytes(fd, text.data(), size);
}

class KilledAgent {
 public:
  KilledAgent(const AgentConfig& config, FakeCollector& collector) {
    std::vector<int> theirs;
    for (std::size_t i = 0; i <= config.ship.connections; ++i) {
      int pair[2];
      EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
      ours_.push_back(pair[0]);
      theirs.push_back(pair[1]);
    }
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (const int fd : ours_) {
        ::close(fd);
      }
      run(config, theirs);
    }
    for (const int fd : theirs) {
      ::close(fd);
    }
    for (std::size_t i = 1; i < ours_.size(); ++i) {
      threads_.emplace_back([fd = ours_[i], &collector] {
        net::HttpRequest request;
        request.target = "/v1/logs";
        request.headers.set("Content-Type", "application/x-protobuf");
        while (receive_text(fd, request.body)) {
          const auto answer = collector.take(request);
          const int status = answer ? answer->status : 0;
          if (!send_bytes(fd, &status, sizeof status)) {
            break;
          }
        }
      });
    }
  }
  ~KilledAgent() { kill(); }
  KilledAgent(const KilledAgent&) = delete;
  KilledAgent& operator=(const KilledAgent&) = delete;

  void kill() { end(SIGKILL); }
  void stop() {
    std::string answer;
    EXPECT_TRUE(send_text(ours_[0], "stop") && receive_text(ours_[0], answer));
    end(0);
  }
  void signal(int number) const { ::kill(pid_, number); }
  // All its metrics, as /metrics shows them.
  std::string metrics() const {
    std::string text;
    EXPECT_TRUE(send_text(ours_[0], "metrics") && receive_text(ours_[0], text)) << "the agent is dead";
    return text;
  }
  double metric(const std::string& name) const {
    const std::string text = metrics();
    const std::size_t at = text.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 2));
  }
  bool wait(const std::function<bool(const KilledAgent&)>& condition) const {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < until && !::testing::Test::HasFatalFailure()) {
      if (condition(*this)) {
        return true;
      }
      std::this_thread::yield();
    }
    return false;
  }

 private:
  class Transport : public net::HttpTransport {
   public:
    explicit Transport(int fd) : fd_(fd) {}
    Result<net::HttpResponse> exchange(net::HttpRequest request, std::chrono::milliseconds) override {
      net::HttpResponse response;
      if (!send_text(fd_, request.body) || !receive_bytes(fd_, &response.status, sizeof response.status) ||
          response.status == 0) {
        return fail(ErrorCode::kTimeout, "no answer");
      }
      return response;
    }

   private:
    int fd_;
  };

  [[noreturn]] static void run(const AgentConfig& config, const std::vector<int>& sockets) {
    {
      telemetry::Registry registry;
      telemetry::Health health(registry);
      std::size_t next = 1;
      Agent agent(config, [&] { return std::make_unique<Transport>(sockets.at(next++)); }, registry, health);
      if (const auto started = agent.start(); !started) {
        ::fprintf(stderr, "the agent does not start: %s\n", started.error().message().c_str());
        ::_exit(1);
      }
      std::string command;
      while (receive_text(sockets[0], command) && command != "stop") {
        send_text(sockets[0], registry.expose());
      }
      agent.stop(std::chrono::seconds(20));
      send_text(sockets[0], "stopped");
    }
    ::_exit(0);
  }

  void end(int number) {
    if (pid_ <= 0) {
      return;
    }
    if (number != 0) {
      ::kill(pid_, number);
    }
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
    for (const int fd : ours_) {
      ::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) {
      thread.join();
    }
    for (const int fd : ours_) {
      ::close(fd);
    }
  }

  pid_t pid_ = 0;
  std::vector<int> ours_;
  std::vector<std::thread> threads_;
};

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// What gzip(1) and logrotate do: a new file, the times of the old one, then the old one goes.
inline void gzip_file(const std::string& path) {
  overwrite(path + ".gz", test::gzip(read_file(path)));
  std::filesystem::last_write_time(path + ".gz", std::filesystem::last_write_time(path));
  std::filesystem::remove(path);
}

// An agent that follows DIR/logs/*.log and can be killed, and every line that was written for it.
class AgentOnDisk {
 public:
  AgentOnDisk() {
    std::filesystem::create_directory(dir_ / "logs");
    config_.state_dir = dir_ / "state";
    config_.host_name = "host-1";
    config_.files.push_back({});
    config_.files[0].include = {dir_ / "logs/*.log"};
    config_.files[0].from_start = true;
    config_.ship.linger = std::chrono::milliseconds(1);
    config_.ship.retry_initial = std::chrono::milliseconds(1);
    config_.ship.retry_max = std::chrono::milliseconds(5);
    config_.tail.look_every = std::chrono::milliseconds(20);
    config_.tail.rescan_every = std::chrono::milliseconds(50);
    config_.tail.unnamed_wait = std::chrono::milliseconds(200);
    config_.tail.copy_grace = std::chrono::milliseconds(200);
    config_.tail.partial_line_after = std::chrono::milliseconds(0);
  }
  std::string log(const std::string& name = "a.log") const { return dir_ / "logs/" + name; }

  void write(int count, const std::string& name = "a.log") { append(log(name), fresh(count)); }
  // 10 lines more end up in a.log.2; a.log.1 and a.log have 20 new ones each.
  void write_and_rotate_twice() {
    write(10);
    std::filesystem::rename(log(), log() + ".2");
    write(20);
    std::filesystem::rename(log(), log() + ".1");
    write(20);
  }
  // New lines, each unlike every other.
  std::string fresh(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) {
      lines_.push_back("line " + std::to_string(lines_.size()));
      text += lines_.back() + "\n";
    }
    return text;
  }
  void start() { agent_ = std::make_unique<KilledAgent>(config_, collector_); }
  void kill() { agent_.reset(); }
  void refuse() {
    collector_.answer_with([](const auto&) { return FakeCollector::status(503); });
  }
  void accept() {
    collector_.answer_with(nullptr);
    collector_.lose_answers(false);
  }
  bool wait_for_all() { return wait_for_lines(lines_.size()); }
  // What was sent again counts once.
  bool wait_for_lines(std::size_t count) {
    return collector_.wait([count](const std::vector<test::Arrived>& accepted) {
      if (accepted.size() < count) {
        return false;
      }
      std::set<std::string> bodies;
      for (const auto& one : accepted) {
        bodies.insert(one.body);
      }
      return bodies.size() >= count;
    });
  }
  bool wait_until_copied() const {
    return agent_->wait(
        [](const KilledAgent& agent) { return agent.metric("naru_agent_spool_copies") >= 1; });
  }
  // accepted + created = delivered + merged + deadlettered + dropped + lost + in flight
  static double balance(const std::string& metrics) {
    double sum = 0;
    std::istringstream text(metrics);
    for (std::string line; std::getline(text, line);) {
      if (!line.starts_with("naru_records_") || !line.contains("stage=\"agent\"")) {
        continue;
      }
      const std::string name = line.substr(0, line.find('{'));
      const double value = std::stod(line.substr(line.rfind(' ')));
      if (name == "naru_records_accepted_total" || name == "naru_records_created_total") {
        sum += value;
      } else if (name != "naru_records_duplicate_total" && name != "naru_records_parked_total") {
        sum -= value;
      }
    }
    return sum;
  }
  bool wait_balanced() const {
    return agent_->wait([](const KilledAgent& agent) { return balance(agent.metrics()) == 0; });
  }

  test::TempDir dir_;
  AgentConfig config_;
  FakeCollector collector_;
  std::vector<std::string> lines_;
  std::unique_ptr<KilledAgent> agent_;
};

}  // namespace naru::agent::test
