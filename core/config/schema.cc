#include "core/config/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "core/base/json_text.h"
#include "core/config/config.h"

namespace naru::config {
namespace {

constexpr std::string_view kFileSuffix = "_file";
constexpr std::size_t kListedKeysMax = 12;  // keys that an unknown-key error lists when none is close
constexpr std::size_t kSecretBytesMax = 64u << 10;

// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(last.begin(), last.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::vector<std::string> known_keys(const Table& table) {
  std::vector<std::string> keys;
  for (const Field& field : table.fields) {
    keys.push_back(field.key);
    if (field.secret) {
      keys.push_back(field.key + std::string(kFileSuffix));
    }
  }
  return keys;
}

std::string unknown_key_sentence(std::string_view key, const std::vector<std::string>& known) {
  constexpr std::size_t kKeyMax = 200;  // longer ones are no typing mistakes; bounds the work below
  const std::string* best = nullptr;
  std::size_t best_distance = std::max<std::size_t>(1, key.size() / 3) + 1;
  for (const std::string& candidate : known) {
    if (key.size() > kKeyMax) {
      break;
    }
    const std::size_t distance = edit_distance(key, candidate);
    if (distance < best_distance) {
      best = &candidate;
      best_distance = distance;
    }
  }
  if (best != nullptr) {
    return fmt::format("is no known key; did you mean \"{}\"?", *best);
  }
  if (known.size() <= kListedKeysMax) {
    return fmt::format("is no known key; remove it (known here: {})", fmt::join(known, ", "));
  }
  return "is no known key; remove it (the reference page lists the known ones)";
}

bool within_limits(const Field& field, const Value& value, const std::string& path, const void* member,
                   Report& report) {
  const std::optional<double> magnitude = field.type->magnitude(member);
  const auto tell = [&](std::string_view bound_words, double bound) {
    report.add(value.place, path,
               fmt::format("is {}; it must be {} {}",
                           field.secret ? "out of its bounds" : field.type->show_magnitude(*magnitude),
                           bound_words, field.type->show_magnitude(bound)));
    return false;
  };
  if (magnitude && field.limits.min && *magnitude < *field.limits.min) {
    return tell("at least", *field.limits.min);
  }
  if (magnitude && field.limits.max && *magnitude > *field.limits.max) {
    return tell("at most", *field.limits.max);
  }
  return true;
}

// Replaces `<key>_file: path` by the file's content. nullopt: reported.
std::optional<Value> read_secret(const Value& file, const std::string& path, Report& report) {
  std::string name;
  if (!StringType().load(file, path, &name, report)) {
    return std::nullopt;
  }
  Result<std::string> content = read_config_file(name);
  if (content && content->size() > kSecretBytesMax) {
    content = fail(ErrorCode::kTooLarge, fmt::format("{} is larger than 64 KiB, which no secret is", name));
  }
  if (!content) {
    report.add(file.place, path, content.error().message());
    return std::nullopt;
  }
  if (content->ends_with('\n')) {
    content->pop_back();
    if (content->ends_with('\r')) {
      content->pop_back();
    }
  }
  Value value;
  value.kind = Value::Kind::kScalar;
  value.place = file.place;
  value.text = std::move(*content);
  return value;
}

// Loads one field of a section. False: it has an error, or is missing though required.
bool load_field(const Field& field, const Value& section, const std::string& section_path, void* object,
                Report& report) {
  std::string path = join_path(section_path, field.key);
  const Value* value = section.find(field.key);
  std::optional<Value> secret;
  if (field.secret) {
    const std::string file_path = path + std::string(kFileSuffix);
    if (const Value* file = section.find(field.key + std::string(kFileSuffix))) {
      if (value != nullptr) {
        report.add(file->place, file_path, fmt::format("is given beside {}; remove one of them", path));
        return false;
      }
      secret = read_secret(*file, file_path, report);
      if (!secret) {
        return false;
      }
      value = &*secret;
    }
  }
  Value absent;
  if (value == nullptr && !field.required && field.type->empty_when_absent()) {
    absent.place = section.place;
    value = &absent;
  }
  if (value == nullptr) {
    if (field.required) {
      report.add(section.place, path,
                 field.example.empty()
                     ? fmt::format("is missing; add it ({})", field.type->name())
                     : fmt::format("is missing; add it, such as `{}: {}`", field.key, field.example));
    }
    return !field.required;
  }
  void* member = const_cast<void*>(field.member(object));
  if (!field.type->load(*value, path, member, report) ||
      !within_limits(field, *value, path, member, report)) {
    return false;
  }
  for (const auto& check : field.checks) {
    if (const Result<void> checked = check(member); !checked) {
      report.add(value->place, path, checked.error().message());
      return false;
    }
  }
  return true;
}

std::string limits_words(const Field& field) {
  const auto show = [&](double bound) { return field.type->show_magnitude(bound); };
  if (field.limits.min && field.limits.max) {
    return fmt::format(", {} to {}", show(*field.limits.min), show(*field.limits.max));
  }
  if (field.limits.min) {
    return fmt::format(", at least {}", show(*field.limits.min));
  }
  return field.limits.max ? fmt::format(", at most {}", show(*field.limits.max)) : std::string();
}

const void* member_of(const Field& field, const void* object) {
  return object == nullptr ? nullptr : field.member(object);
}

// A section's own defaults give way to those of the section that it stands in.
std::string default_json(const Field& field, const void* defaults) {
  if (field.required || field.secret) {
    return {};
  }
  return defaults == nullptr ? field.default_json : field.type->show(member_of(field, defaults));
}

// Text for a cell of a Markdown table.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    out += c == '|' ? "\\|" : std::string(1, c);
  }
  return out;
}

