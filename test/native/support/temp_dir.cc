#include "support/temp_dir.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace everyonce::test {
namespace {

namespace fs = std::filesystem;

void Require(bool done, const std::string& what) {
  if (done) return;
  std::fprintf(stderr, "test support: can't %s\n", what.c_str());
  std::abort();
}

}  // namespace

TempDir::TempDir(Place place) {
  constexpr char kMemoryFolder[] = "/dev/shm";
  std::error_code error;
  const bool in_memory = place == Place::kMemory && ::access(kMemoryFolder, W_OK) == 0;
  path_ = ((in_memory ? fs::path(kMemoryFolder) : fs::temp_directory_path(error)) / "everyonce-test-XXXXXX").string();
  Require(!error && mkdtemp(path_.data()) != nullptr, "create " + path_);
}

TempDir::~TempDir() { RemoveDirectory(path_); }

void CopyDirectory(const std::string& from, const std::string& to) {
  std::error_code error;
  fs::copy(from, to, fs::copy_options::recursive, error);
  Require(!error, "copy " + from + " to " + to + ": " + error.message());
}

void RemoveDirectory(const std::string& dir) {
  std::error_code error;
  fs::remove_all(dir, error);
  Require(!error, "remove " + dir + ": " + error.message());
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  Require(in.good(), "read " + path);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void WriteFile(const std::string& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  Require(out.good(), "write " + path);
}

std::vector<std::string> FilesEndingWith(const std::string& dir, std::string_view suffix) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(dir, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.ends_with(suffix)) names.push_back(name);
  }
  Require(!error, "list " + dir + ": " + error.message());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace everyonce::test
