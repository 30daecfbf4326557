#include "prepper/processors/pii.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "core/base/bytes.h"

namespace naru::prepper {
namespace {

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool is_word(char c) {
  return is_digit(c) || is_letter(c) || c == '_';
}
constexpr bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

struct TokenForm {
  std::string_view prefix;
  std::size_t least;      // characters behind the prefix
  std::string_view also;  // characters beside letters, digits and _
};
constexpr std::array kTokens = {
    TokenForm{"eyJ", 20, "-."},   TokenForm{"AKIA", 16, ""},      TokenForm{"ghp_", 30, ""},
    TokenForm{"gho_", 30, ""},    TokenForm{"ghs_", 30, ""},      TokenForm{"github_pat_", 30, ""},
    TokenForm{"glpat-", 20, "-"}, TokenForm{"xoxb-", 10, "-"},    TokenForm{"xoxp-", 10, "-"},
    TokenForm{"sk-", 20, "-"},    TokenForm{"rer ", 8, "-.~+/="},  // of "Bearer "
};
// The first three characters of those; forms with equal third ones share a bit.
struct Lead {
  char first, second;
  std::string_view third;
};
constexpr std::array kLeads = {Lead{'e', 'y', "J"}, Lead{'A', 'K', "I"}, Lead{'g', 'h', "pos"},
                               Lead{'g', 'i', "t"}, Lead{'g', 'l', "p"}, Lead{'x', 'o', "x"},
                               Lead{'s', 'k', "-"}, Lead{'r', 'e', "r"}};
static_assert(kLeads.size() == 8);

// Bits of the leads that a first, second and third character may belong to.
using LeadTables = std::array<std::array<unsigned char, 256>, 3>;
constexpr LeadTables lead_tables() {
  LeadTables out{};
  for (std::size_t i = 0; i < kLeads.size(); ++i) {
    const auto bit = static_cast<unsigned char>(1U << i);
    out[0][static_cast<unsigned char>(kLeads[i].first)] |= bit;
    out[1][static_cast<unsigned char>(kLeads[i].second)] |= bit;
    for (const char c : kLeads[i].third) {
      out[2][static_cast<unsigned char>(c)] |= bit;
    }
  }
  return out;
}
constexpr LeadTables kLeadTables = lead_tables();

// Where a hit may begin, or have its middle: first digits outside words, @, : and the beginnings of tokens;
// one bit for each byte of `blocks` times 64. Two bytes more are read. `in_word`: the byte before is part of
// a word.
constexpr std::size_t kBlock = 64;
using FindCandidates = void (*)(const char* text, std::size_t blocks, bool in_word, std::uint64_t* out);

void find_candidates(const char* text, std::size_t blocks, bool in_word, std::uint64_t* out) {
  const auto bits = [](std::size_t position, char c) {
    return kLeadTables[position][static_cast<unsigned char>(c)];
  };
  for (std::size_t block = 0; block < blocks; ++block, text += kBlock) {
    out[block] = 0;
    for (std::size_t i = 0; i < kBlock; ++i) {
      const char c = text[i];
      const bool token = (bits(0, c) & bits(1, text[i + 1]) & bits(2, text[i + 2])) != 0;
      out[block] |= static_cast<std::uint64_t>((is_digit(c) && !in_word) || c == '@' || c == ':' || token)
                    << i;
      in_word = is_word(c);
    }
  }
}

#if defined(__x86_64__)
// The same tables by halves of a byte. A character has a lead's bit in both halves when it is the lead's, and
// hardly ever otherwise.
struct NibbleTables {
  alignas(16) std::array<unsigned char, 16> low{}, high{};
};
constexpr NibbleTables nibble_tables(std::size_t position) {
  NibbleTables out;
  for (std::size_t c = 0; c < 256; ++c) {
    const unsigned char bits = kLeadTables[position][c];
    out.low[c & 15] |= bits;
    out.high[c >> 4] |= bits;
  }
  return out;
}
constexpr std::array kNibbles = {nibble_tables(0), nibble_tables(1), nibble_tables(2)};

struct LeadLookup {
  __m256i low, high;
};
__attribute__((target("avx2"))) inline LeadLookup lookup(std::size_t position) {
  const auto load = [](const auto& table) __attribute__((target("avx2"))) {
    return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table.data())));
  };
  return {load(kNibbles[position].low), load(kNibbles[position].high)};
}
__attribute__((target("avx2"))) inline __m256i lead_bits(const char* text, const LeadLookup& tables) {
  const __m256i nibble = _mm256_set1_epi8(15);
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text));
  return _mm256_and_si256(
      _mm256_shuffle_epi8(tables.low, _mm256_and_si256(bytes, nibble)),
      _mm256_shuffle_epi8(tables.high, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble)));
}

