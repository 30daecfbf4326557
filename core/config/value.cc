#include "core/config/value.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <sstream>
#include <utility>
#include <vector>

namespace naru::config {
namespace {

bool is_name(std::string_view text) {
  if (text.empty() || (text.front() >= '0' && text.front() <= '9')) {
    return false;
  }
  return std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// The text with its ${...} replaced; the error is one sentence.
Result<std::string> interpolate(std::string_view text, const Environment& environment) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t open = text.find("${", at);
    if (open == std::string_view::npos) {
      out.append(text.substr(at));
      break;
    }
    if (open > at && text[open - 1] == '$') {
      out.append(text.substr(at, open - 1 - at)).append("${");
      at = open + 2;
      continue;
    }
    out.append(text.substr(at, open - at));
    const std::size_t close = text.find('}', open);
    const std::string_view inside =
        close == std::string_view::npos ? std::string_view() : text.substr(open + 2, close - open - 2);
    const std::size_t dash = inside.find(":-");
    const std::string name(inside.substr(0, dash));
    if (!is_name(name)) {
      return fail(ErrorCode::kInvalidArgument,
                  "has a ${ that is no ${NAME} or ${NAME:-default}; write $${ for a literal ${");
    }
    std::optional<std::string> value = environment(name);
    if (dash != std::string_view::npos) {
      out += value && !value->empty() ? *value : std::string(inside.substr(dash + 2));
    } else if (value) {
      out += *value;
    } else {
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("the environment variable {0} is not set; set it, or write ${{{0}:-default}}", name));
    }
    at = close + 1;
  }
  return out;
}

class Converter {
 public:
  Converter(const Environment& environment, Report& report) : environment_(environment), report_(report) {}

  Value convert(const YAML::Node& node, const std::string& path) {
    Value value;
    value.place = place_of(node);
    if (++nodes_ > kNodesMax) {
      if (nodes_ == kNodesMax + 1) {
        report_.add(value.place, path,
                    fmt::format("the file has more than {} nodes; make it smaller", kNodesMax));
      }
      value.kind = Value::Kind::kBroken;
      return value;
    }
    // The parser bounds what is written, not what an alias makes of it: `&a [*a]` has no end.
    if (depth_ == kDepthMax) {
      if (!std::exchange(too_deep_, true)) {
        report_.add(
            value.place, path,
            fmt::format("is nested deeper than {}; an anchor must not hold its own alias", kDepthMax));
      }
      value.kind = Value::Kind::kBroken;
      return value;
    }
    ++depth_;
    switch (node.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null: break;
      case YAML::NodeType::Scalar: convert_scalar(node, path, value); break;
      case YAML::NodeType::Sequence:
        value.kind = Value::Kind::kList;
        for (const YAML::Node& item : node) {
          value.items.push_back(convert(item, fmt::format("{}[{}]", path, value.items.size())));
        }
        break;
      case YAML::NodeType::Map: convert_map(node, path, value); break;
    }
    --depth_;
    return value;
  }

 private:
  static Place place_of(const YAML::Node& node) {
    const YAML::Mark mark = node.Mark();
    return {std::max(mark.line, 0) + 1, std::max(mark.column, 0) + 1};
  }

  void convert_scalar(const YAML::Node& node, const std::string& path, Value& value) {
    Result<std::string> text = interpolate(node.Scalar(), environment_);
    if (!text) {
      report_.add(value.place, path, text.error().message());
      value.kind = Value::Kind::kBroken;
      return;
    }
    value.kind = Value::Kind::kScalar;
    value.text = std::move(*text);
  }

