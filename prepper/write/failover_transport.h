// One connection to a cluster that has several addresses: the current one is used until it does not answer.
//
// Only what certainly was not sent goes to another address within a call; after an unknown outcome the next
// call does, so that the caller decides about sending again.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "core/net/http.h"

namespace naru::prepper {

class FailoverTransport : public net::HttpTransport {
 public:
  // `ends` is not empty; `first` picks the address to begin with (modulo their number).
  FailoverTransport(std::vector<std::unique_ptr<net::HttpTransport>> ends, std::size_t first)
      : ends_(std::move(ends)), current_(first % ends_.size()) {}

  Result<net::HttpResponse> exchange(net::HttpRequest request, std::chrono::milliseconds deadline) override {
    for (std::size_t tried = 1;; ++tried) {
      const bool last = tried == ends_.size();
      net::HttpRequest sent = last ? std::move(request) : request;
      Result<net::HttpResponse> answer = ends_[current_]->exchange(std::move(sent), deadline);
      if (answer) {
        return answer;
      }
      current_ = (current_ + 1) % ends_.size();
      if (last || answer.error().code() != ErrorCode::kUnavailable) {
        return answer;
      }
    }
  }

  void cancel() override {
    for (const auto& end : ends_) {
      end->cancel();
    }
  }

 private:
  std::vector<std::unique_ptr<net::HttpTransport>> ends_;
  std::size_t current_;
};

}  // namespace naru::prepper