__attribute__((target("avx2"))) void find_candidates_avx2(const char* text, std::size_t blocks, bool in_word,
                                                          std::uint64_t* out) {
  const LeadLookup first = lookup(0), second = lookup(1), third = lookup(2);
  struct Half {
    std::uint32_t digits, words, others;
  };
  const auto half = [&](const char* at) __attribute__((target("avx2"))) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    const auto within = [](__m256i values, char most) __attribute__((target("avx2"))) {  // unsigned, from 0
      return _mm256_cmpeq_epi8(_mm256_min_epu8(values, _mm256_set1_epi8(most)), values);
    };
    const auto is = [&](char c) __attribute__((target("avx2"))) {
      return _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(c));
    };
    const __m256i digit = within(_mm256_sub_epi8(bytes, _mm256_set1_epi8('0')), 9);
    const __m256i lower = _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
    const __m256i letter = within(_mm256_sub_epi8(lower, _mm256_set1_epi8('a')), 25);
    const __m256i word = _mm256_or_si256(_mm256_or_si256(digit, letter), is('_'));
    const __m256i token = _mm256_and_si256(
        lead_bits(at, first), _mm256_and_si256(lead_bits(at + 1, second), lead_bits(at + 2, third)));
    const __m256i no_token = _mm256_cmpeq_epi8(token, _mm256_setzero_si256());
    const auto mask = [](__m256i bits) __attribute__((target("avx2"))) {
      return static_cast<std::uint32_t>(_mm256_movemask_epi8(bits));
    };
    return Half{mask(digit), mask(word), mask(_mm256_or_si256(is('@'), is(':'))) | ~mask(no_token)};
  };
  for (std::size_t block = 0; block < blocks; ++block, text += kBlock) {
    const Half low = half(text), high = half(text + 32);
    const std::uint64_t words = std::uint64_t{high.words} << 32 | low.words;
    const std::uint64_t digits = std::uint64_t{high.digits} << 32 | low.digits;
    out[block] = (digits & ~(words << 1 | (in_word ? 1 : 0))) | std::uint64_t{high.others} << 32 | low.others;
    in_word = words >> 63 != 0;
  }
}
#endif

FindCandidates pick_candidates() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") ? find_candidates_avx2 : find_candidates;
#else
  return find_candidates;
#endif
}
const FindCandidates kFindCandidates = pick_candidates();

// The last block of a text: `left` bytes, and whatever lies behind them.
void scan_end(const char* text, std::size_t left, bool in_word, std::uint64_t* out) {
  constexpr std::size_t kRead = kBlock + 2;
  if (readable_in_page(text, kRead)) [[likely]] {
    kFindCandidates(text, 1, in_word, out);
    return;
  }
  char tail[kRead] = {};
  std::memcpy(tail, text, std::min(left, sizeof tail));
  kFindCandidates(tail, 1, in_word, out);
}

class Finder {
 public:
  Finder(std::string_view text, unsigned kinds, std::vector<PiiHit>& hits)
      : text_(text), kinds_(kinds), hits_(hits), first_hit_(hits.size()) {}

  void run() {
    constexpr std::size_t kBlocks = 16, kBehind = 2;
    std::array<std::uint64_t, kBlocks> found;
    std::size_t begin = 0;
    while (begin + kBlock + kBehind <= text_.size()) {
      const std::size_t blocks = std::min((text_.size() - begin - kBehind) / kBlock, kBlocks);
      kFindCandidates(text_.data() + begin, blocks, in_word(begin), found.data());
      for (std::size_t i = 0; i < blocks; ++i) {
        look_at(begin + i * kBlock, found[i]);
      }
      begin += blocks * kBlock;
    }
    while (begin < text_.size()) {
      const std::size_t left = text_.size() - begin;
      scan_end(text_.data() + begin, left, in_word(begin), found.data());
      look_at(begin, left < kBlock ? found[0] & ((std::uint64_t{1} << left) - 1) : found[0]);
      begin += kBlock;
    }
  }