  void convert_map(const YAML::Node& node, const std::string& path, Value& value) {
    value.kind = Value::Kind::kMap;
    for (const auto& pair : node) {
      const Place place = place_of(pair.first);
      if (!pair.first.IsScalar()) {
        report_.add(place, path, "has a key that is no text; write a plain word before the colon");
        continue;
      }
      const std::string& key = pair.first.Scalar();
      const std::string child = join_path(path, key);
      const auto known = std::ranges::find(value.entries, key, &Value::Entry::key);
      if (known != value.entries.end()) {
        report_.add(place, child,
                    fmt::format("is given twice, first in line {}; remove one of them", known->place.line));
        continue;
      }
      value.entries.push_back({key, place, convert(pair.second, child)});
    }
  }

  const Environment& environment_;
  Report& report_;
  std::size_t nodes_ = 0, depth_ = 0;
  bool too_deep_ = false;  // said once: an alias in its own anchor is met at every end of the tree
};

}  // namespace

const Value* Value::find(std::string_view key) const {
  const auto found = std::ranges::find(entries, key, &Entry::key);
  return found == entries.end() ? nullptr : &found->value;
}

void Report::add(Place place, std::string_view path, std::string_view sentence) {
  if (errors_.size() == kErrorsMax) {
    ++left_out_;
    return;
  }
  errors_.push_back({place, std::string(path),
                     fmt::format("{}:{}:{}: {}{}{}", file_, place.line, place.column, path,
                                 path.empty() ? "" : ": ", sentence)});
}

bool Report::covers(std::string_view path) const {
  return std::ranges::any_of(errors_, [&](const Entry& entry) {
    return !entry.path.empty() && path.starts_with(entry.path) &&
           (path.size() == entry.path.size() || path[entry.path.size()] == '.' ||
            path[entry.path.size()] == '[');
  });
}

Error Report::error() const {
  std::vector<Entry> sorted = errors_;
  std::ranges::sort(sorted, [](const Entry& a, const Entry& b) {
    return std::tie(a.place.line, a.place.column, a.line) < std::tie(b.place.line, b.place.column, b.line);
  });
  std::string text;
  for (const Entry& entry : sorted) {
    text += text.empty() ? "" : "\n";
    text += entry.line;
  }
  if (left_out_ > 0) {
    text += fmt::format("\n{}: and {} more errors", file_, left_out_);
  }
  return Error(ErrorCode::kInvalidArgument, std::move(text));
}

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

namespace {

// Where the documents of a text begin.
class Documents final : public YAML::EventHandler {
 public:
  std::vector<YAML::Mark> begins;

  void OnDocumentStart(const YAML::Mark& mark) override { begins.push_back(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
  }
  void OnMapEnd() override {}
};

}  // namespace

Value parse_yaml(const std::string& text, const Environment& environment, Report& report) {
  try {
    // Not YAML::LoadAll: of some broken texts yaml-cpp 0.7 makes documents without an end.
    std::istringstream in(text);
    YAML::Parser parser(in);
    Documents documents;
    while (documents.begins.size() < 2 && parser.HandleNextDocument(documents)) {
    }
    if (documents.begins.empty()) {
      return {};
    }
    if (documents.begins.size() > 1) {
      const YAML::Mark mark = documents.begins[1];
      report.add({std::max(mark.line, 0) + 1, std::max(mark.column, 0) + 1}, "",
                 "a second YAML document begins here, or the text before this has no place in YAML; keep one "
                 "document in a file");
    }
    return Converter(environment, report).convert(YAML::Load(text), "");
  } catch (const YAML::Exception& e) {
    report.add({std::max(e.mark.line, 0) + 1, std::max(e.mark.column, 0) + 1}, "",
               fmt::format("this is no valid YAML: {}", e.msg));
  } catch (const std::exception& e) {
    report.add({}, "", fmt::format("this is no valid YAML: {}", e.what()));
  }
  Value broken;
  broken.kind = Value::Kind::kBroken;
  return broken;
}

std::string join_path(std::string_view parent, std::string_view key) {
  return parent.empty() ? std::string(key) : fmt::format("{}.{}", parent, key);
}

}  // namespace naru::config
