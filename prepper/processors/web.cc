#include "prepper/processors/web.h"

#include <array>
#include <charconv>

#include "core/base/bytes.h"
#include "prepper/processors/text_processor.h"

namespace naru::prepper {
namespace {

// %41 becomes A; what is no escape stays.
std::string_view percent_decoded(std::string_view text, Arena& arena) {
  if (text.find_first_of("%+") == std::string_view::npos) {
    return text;
  }
  char* const out = arena.allocate(text.size());
  std::size_t size = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_value(text[i + 2]) : -1;
    if (low >= 0) {
      out[size++] = static_cast<char>(high << 4 | low);
      i += 2;
    } else {
      out[size++] = text[i] == '+' ? ' ' : text[i];
    }
  }
  return {out, size};
}

constexpr std::uint32_t kQueryParametersMax = 64;

// RFC 3986: scheme ":" "//" authority path "?" query "#" fragment; every part may be missing.
class UrlProcessor final : public TextProcessor {
 public:
  UrlProcessor(std::uint32_t field, UrlOptions options)
      : TextProcessor(field), options_(std::move(options)) {}

 protected:
  Outcome read(std::string_view text, Event& event, Scratch& scratch) const override {
    for (const char c : text) {
      if (static_cast<unsigned char>(c) <= ' ') {
        return scratch.fail("the text is no URL: it holds a blank");
      }
    }
    const auto set = [&](std::string_view name, const AnyValue& value) {
      set_attribute(event, options_.prefix, name, value);
    };
    const auto cut = [&](char c) -> std::optional<std::string_view> {
      const std::size_t at = text.find(c);
      if (at == std::string_view::npos) {
        return std::nullopt;
      }
      const std::string_view behind = text.substr(at + 1);
      text = text.substr(0, at);
      return behind;
    };
    if (const auto fragment = cut('#')) {
      set("fragment", text_value(*fragment));
    }
    const auto query = cut('?');
    if (query) {
      set("query", text_value(*query));
    }
    if (const std::size_t scheme = text.find("://"); scheme != std::string_view::npos && scheme > 0) {
      set("scheme", text_value(text.substr(0, scheme)));
      text.remove_prefix(scheme + 3);
      std::string_view authority = text.substr(0, text.find('/'));
      text.remove_prefix(authority.size());
      if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
        set("username",
            text_value(authority.substr(0, std::min(authority.find(':'), at))));  // never the password
        authority.remove_prefix(at + 1);
      }
      const std::size_t colon = authority.rfind(':');
      std::uint16_t port = 0;
      if (colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos) {
        const std::string_view digits = authority.substr(colon + 1);
        const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
        if (!digits.empty() && (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size())) {
          return scratch.fail("the text is no URL: its port is no number up to 65535");
        }
        authority = authority.substr(0, colon);
      }
      if (!authority.empty()) {
        set("domain", text_value(authority));
      }
      if (port != 0) {
        set("port", int_value(port));
      }
    }
    if (!text.empty()) {
      set("path", text_value(text));
    }
    if (query && options_.query_parameters) {
      set_parameters(*query, event);
    }
    return Outcome::kDone;
  }

 private:
  void set_parameters(std::string_view query, Event& event) const {
    for (std::uint32_t n = 0; !query.empty() && n < kQueryParametersMax; ++n) {
      const std::size_t end = std::min(query.find('&'), query.size());
      const std::string_view pair = query.substr(0, end);
      query.remove_prefix(std::min(end + 1, query.size()));
      const std::size_t equals = std::min(pair.find('='), pair.size());
      const std::string_view name = percent_decoded(pair.substr(0, equals), event.arena());
      const std::string_view value =
          percent_decoded(pair.substr(std::min(equals + 1, pair.size())), event.arena());
      if (!name.empty()) {
        char* const full = event.arena().allocate(6 + name.size());
        std::memcpy(full, "query.", 6);
        std::memcpy(full + 6, name.data(), name.size());
        set_attribute(event, options_.prefix, {full, 6 + name.size()}, text_value(value));
      }
    }
  }

  UrlOptions options_;
};

// What follows `token` and its "/" or blank, up to the next separator.
std::string_view version_behind(std::string_view text, std::string_view token) {
  const std::size_t at = text.find(token);
  if (at == std::string_view::npos || at + token.size() >= text.size()) {
    return {};
  }
  std::string_view rest = text.substr(at + token.size());
  if (rest[0] == '/' || rest[0] == ' ') {
    rest.remove_prefix(1);
  }
  const std::size_t end = rest.find_first_not_of("0123456789._");
  return rest.substr(0, end);
}

struct Product {
  std::string_view token;
  std::string_view name;
  std::string_view version_token;  // empty: `token`
};
// The order decides: browsers name their ancestors too.
constexpr std::array kProducts = {
    Product{"Edg/", "Edge", "Edg"},
    Product{"EdgA/", "Edge Mobile", "EdgA"},
    Product{"OPR/", "Opera", "OPR"},
    Product{"SamsungBrowser/", "Samsung Internet", "SamsungBrowser"},
    Product{"Whale/", "Whale", "Whale"},
    Product{"KAKAOTALK", "KakaoTalk", "KAKAOTALK"},
    Product{"NAVER(", "NAVER", ""},
    Product{"FxiOS/", "Firefox iOS", "FxiOS"},
    Product{"CriOS/", "Chrome Mobile iOS", "CriOS"},
    Product{"Firefox/", "Firefox", "Firefox"},
    Product{"Chrome/", "Chrome", "Chrome"},
    Product{"Version/", "Safari", "Version"},
    Product{"Trident/", "Internet Explorer", "rv:"},
    Product{"MSIE ", "Internet Explorer", "MSIE"},
};

