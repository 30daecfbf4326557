#include "prepper/bootstrap/mappings.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "prepper/contract/strict_mapping.h"

namespace naru::prepper {
namespace {

struct TemplateFile {
  otlp::Signal signal;
  std::string_view name;
};
constexpr TemplateFile kTemplates[] = {{otlp::Signal::kLogs, "logs-otel-v1"},
                                       {otlp::Signal::kTraces, "otel-v1-apm-span"},
                                       {otlp::Signal::kMetrics, "metrics-otel-v1"}};

Result<std::string> read_mapping(const std::string& directory, const std::string& file_name) {
  const std::filesystem::path path = std::filesystem::path(directory) / file_name;
  std::error_code error;
  if (directory.empty() || !std::filesystem::exists(path, error)) {
    return std::string(embedded_mapping(file_name));
  }
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (!in.good() && !in.eof()) {
    return fail(ErrorCode::kIo, fmt::format("{} cannot be read", path.string()));
  }
  return text;
}

}  // namespace

std::string render_template(std::string_view text, const TemplateValues& values) {
  const auto value_of = [&](std::string_view name) -> std::string {
    if (name == "shards") {
      return std::to_string(values.shards);
    }
    if (name == "replicas") {
      return std::to_string(values.replicas);
    }
    if (name == "refresh_interval") {
      return values.refresh_interval;
    }
    return name == "hot_tier" && values.hot_tier ? "hot" : "";
  };
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    std::string line(text.substr(0, end));
    text.remove_prefix(end);
    bool keep = true;
    for (std::size_t open; (open = line.find("{{")) != std::string::npos;) {
      const std::size_t close = line.find("}}", open);
      if (close == std::string::npos) {
        break;
      }
      const std::string value = value_of(std::string_view(line).substr(open + 2, close - open - 2));
      keep = keep && !value.empty();
      line.replace(open, close + 2 - open, value);
    }
    if (keep) {
      out += line;
    }
  }
  return out;
}

Result<Mappings> load_mappings(const std::string& directory) {
  if (std::error_code error; !directory.empty() && !std::filesystem::is_directory(directory, error)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("mappings_dir '{}' is no directory; leave it empty for the built-in mappings",
                            directory));
  }
  Mappings out;
  NARU_TRY(const std::string registry, read_mapping(directory, "promoted.yaml"));
  NARU_TRY(out.promoted, parse_promoted(registry));
  for (const TemplateFile& file : kTemplates) {
    const std::string name(file.name);
    NARU_TRY(std::string text, read_mapping(directory, name + ".json"));
    const std::string rendered = render_template(text, {});
    if (const auto mapping = StrictMapping::parse(rendered); mapping && !mapping->forbidden().empty()) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("{}.json: {}", name, mapping->forbidden().front()));
    }
    auto contract = Contract::compile(rendered, out.promoted);
    if (!contract) {
      return fail(contract.error().with_context(name + ".json"));
    }
    out.contracts.emplace(file.signal, std::move(*contract));
    out.templates.push_back({file.signal, name, std::move(text)});
  }
  return out;
}

}  // namespace naru::prepper
