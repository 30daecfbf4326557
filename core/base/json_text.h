// Strings for small JSON texts (control answers, events, schemas), RFC 8259.
//
// Not for documents on the hot path: those have encoders of their own.
#pragma once

#include <string>
#include <string_view>

namespace naru {

// Appends `text` as a JSON string with its quotes. Each byte that is not part of valid UTF-8 becomes U+FFFD.
void append_json_string(std::string& out, std::string_view text);
std::string json_string(std::string_view text);

}  // namespace naru
