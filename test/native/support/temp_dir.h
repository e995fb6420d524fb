#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace everyonce::test {

// A directory of its own for one test, removed with all in it at the end.
class TempDir {
 public:
  // kMemory: on a file system in memory where there is one, for tests that open stores by the hundred and do not judge
  // what reaches the disk.
  enum class Place { kDisk, kMemory };
  explicit TempDir(Place place = Place::kDisk);
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  // A path in it; nothing is created.
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// These end the test program, with a sentence, where the file system fails: no test can go on without.
void CopyDirectory(const std::string& from, const std::string& to);
void RemoveDirectory(const std::string& dir);
std::string ReadFile(const std::string& path);
void WriteFile(const std::string& path, std::string_view bytes);
// Names in `dir` that end with `suffix`, sorted.
std::vector<std::string> FilesEndingWith(const std::string& dir, std::string_view suffix);

}  // namespace everyonce::test
