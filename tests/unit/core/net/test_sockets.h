// Plain loopback sockets for tests that must decide every byte themselves. Waits at most ten seconds, then
// gives back what came and kSilent.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace naru::net::testing {

inline constexpr std::string_view kSilent = "<nothing more came>";

class RawSocket {
 public:
  RawSocket() = default;
  explicit RawSocket(int descriptor) : descriptor_(descriptor) {}
  ~RawSocket() { close(); }
  RawSocket(RawSocket&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
  RawSocket& operator=(RawSocket&& other) noexcept;

  static RawSocket connect(const std::string& endpoint);  // "127.0.0.1:port"

  bool ok() const { return descriptor_ >= 0; }
  bool send(std::string_view bytes);
  // Reads until `text` was seen or the connection ended.
  std::string read_until(std::string_view text);
  std::string read_to_end() { return read_until({}); }
  // One whole HTTP response with Content-Length.
  std::string read_response();
  void close();

 private:
  bool read_some(std::string& into);
  int descriptor_ = -1;
  std::string pending_;
};

class RawListener {
 public:
  RawListener();
  ~RawListener();
  RawListener(const RawListener&) = delete;
  std::string endpoint() const;
  RawSocket accept();

 private:
  int descriptor_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace naru::net::testing
