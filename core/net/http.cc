#include "core/net/http.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "core/base/bytes.h"
#include "core/base/check.h"

namespace naru::net {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

bool equal_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

// application/x-www-form-urlencoded.
std::string decode_form(std::string_view text) {
  std::string spaced(text);
  std::ranges::replace(spaced, '+', ' ');
  return percent_decoded(spaced);
}

std::optional<std::string> find_parameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    const std::size_t equals = pair.find('=');
    if (decode_form(pair.substr(0, equals)) == name) {
      return equals == std::string_view::npos ? std::string() : decode_form(pair.substr(equals + 1));
    }
  }
  return std::nullopt;
}

}  // namespace

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

std::string_view Headers::get(std::string_view name) const {
  for (const auto& [key, value] : fields_) {
    if (equal_name(key, name)) {
      return value;
    }
  }
  return {};
}

bool Headers::has(std::string_view name) const {
  return std::ranges::any_of(fields_, [&](const auto& field) { return equal_name(field.first, name); });
}

void Headers::set(std::string_view name, std::string value) {
  std::erase_if(fields_, [&](const auto& field) { return equal_name(field.first, name); });
  add(name, std::move(value));
}

void Headers::add(std::string_view name, std::string value) {
  fields_.emplace_back(std::string(name), std::move(value));
}

std::string_view HttpRequest::path() const {
  return std::string_view(target).substr(0, target.find('?'));
}

std::string_view HttpRequest::query() const {
  const std::size_t mark = target.find('?');
  return mark == std::string::npos ? std::string_view() : std::string_view(target).substr(mark + 1);
}

std::string HttpRequest::query_parameter(std::string_view name) const {
  return find_parameter(query(), name).value_or(std::string());
}

bool HttpRequest::has_query_parameter(std::string_view name) const {
  return find_parameter(query(), name).has_value();
}

HttpResponse text_response(int status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.headers.add("Content-Type", "text/plain; charset=utf-8");
  response.body = std::move(body);
  return response;
}

HttpResponse json_response(int status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.headers.add("Content-Type", "application/json");
  response.body = std::move(body);
  return response;
}

Responder::~Responder() {
  if (send_) {
    send_(text_response(500, "The request was dropped without an answer: this is a defect of the server.\n"));
  }
}

void Responder::operator()(HttpResponse response) {
  NARU_CHECK(send_, "a request was answered twice");
  Send send = std::move(send_);
  send_ = nullptr;
  send(std::move(response));
}

Result<HttpResponse> LocalTransport::exchange(HttpRequest request, std::chrono::milliseconds deadline) {
  struct Slot {
    std::mutex mutex;
    std::condition_variable answered;
    std::optional<HttpResponse> response;
  };
  auto slot = std::make_shared<Slot>();
  request.peer.address = "in-process";
  request.peer.loopback = true;
  const auto until = std::chrono::steady_clock::now() + deadline;
  handler_(std::move(request), Responder([slot](HttpResponse response) {
             const std::lock_guard lock(slot->mutex);
             slot->response = std::move(response);
             slot->answered.notify_one();
           }));
  std::unique_lock lock(slot->mutex);
  if (!slot->answered.wait_until(lock, until, [&] { return slot->response.has_value(); })) {
    return fail(ErrorCode::kTimeout,
                fmt::format("no answer from this process within {} ms", deadline.count()));
  }
  return std::move(*slot->response);
}

}  // namespace naru::net