std::string_view windows_version(std::string_view text) {
  const std::string_view nt = version_behind(text, "Windows NT");
  return nt == "10.0" ? "10" : nt == "6.3" ? "8.1" : nt == "6.2" ? "8" : nt == "6.1" ? "7" : nt;
}

void read_system(std::string_view text, UserAgent& out) {
  const auto has = [&](std::string_view word) { return text.find(word) != std::string_view::npos; };
  if (has("Windows")) {
    out.os = "Windows";
    out.os_version = windows_version(text);
    out.device = "Desktop";
  } else if (has("iPhone") || has("iPad")) {
    out.os = "iOS";
    out.os_version = version_behind(text, has("iPhone OS") ? "iPhone OS" : "CPU OS");
    out.device = has("iPad") ? "Tablet" : "Mobile";
  } else if (has("Android")) {
    out.os = "Android";
    out.os_version = version_behind(text, "Android");
    out.device = has("Mobile") ? "Mobile" : "Tablet";
  } else if (has("Mac OS X") || has("Macintosh")) {
    out.os = "macOS";
    out.os_version = version_behind(text, "Mac OS X");
    out.device = "Desktop";
  } else if (has("CrOS")) {
    out.os = "ChromeOS";
    out.device = "Desktop";
  } else if (has("Linux")) {
    out.os = "Linux";
    out.device = "Desktop";
  }
}

class UserAgentProcessor final : public TextProcessor {
 public:
  UserAgentProcessor(std::uint32_t field, UserAgentOptions options)
      : TextProcessor(field), options_(std::move(options)) {}

 protected:
  Outcome read(std::string_view text, Event& event, Scratch&) const override {
    const UserAgent agent = parse_user_agent(text);
    const auto set = [&](std::string_view name, std::string_view value) {
      if (!value.empty()) {
        set_attribute(event, options_.prefix, name, text_value(value));
      }
    };
    set("name", agent.name);
    set("version", agent.version);
    set("os.name", agent.os);
    set("os.version", agent.os_version);
    set("device.type", agent.device);
    return Outcome::kDone;
  }

 private:
  UserAgentOptions options_;
};

}  // namespace

UserAgent parse_user_agent(std::string_view text) {
  UserAgent out;
  read_system(text, out);
  constexpr std::array kBots = {"bot",   "Bot",  "spider", "crawl",
                                "Crawl", "Yeti", "Slurp",  "facebookexternalhit"};
  for (const char* bot : kBots) {
    if (text.find(bot) != std::string_view::npos) {
      out.device = "Bot";
    }
  }
  if (out.device != "Bot" && text.starts_with("Mozilla/")) {
    for (const Product& product : kProducts) {
      if (text.find(product.token) != std::string_view::npos) {
        out.name = product.name;
        out.version =
            product.version_token.empty() ? std::string_view() : version_behind(text, product.version_token);
        return out;
      }
    }
  }
  if (out.device == "Bot") {
    // The product that calls itself a bot.
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find_first_of(" ;()", at), text.size());
      const std::string_view word = text.substr(at, end - at);
      const std::size_t slash = word.find('/');
      for (const char* bot : kBots) {
        if (word.find(bot) != std::string_view::npos && word.find("://") == std::string_view::npos &&
            !word.starts_with("+")) {
          out.name = word.substr(0, slash);
          out.version = slash == std::string_view::npos ? std::string_view() : word.substr(slash + 1);
          return out;
        }
      }
      at = end + 1;
    }
    return out;
  }
  // A program: its first product.
  const std::string_view word = text.substr(0, text.find(' '));
  const std::size_t slash = word.find('/');
  if (slash != std::string_view::npos && slash > 0 && !text.starts_with("Mozilla/")) {
    out.name = word.substr(0, slash);
    out.version = word.substr(slash + 1);
    out.device = "Tool";
  }
  return out;
}

void describe(config::Schema<UrlOptions>& s) {
  s.field("field", &UrlOptions::field, "Field with the URL, whole or from its path on.");
  s.field("prefix", &UrlOptions::prefix,
          "Put before scheme, domain, port, path, query, fragment and username. A password is never kept.");
  s.field("query_parameters", &UrlOptions::query_parameters,
          "One attribute query.NAME for each of the first 64.");
}

std::unique_ptr<Processor> build(const UrlOptions& options, Builder& builder) {
  return std::make_unique<UrlProcessor>(builder.field("field", options.field), options);
}

void describe(config::Schema<UserAgentOptions>& s) {
  s.field("field", &UserAgentOptions::field, "Field with the User-Agent header.");
  s.field("prefix", &UserAgentOptions::prefix,
          "Put before name, version, os.name, os.version and device.type.");
}

std::unique_ptr<Processor> build(const UserAgentOptions& options, Builder& builder) {
  return std::make_unique<UserAgentProcessor>(builder.field("field", options.field), options);
}

}  // namespace naru::prepper