void append_rows(std::string& out, const Table& table, const std::string& parent, const void* defaults) {
  for (const Field& field : table.fields) {
    const std::string key = join_path(parent, field.key);
    const std::string with_suffix = key + field.type->path_suffix();
    const Table* inside = field.type->table();
    if (inside != nullptr) {
      out += fmt::format("| **`{}`** | {}{} | {} | {} |\n", with_suffix, field.type->name(),
                         limits_words(field), field.required ? "required" : "", cell(field.meaning));
      append_rows(out, *inside, with_suffix,
                  field.type->empty_when_absent() ? member_of(field, defaults) : nullptr);
      continue;
    }
    std::string shown = default_json(field, defaults);
    if (shown.size() >= 2 && shown.front() == '"') {
      shown = shown.substr(1, shown.size() - 2);
    }
    out += fmt::format("| `{}`{} | {}{} | {} | {}{} |\n", key,
                       field.secret ? fmt::format(" or `{}{}`", key, kFileSuffix) : "",
                       cell(field.type->name()), limits_words(field),
                       field.required  ? "required"
                       : shown.empty() ? ""
                                       : fmt::format("`{}`", cell(shown)),
                       cell(field.meaning),
                       field.example.empty() ? "" : fmt::format(" (example: `{}`)", cell(field.example)));
  }
}

// "include[2]" below a section: that item, else the list, else nullptr.
const Value* find_part(const Value& section, std::string_view name) {
  const std::size_t bracket = name.find('[');
  const Value* found = section.find(name.substr(0, bracket));
  if (found == nullptr || bracket == std::string_view::npos) {
    return found;
  }
  std::size_t item = 0;
  const std::string_view digits = name.substr(bracket + 1);
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), item);
  return read.ec == std::errc() && item < found->items.size() ? &found->items[item] : found;
}

// The deepest part of the text on the way to `key`. Keys of maps hold dots themselves, as librdkafka's do.
const Value& nearest_part(const Value& section, std::string_view key) {
  const Value* nearest = &section;
  while (!key.empty()) {
    if (const Value* whole = nearest->find(key)) {
      return *whole;
    }
    const std::size_t dot = key.find('.');
    const Value* next = find_part(*nearest, key.substr(0, dot));
    if (next == nullptr) {
      break;
    }
    nearest = next;
    key = dot == std::string_view::npos ? std::string_view() : key.substr(dot + 1);
  }
  return *nearest;
}

}  // namespace

void Errors::add(std::string_view key, std::string_view sentence) {
  const std::string path = key.empty() ? path_ : join_path(path_, key);
  if (report_.covers(path)) {
    return;
  }
  report_.add(nearest_part(value_, key).place, path, sentence);
}

bool StructType::load(const Value& value, const std::string& path, void* out, Report& report) const {
  if (!expect_map(value, path, report)) {
    return false;
  }
  bool ok = true;
  const std::vector<std::string> known = known_keys(table_);
  for (const Value::Entry& entry : value.entries) {
    if (std::ranges::find(known, entry.key) == known.end()) {
      report.add(entry.place, join_path(path, entry.key), unknown_key_sentence(entry.key, known));
      ok = false;
    }
  }
  for (const Field& field : table_.fields) {
    ok = load_field(field, value, path, out, report) && ok;
  }
  if (table_.validate) {
    const std::size_t before = report.size();
    Errors errors(value, path, report);
    table_.validate(out, errors);
    ok = ok && report.size() == before;
  }
  return ok;
}

void StructType::append_json_schema(std::string& out, const Limits&, const void* defaults) const {
  out += R"("type":"object","additionalProperties":false,"properties":{)";
  std::string required;
  bool first = true;
  for (const Field& field : table_.fields) {
    out += first ? "" : ",";
    first = false;
    append_json_string(out, field.key);
    out += ":{\"description\":";
    append_json_string(out, field.meaning);
    out += ',';
    field.type->append_json_schema(out, field.limits, member_of(field, defaults));
    if (const std::string shown = default_json(field, defaults); !shown.empty()) {
      out += ",\"default\":" + shown;
    }
    out += '}';
    if (field.secret) {
      out += ',';
      append_json_string(out, field.key + std::string(kFileSuffix));
      out += R"(:{"description":"File that holds )" + field.key + R"(","type":"string"})";
    } else if (field.required) {
      required += required.empty() ? "" : ",";
      append_json_string(required, field.key);
    }
  }
  out += '}';
  if (!required.empty()) {
    out += ",\"required\":[" + required + "]";
  }
}

Result<void> load_into(const Table& table, const std::string& text, const std::string& name,
                       const Environment& environment, void* out) {
  Report report(name);
  const Value value = parse_yaml(text, environment, report);
  (void)StructType(table).load(value, "", out, report);
  if (!report.empty()) {
    return fail(report.error());
  }
  return {};
}

std::string json_schema_of(const Table& table, const std::string& title, const void* defaults) {
  std::string out = R"({"$schema":"https://json-schema.org/draft/2020-12/schema","title":)";
  append_json_string(out, title);
  out += ',';
  StructType(table).append_json_schema(out, {}, defaults);
  return out + "}\n";
}

std::string reference_markdown_of(const Table& table, const void* defaults) {
  std::string out = "| key | value | default | meaning |\n|---|---|---|---|\n";
  append_rows(out, table, "", defaults);
  return out;
}

}  // namespace naru::config
