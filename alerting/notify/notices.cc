#include "alerting/notify/notices.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/json_text.h"

namespace naru::alerting {
namespace {

constexpr UnixNanos kMinute = 60 * kNanosPerSecond;
constexpr std::size_t kSlackTextMax = 2'900;  // of one section: 3,000 characters

// HH:MM:SS.mmm of a time.
std::string clock_time(UnixNanos at) {
  return format_rfc3339(at).substr(11, 12);
}

// Slack reads these as mark-up.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      default: out += c;
    }
  }
  return out;
}

}  // namespace

void Notices::tell(const StatusEvent& event, UnixNanos now) {
  const bool worth = event.status == Status::kCritical ||
                     (event.status == Status::kHealthy && event.previous == Status::kCritical) ||
                     (event.status == Status::kHealthy && told_.contains(event.target) &&
                      told_.at(event.target).first == Status::kCritical);
  if (!worth) {
    return;
  }
  auto& told = told_[event.target];
  if (told.second != 0 && told.first == event.status && now < told.second + to_nanos(config_.repeat_after)) {
    return;
  }
  told = {event.status, now};
  const auto runbook = config_.runbooks.find(event.target);
  const auto any = config_.runbooks.find("");
  add({.status = event.status,
       .target = event.target,
       .text = event.status == Status::kCritical
                   ? fmt::format("{} CRITICAL {}: {}", clock_time(event.at), event.target, event.reason)
                   : fmt::format("{} HEALTHY {}: back to normal; {}", clock_time(event.at), event.target,
                                 event.reason),
       .runbook = runbook != config_.runbooks.end() ? runbook->second
                  : any != config_.runbooks.end()   ? any->second
                                                    : std::string(),
       .at = event.at},
      now);
}

void Notices::tell(const RouteChange& change, UnixNanos now) {
  add({.status = Status::kCaution,
       .target = change.target,
       .text = fmt::format("{} {}{} {} -> {}: {}", clock_time(change.at), change.dry_run ? "(dry run) " : "",
                           change.target, change.from, change.to, change.reason),
       .runbook = {},
       .at = change.at},
      now);
}

void Notices::add(NoticeLine line, UnixNanos now) {
  if (pending_.empty()) {
    oldest_pending_ = now;
  }
  if (pending_.size() >= config_.pending_max) {
    pending_.pop_front();
    ++dropped_;
  }
  pending_.push_back(std::move(line));
}

bool Notices::due(UnixNanos now) const {
  const auto recent = std::ranges::count_if(sent_, [&](UnixNanos at) { return at + kMinute > now; });
  return !pending_.empty() && now >= oldest_pending_ + to_nanos(config_.group_wait) &&
         static_cast<std::uint64_t>(recent) < config_.messages_per_minute_max;
}

std::optional<Notice> Notices::take(UnixNanos now) {
  if (!due(now)) {
    return std::nullopt;
  }
  while (!sent_.empty() && sent_.front() + kMinute <= now) {
    sent_.pop_front();
  }
  sent_.push_back(now);
  Notice notice;
  notice.console_url = config_.console_url;
  // The worst first: they must be among those that are shown.
  std::deque<NoticeLine> ordered;
  for (const Status status : {Status::kCritical, Status::kCaution, Status::kHealthy}) {
    for (NoticeLine& line : pending_) {
      if (line.status == status) {
        ordered.push_back(std::move(line));
      }
    }
  }
  pending_.swap(ordered);
  for (NoticeLine& line : pending_) {
    notice.worst = std::max(notice.worst, line.status);
    if (notice.lines.size() < config_.lines_max) {
      notice.lines.push_back(std::move(line));
    } else {
      ++notice.left_out;
    }
  }
  pending_.clear();
  if (notice.worst == Status::kCritical) {
    notice.mention = config_.mention;
  }
  return notice;
}

std::string Notice::plain() const {
  std::string out;
  for (const NoticeLine& line : lines) {
    out += line.text + "\n";
    if (!line.runbook.empty()) {
      out += "  runbook: " + line.runbook + "\n";
    }
  }
  if (left_out > 0) {
    out += fmt::format("and {} more\n", left_out);
  }
  if (!console_url.empty()) {
    out += "console: " + console_url + "\n";
  }
  return out;
}

std::string Notice::subject() const {
  const NoticeLine& first = lines.front();
  return fmt::format(
      "[{}] {}{}", to_string(worst), first.target,
      lines.size() + left_out > 1 ? fmt::format(" and {} more", lines.size() + left_out - 1) : std::string());
}

std::string slack_json(const Notice& notice) {
  std::string text = notice.mention.empty() ? "" : notice.mention + " ";
  for (const NoticeLine& line : notice.lines) {
    text += escaped(line.text);
    if (!line.runbook.empty()) {
      text += fmt::format(" <{}|runbook>", line.runbook);
    }
    text += "\n";
  }
  if (notice.left_out > 0) {
    text += fmt::format("and {} more\n", notice.left_out);
  }
  if (!notice.console_url.empty()) {
    text += fmt::format("<{}|console>", notice.console_url);
  }
  std::string out = "{\"text\":";
  append_json_string(out, (notice.mention.empty() ? "" : notice.mention + " ") + notice.subject());
  out += R"(,"blocks":[{"type":"section","text":{"type":"mrkdwn","text":)";
  append_json_string(out, std::string_view(text).substr(0, kSlackTextMax));
  return out + "}}]}";
}

std::string generic_json(const Notice& notice) {
  std::string out = fmt::format("{{\"status\":\"{}\",\"subject\":", to_string(notice.worst));
  append_json_string(out, notice.subject());
  out += ",\"text\":";
  append_json_string(out, notice.plain());
  out += ",\"lines\":[";
  for (bool first = true; const NoticeLine& line : notice.lines) {
    out += std::exchange(first, false) ? "{\"target\":" : ",{\"target\":";
    append_json_string(out, line.target);
    out +=
        fmt::format(R"(,"status":"{}","at":"{}","text":)", to_string(line.status), format_rfc3339(line.at));
    append_json_string(out, line.text);
    out += "}";
  }
  return out + fmt::format("],\"leftOut\":{}}}", notice.left_out);
}

}  // namespace naru::alerting
