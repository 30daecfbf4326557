// Finds personal data in texts. Pure; thread-safe.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace naru::prepper {

enum class Pii : std::uint8_t {
  kEmail,           // RFC 5321 mailboxes of ASCII letters with a dotted domain
  kCard,            // 13 to 19 digits, plain or in groups, whose Luhn sum fits (ISO/IEC 7812)
  kIp,              // IPv4 and IPv6
  kPhone,           // +country numbers (E.164), Korean numbers, North American numbers in groups
  kResidentNumber,  // Korean resident registration numbers: YYMMDD-GNNNNNN
  kToken,           // JSON web tokens, Bearer values, keys of AWS, GitHub, GitLab, Slack and OpenAI's form
};
inline constexpr std::size_t kPiiKinds = 6;
std::string_view to_string(Pii kind);  // email, card, ip, phone, resident_number, token

struct PiiHit {
  std::size_t begin, end;
  Pii kind;
};
// Appends the hits in `text`, in order, none overlapping another. `kinds`: bits 1 << Pii.
void find_pii(std::string_view text, unsigned kinds, std::vector<PiiHit>& hits);

}  // namespace naru::prepper