 private:
  bool in_word(std::size_t i) const { return i > 0 && is_word(text_[i - 1]); }
  void look_at(std::size_t block, std::uint64_t found) {
    for (; found != 0; found &= found - 1) {
      const std::size_t i = block + static_cast<std::size_t>(std::countr_zero(found));
      if (i >= resume_) {
        resume_ = std::max(i + 1, examine(i));
      }
    }
  }

  bool wants(Pii kind) const { return (kinds_ >> static_cast<unsigned>(kind) & 1) != 0; }
  char at(std::size_t i) const { return i < text_.size() ? text_[i] : '\0'; }

  // Behind the hit, or behind what need not be looked at again.
  std::size_t examine(std::size_t i) {
    const char c = text_[i];
    if (c == '@') {
      return wants(Pii::kEmail) ? email(i) : i;
    }
    if (c == ':') {
      return wants(Pii::kIp) ? ipv6(i) : i;
    }
    if (is_digit(c)) {
      return digits(i);
    }
    return wants(Pii::kToken) ? token(i) : i;
  }

  void add(std::size_t begin, std::size_t end, Pii kind) {
    while (hits_.size() > first_hit_ && hits_.back().end > begin) {
      begin = std::min(begin, hits_.back().begin);
      hits_.pop_back();
    }
    hits_.push_back({begin, end, kind});
  }

  std::size_t email(std::size_t sign) {
    constexpr std::string_view kLocal = ".!#$%&'*+/?^_`{|}~-";
    constexpr std::size_t kLocalMax = 64, kDomainMax = 255;
    std::size_t begin = sign;
    while (begin > 0 && sign - begin < kLocalMax &&
           (is_word(text_[begin - 1]) || kLocal.find(text_[begin - 1]) != std::string_view::npos)) {
      --begin;
    }
    std::size_t end = sign + 1, dot = 0;
    while (end < text_.size() && end - sign < kDomainMax &&
           (is_word(text_[end]) || text_[end] == '-' || text_[end] == '.')) {
      dot = text_[end] == '.' ? end : dot;
      ++end;
    }
    if (end > 0 && text_[end - 1] == '.') {  // of the sentence
      --end;
      dot = text_.substr(0, end).rfind('.');
      dot = dot == std::string_view::npos || dot < sign ? 0 : dot;
    }
    const bool top_level = dot > sign + 1 && end - dot > 2 && is_letter(text_[dot + 1]);
    if (begin == sign || !top_level) {
      return sign;
    }
    add(begin, end, Pii::kEmail);
    return end;
  }

  std::size_t ipv6(std::size_t colon) {
    std::size_t begin = colon, end = colon;
    while (begin > 0 && is_hex(text_[begin - 1])) {
      --begin;
    }
    const auto inside = [](char c) { return is_hex(c) || c == ':' || c == '.'; };
    while (end < text_.size() && inside(text_[end])) {
      ++end;
    }
    while (end > begin && (text_[end - 1] == '.' || (text_[end - 1] == ':' && at(end - 2) != ':'))) {
      --end;  // of the sentence
    }
    const std::string_view address = text_.substr(begin, end - begin);
    const bool apart = (begin == 0 || !is_word(text_[begin - 1])) && !is_word(at(end));
    const auto colons = std::ranges::count(address, ':');
    const bool digits = std::ranges::any_of(address, is_digit);  // or it is a name such as a::b
    char copy[INET6_ADDRSTRLEN];
    unsigned char parsed[16];
    if (apart && digits && colons >= 2 && (colons == 7 || address.find("::") != std::string_view::npos) &&
        address.size() > 3 && address.size() < sizeof copy) {
      std::memcpy(copy, address.data(), address.size());
      copy[address.size()] = '\0';
      if (inet_pton(AF_INET6, copy, parsed) == 1) {
        add(begin, end, Pii::kIp);
        return end;
      }
    }
    return std::max(end, colon + 1);
  }

