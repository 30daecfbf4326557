#include "agent/tail/glob.h"

#include <dirent.h>
#include <fmt/format.h>
#include <fnmatch.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace naru::agent {
namespace {

bool has_wildcard(std::string_view name) {
  return name.find_first_of("*?[") != std::string_view::npos;
}

std::vector<std::string> split_path(std::string_view pattern) {
  std::vector<std::string> parts;
  while (!pattern.empty()) {
    const std::size_t slash = pattern.find('/');
    const std::string_view part = pattern.substr(0, slash);
    if (!part.empty()) {
      parts.emplace_back(part);
    }
    pattern = slash == std::string_view::npos ? std::string_view() : pattern.substr(slash + 1);
  }
  return parts;
}

// Itself, or what a link leads to.
bool is_directory(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

struct Entry {
  std::string name;
  bool directory = false;  // itself, not through a link
};

std::vector<Entry> entries_of(const std::string& directory) {
  std::vector<Entry> entries;
  DIR* handle = ::opendir(directory.empty() ? "/" : directory.c_str());
  if (handle == nullptr) {
    return entries;
  }
  while (const dirent* entry = ::readdir(handle)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") {
      continue;
    }
    bool directory_itself = entry->d_type == DT_DIR;
    if (entry->d_type == DT_UNKNOWN) {
      struct stat status{};
      directory_itself =
          ::lstat((directory + '/' + std::string(name)).c_str(), &status) == 0 && S_ISDIR(status.st_mode);
    }
    entries.push_back({std::string(name), directory_itself});
  }
  ::closedir(handle);
  std::ranges::sort(entries, {}, &Entry::name);
  return entries;
}

struct Walk {
  const std::vector<std::string>& parts;
  const std::function<void(const std::string&)>& directory;
  const std::function<void(const std::string&)>& file;

  void visit(const std::string& base, std::size_t index, std::size_t depth) const {
    const std::string& part = parts[index];
    const bool last = index + 1 == parts.size();
    if (!has_wildcard(part)) {
      if (last) {
        directory(base);
        file(base + '/' + part);
      } else {
        visit(base + '/' + part, index + 1, depth);
      }
      return;
    }
    directory(base);
    if (part == "**") {
      if (last) {
        visit_all(base, depth);
        return;
      }
      visit(base, index + 1, depth);
      if (depth < kGlobDepthMax) {
        for (const Entry& entry : entries_of(base)) {
          if (entry.directory) {
            visit(base + '/' + entry.name, index, depth + 1);
          }
        }
      }
      return;
    }
    for (const Entry& entry : entries_of(base)) {
      if (::fnmatch(part.c_str(), entry.name.c_str(), FNM_PERIOD) != 0) {
        continue;
      }
      if (!last) {
        if (entry.directory || is_directory(base + '/' + entry.name)) {
          visit(base + '/' + entry.name, index + 1, depth + 1);
        }
      } else if (!entry.directory) {
        file(base + '/' + entry.name);
      }
    }
  }

  void visit_all(const std::string& base, std::size_t depth) const {
    directory(base);
    for (const Entry& entry : entries_of(base)) {
      if (!entry.directory) {
        file(base + '/' + entry.name);
      } else if (depth < kGlobDepthMax) {
        visit_all(base + '/' + entry.name, depth + 1);
      }
    }
  }
};

}  // namespace

std::string fixed_directory(std::string_view pattern) {
  const std::vector<std::string> parts = split_path(pattern);
  std::string directory;
  for (std::size_t i = 0; i + 1 < parts.size() && !has_wildcard(parts[i]); ++i) {
    directory += '/' + parts[i];
  }
  return directory.empty() ? "/" : directory;
}

void expand(std::string_view pattern, const std::function<void(const std::string&)>& directory,
            const std::function<void(const std::string&)>& file) {
  const std::vector<std::string> parts = split_path(pattern);
  if (!parts.empty()) {
    Walk{parts, directory, file}.visit("", 0, 0);
  }
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

std::string name_of(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

std::string join_path(const std::string& directory, const std::string& name) {
  return directory == "/" ? "/" + name : directory + "/" + name;
}

Result<std::vector<std::string>> regular_files_in(const std::string& directory) {
  std::vector<std::string> names;
  DIR* handle = ::opendir(directory.c_str());
  if (handle == nullptr) {
    return fail(ErrorCode::kIo, fmt::format("cannot list {}: {}", directory, std::strerror(errno)));
  }
  while (const dirent* entry = ::readdir(handle)) {
    if (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN) {
      names.emplace_back(entry->d_name);
    }
    if (names.size() == kNeighboursMax) {
      break;
    }
  }
  ::closedir(handle);
  std::ranges::sort(names);
  return names;
}

std::optional<UnixNanos> changed_at(const std::string& directory) {
  struct stat status{};
  if (::stat(directory.c_str(), &status) != 0) {
    return std::nullopt;
  }
  return static_cast<UnixNanos>(status.st_mtim.tv_sec) * kNanosPerSecond +
         static_cast<UnixNanos>(status.st_mtim.tv_nsec);
}

bool excluded(const std::string& path, const std::vector<std::string>& patterns) {
  const std::string name = name_of(path);
  return std::ranges::any_of(patterns, [&](const std::string& pattern) {
    const bool whole = pattern.find('/') != std::string::npos;
    return ::fnmatch(pattern.c_str(), (whole ? path : name).c_str(), 0) == 0;
  });
}

}  // namespace naru::agent
