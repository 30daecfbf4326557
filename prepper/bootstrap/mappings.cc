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

Result<std::shared_ptr<const Contract>> compile(const std::string& text, const std::string& file_name,
                                                std::span<const Promoted> promoted) {
  if (const auto mapping = StrictMapping::parse(text); mapping && !mapping->forbidden().empty()) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("{}: {}", file_name, mapping->forbidden().front()));
  }
  auto contract = Contract::compile(text, {promoted.begin(), promoted.end()});
  if (!contract) {
    return fail(contract.error().with_context(file_name));
  }
  return std::move(*contract);
}

}  // namespace

Result<std::string> load_mapping_file(const std::string& directory, const std::string& file,
                                      std::span<const Promoted> promoted) {
  NARU_TRY(std::string text, read_mapping(directory, file));
  if (text.empty()) {
    return fail(ErrorCode::kNotFound,
                fmt::format("mapping '{}' of a data set is not in mappings_dir '{}'", file, directory));
  }
  NARU_TRY_VOID(compile(text, file, promoted));
  return text;
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
    NARU_TRY(auto contract, compile(text, name + ".json", out.promoted));
    out.contracts.emplace(file.signal, std::move(contract));
    out.templates.push_back({file.signal, name, std::move(text)});
  }
  return out;
}

}  // namespace naru::prepper