  // A run of digits and the marks that numbers are grouped with.
  std::size_t digits(std::size_t begin) {
    std::size_t plain = begin;  // end of the first digits
    while (plain < text_.size() && is_digit(text_[plain])) {
      ++plain;
    }
    const char before = begin > 0 ? text_[begin - 1] : ' ';
    if (is_word(before) || (before == '.' && begin > 1 && is_digit(text_[begin - 2]))) {
      return plain;  // in the middle of a name or a number
    }
    if (plain - begin <= 3 && at(plain) == '.' && wants(Pii::kIp)) {
      if (const std::size_t end = ipv4(begin); end > 0) {
        add(begin, end, Pii::kIp);
        return end;
      }
    }
    if (plain - begin < 2 && before != '+' && before != '(') {
      return plain;
    }
    if (wants(Pii::kResidentNumber)) {
      if (const std::size_t end = resident_number(begin, plain); end > 0) {
        add(begin, end, Pii::kResidentNumber);
        return end;
      }
    }
    if (wants(Pii::kCard)) {
      if (const std::size_t end = card(begin); end > 0) {
        add(begin, end, Pii::kCard);
        return end;
      }
    }
    if (wants(Pii::kPhone)) {
      if (const std::size_t end = phone(begin, plain, before); end > 0) {
        add(before == '+' || before == '(' ? begin - 1 : begin, end, Pii::kPhone);
        return end;
      }
    }
    return plain;
  }

  std::size_t ipv4(std::size_t i) const {
    for (int part = 0; part < 4; ++part) {
      unsigned value = 0;
      std::size_t size = 0;
      for (; size < 4 && is_digit(at(i)); ++i, ++size) {
        value = value * 10 + static_cast<unsigned>(text_[i] - '0');
      }
      if (size == 0 || size > 3 || value > 255) {
        return 0;
      }
      if (part < 3 && at(i++) != '.') {
        return 0;
      }
    }
    return is_word(at(i)) || (at(i) == '.' && is_digit(at(i + 1))) ? 0 : i;
  }

  // YYMMDD, G 1 to 8 for the century and sex, six digits; without the hyphen only with its check digit.
  std::size_t resident_number(std::size_t i, std::size_t plain) const {
    const bool grouped = plain - i == 6 && at(plain) == '-' && is_digit(at(plain + 1));
    if (!grouped && plain - i != 13) {
      return 0;
    }
    std::array<int, 13> n{};
    std::size_t at_digit = i;
    for (std::size_t k = 0; k < n.size(); ++k, ++at_digit) {
      at_digit += grouped && k == 6 ? 1 : 0;
      if (!is_digit(at(at_digit))) {
        return 0;
      }
      n[k] = text_[at_digit] - '0';
    }
    const int month = n[2] * 10 + n[3], day = n[4] * 10 + n[5];
    if (is_word(at(at_digit)) || month < 1 || month > 12 || day < 1 || day > 31 || n[6] < 1 || n[6] > 8) {
      return 0;
    }
    if (!grouped) {
      constexpr std::array kWeights = {2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5};
      int sum = 0;
      for (std::size_t k = 0; k < kWeights.size(); ++k) {
        sum += kWeights[k] * n[k];
      }
      if ((11 - sum % 11) % 10 != n[12]) {
        return 0;
      }
    }
    return at_digit;
  }

  std::size_t card(std::size_t i) const {
    if (text_[i] < '2' || text_[i] > '6') {  // major industry identifiers of payment cards
      return 0;
    }
    std::array<int, 19> n{};
    std::size_t count = 0, groups = 1, group = 0;
    char mark = '\0';
    while (i < text_.size()) {
      if (is_digit(text_[i])) {
        if (count == n.size()) {
          return 0;
        }
        n[count++] = text_[i++] - '0';
        ++group;
      } else if ((text_[i] == ' ' || text_[i] == '-') && is_digit(at(i + 1)) && group >= 4 &&
                 (mark == '\0' || mark == text_[i]) && groups < 5) {
        mark = text_[i++];
        group = 0;
        ++groups;
      } else {
        break;
      }
    }
    if (count < 13 || is_word(at(i)) || (groups > 1 && groups < 3)) {
      return 0;
    }
    int sum = 0;
    for (std::size_t k = 0; k < count; ++k) {
      const int digit = n[count - 1 - k];
      sum += k % 2 == 0 ? digit : digit * 2 - (digit > 4 ? 9 : 0);
    }
    return sum % 10 == 0 ? i : 0;
  }

