// Path patterns: *, ? and [] inside a name, ** for any number of directories. Reads directories, nothing
// else.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"

namespace naru::agent {

// Directories that one pattern visits at most this deep below its fixed part.
inline constexpr std::size_t kGlobDepthMax = 16;

// The longest directory of the pattern without a wildcard: "/var/log" of "/var/log/*/x.log".
std::string fixed_directory(std::string_view pattern);

// Calls `directory` for each directory whose entries can matter and `file` for each path that matches, in
// order of name. Symbolic links to files match; links to directories are followed only where the pattern
// names them or has a wildcard other than **. What cannot be read is passed over.
void expand(std::string_view pattern, const std::function<void(const std::string&)>& directory,
            const std::function<void(const std::string&)>& file);

// "/var/log" and "x.log" of "/var/log/x.log", and back.
std::string directory_of(const std::string& path);
std::string name_of(const std::string& path);
std::string join_path(const std::string& directory, const std::string& name);
// Names of the regular files in a directory, in order; at most kNeighboursMax. kIo.
inline constexpr std::size_t kNeighboursMax = 4'096;
Result<std::vector<std::string>> regular_files_in(const std::string& directory);
// When a name was last made, changed or removed in it, by the clock of its file system; nothing if it cannot
// be looked at.
std::optional<UnixNanos> changed_at(const std::string& directory);

// Whether one of `patterns` matches the path, or its last name when the pattern has no slash.
bool excluded(const std::string& path, const std::vector<std::string>& patterns);

}  // namespace naru::agent
