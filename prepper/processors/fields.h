// Processors that change single fields: set, remove, keep, rename, copy, move, convert, case, split, join,
// truncate.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "prepper/processors/builder.h"
#include "prepper/processors/convert.h"
#include "prepper/processors/processor.h"

namespace naru::prepper {

struct SetOptions {
  std::string field;
  std::optional<std::string> value;
  std::optional<std::string> expression;
  std::optional<std::string> format;
  std::optional<Conversion> type;
  bool overwrite = true;
};
struct RemoveOptions {
  std::vector<std::string> fields;
};
struct KeepOptions {
  std::vector<std::string> attributes;
};
struct MoveOptions {  // rename, copy and move
  std::string from;
  std::string to;
  bool overwrite = true;
  bool ignore_missing = true;
};
struct CopyOptions : MoveOptions {};
struct RenameOptions : MoveOptions {};
struct ConvertOptions {
  std::vector<std::string> fields;
  Conversion type = Conversion::kText;
  bool ignore_missing = true;
};
enum class Case : std::uint8_t { kUpper, kLower };
struct CaseOptions {
  std::vector<std::string> fields;
  Case to = Case::kLower;
};
struct SplitOptions {
  std::string field;
  std::string separator = ",";
  bool trim = true;
  std::uint32_t items_max = 256;
};
struct JoinOptions {
  std::string field;
  std::string separator = ",";
};
struct TruncateOptions {
  std::vector<std::string> fields;
  std::uint64_t bytes_max = 1024;
};
struct SeverityOptions {
  std::string field;
};
void describe(config::Schema<SetOptions>& s);
void describe(config::Schema<RemoveOptions>& s);
void describe(config::Schema<KeepOptions>& s);
void describe(config::Schema<MoveOptions>& s);
void describe(config::Schema<CopyOptions>& s);
void describe(config::Schema<RenameOptions>& s);
void describe(config::Schema<ConvertOptions>& s);
void describe(config::Schema<CaseOptions>& s);
void describe(config::Schema<SplitOptions>& s);
void describe(config::Schema<JoinOptions>& s);
void describe(config::Schema<TruncateOptions>& s);
void describe(config::Schema<SeverityOptions>& s);

std::unique_ptr<Processor> build(const SetOptions& options, Builder& builder);
std::unique_ptr<Processor> build(const RemoveOptions& options, Builder& builder);
std::unique_ptr<Processor> build(const KeepOptions& options, Builder& builder);
std::unique_ptr<Processor> build(const MoveOptions& options, Builder& builder);
std::unique_ptr<Processor> build(const CopyOptions& options, Builder& builder);
std::unique_ptr<Processor> build(const RenameOptions& options, Builder& builder);
std::unique_ptr<Processor> build(const ConvertOptions& options, Builder& builder);
std::unique_ptr<Processor> build(const CaseOptions& options, Builder& builder);
std::unique_ptr<Processor> build(const SplitOptions& options, Builder& builder);
std::unique_ptr<Processor> build(const JoinOptions& options, Builder& builder);
std::unique_ptr<Processor> build(const TruncateOptions& options, Builder& builder);
std::unique_ptr<Processor> build(const SeverityOptions& options, Builder& builder);

}  // namespace naru::prepper