  // Reads groups of digits with single marks between: their lengths, and where they end.
  std::size_t read_groups(std::size_t i, std::string_view marks, std::array<std::size_t, 6>& groups,
                          std::size_t& count) const {
    count = 0;
    std::size_t end = i;
    while (count < groups.size()) {
      std::size_t size = 0;
      while (is_digit(at(i + size))) {
        ++size;
      }
      if (size == 0) {
        break;
      }
      groups[count++] = size;
      end = i + size;
      i = end;
      if (marks.find(at(i)) == std::string_view::npos || at(i) == '\0') {
        break;
      }
      i += at(i) == ')' && at(i + 1) == ' ' ? 2 : 1;
      i += at(i) == '(' ? 1 : 0;  // +1 (212) 555-0123
    }
    return end;
  }

  std::size_t phone(std::size_t begin, std::size_t plain, char before) const {
    std::array<std::size_t, 6> g{};
    std::size_t count = 0;
    const std::size_t end = read_groups(begin, "- .)", g, count);
    if (is_word(at(end))) {
      return 0;
    }
    std::size_t total = 0;
    for (std::size_t k = 0; k < count; ++k) {
      total += g[k];
    }
    if (before == '+') {
      return text_[begin] != '0' && total >= 8 && total <= 15 ? end : 0;
    }
    const std::string_view first = text_.substr(begin, plain - begin);
    // Korea: mobile 01X, Seoul 02, others 0XX; 010 also without marks.
    if (first[0] == '0') {
      const bool mobile = first.size() >= 3 && first[1] == '1' &&
                          std::string_view("016789").find(first[2]) != std::string_view::npos;
      if (count == 1) {
        return first.size() == 11 && first.starts_with("010") ? end : 0;
      }
      const bool area = first == "02" || (first.size() == 3 && first[1] >= '3' && first[1] <= '7');
      return count == 3 && (area || (mobile && first.size() == 3)) && (g[1] == 3 || g[1] == 4) && g[2] == 4
                 ? end
                 : 0;
    }
    // North America: NXX-NXX-XXXX, (NXX) NXX-XXXX.
    const bool american = count == 3 && g[0] == 3 && g[1] == 3 && g[2] == 4 && first[0] >= '2';
    return american && (before == '(' || text_[plain] != ' ') ? end : 0;
  }

  std::size_t token(std::size_t i) {
    const std::string_view rest = text_.substr(i);
    for (const TokenForm& form : kTokens) {
      if (rest[0] != form.prefix[0] || !rest.starts_with(form.prefix)) {
        continue;
      }
      const bool bearer = form.prefix[0] == 'r';
      const bool apart = bearer ? i >= 3 && text_.substr(i - 2, 2) == "ea" && (text_[i - 3] | 0x20) == 'b'
                                : i == 0 || !is_word(text_[i - 1]);
      if (!apart) {
        continue;
      }
      std::size_t end = form.prefix.size();
      while (end < rest.size() &&
             (is_word(rest[end]) || form.also.find(rest[end]) != std::string_view::npos)) {
        ++end;
      }
      if (end - form.prefix.size() >= form.least) {
        add(bearer ? i + form.prefix.size() : i, i + end, Pii::kToken);
        return i + end;
      }
    }
    return i;
  }

  const std::string_view text_;
  const unsigned kinds_;
  std::vector<PiiHit>& hits_;
  const std::size_t first_hit_;
  std::size_t resume_ = 0;  // what is before was looked at
};

}  // namespace

std::string_view to_string(Pii kind) {
  constexpr std::array<std::string_view, kPiiKinds> kNames = {"email",           "card", "ip", "phone",
                                                              "resident_number", "token"};
  return kNames[static_cast<std::size_t>(kind)];
}

void find_pii(std::string_view text, unsigned kinds, std::vector<PiiHit>& hits) {
  constexpr std::size_t kShortest = 6;  // a@b.kr
  if (text.size() < kShortest) {
    return;
  }
  Finder(text, kinds, hits).run();
}

}  // namespace naru::prepper
