#include "log/store_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>

namespace everyonce {
namespace {

constexpr char kTemporaryName[] = "everyonce.store.new";
constexpr size_t kMaxStoreFileBytes = 4096;

// What an everyonce directory may hold before its store file exists, and what every file system root holds.
bool MayStandInEmptyDirectory(std::string_view name) {
  return name == "." || name == ".." || name == kLockFileName || name == kTemporaryName || name == "lost+found";
}

bool SyncDirectory(const std::string& dir) {
  const int file = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return false;
  const bool synced = ::fsync(file) == 0;
  const int error = errno;
  ::close(file);
  errno = error;
  return synced;
}

bool WriteWhole(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

// The foreign file or folder that makes `dir` somebody else's; empty where there is none.
Status FindForeignEntry(const std::string& dir, std::string* name) {
  DIR* listing = ::opendir(dir.c_str());
  if (listing == nullptr) return StoreUnwritable(dir, "can't read it", errno);
  while (const dirent* entry = ::readdir(listing)) {
    if (MayStandInEmptyDirectory(entry->d_name)) continue;
    *name = entry->d_name;
    break;
  }
  ::closedir(listing);
  return Status::Ok();
}

Status ParseStoreFile(const std::string& dir, std::string_view text, StoreFile* file) {
  unsigned format = 0;
  char state[16] = {};
  const std::string copy(text);  // for its final zero
  if (std::sscanf(copy.c_str(), "everyonce store\nformat %9u\nstate %15[a-z]\n", &format, state) < 1 || format == 0) {
    return Status::Error(Code::kStoreCorrupt,
                         dir + "/" + kStoreFileName + " is damaged; restore the data directory from a backup");
  }
  file->format = format;
  file->ready = std::strcmp(state, "new") != 0;  // in doubt ready: then nothing is created over what may be there
  file->restored = std::strcmp(state, "restored") == 0;
  return Status::Ok();
}

}  // namespace

Status StoreUnwritable(const std::string& dir, const std::string& what, int error) {
  return Status::Error(Code::kStoreUnwritable,
                       "the data directory " + dir + " can't be used: " + what + " (" + std::strerror(error) +
                           ", errno " + std::to_string(error) +
                           "); make it writable for this user or choose another data directory");
}

Status InspectDirectory(const std::string& dir, uint32_t format, DirectoryState* state, StoreFile* file) {
  *file = {};
  struct stat info = {};
  if (::stat(dir.c_str(), &info) != 0) {
    *state = DirectoryState::kMissing;
    return errno == ENOENT ? Status::Ok() : StoreUnwritable(dir, "can't find it", errno);
  }
  if (!S_ISDIR(info.st_mode)) return StoreUnwritable(dir, "it is a file", ENOTDIR);
  const std::string path = dir + "/" + kStoreFileName;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    if (errno != ENOENT) return StoreUnwritable(dir, "can't read " + path, errno);
    std::string foreign;
    if (Status status = FindForeignEntry(dir, &foreign); !status.ok()) return status;
    *state = DirectoryState::kEmpty;
    if (foreign.empty()) return Status::Ok();
    return Status::Error(Code::kStoreVersion, dir + " is not empty and holds no everyonce store (it has " + foreign +
                                                  "); choose an empty or a new data directory");
  }
  char text[kMaxStoreFileBytes];
  const ssize_t size = ::read(descriptor, text, sizeof(text));
  const int error = errno;
  ::close(descriptor);
  if (size < 0) return StoreUnwritable(dir, "can't read " + path, error);
  *state = DirectoryState::kStore;
  if (Status status = ParseStoreFile(dir, std::string_view(text, static_cast<size_t>(size)), file); !status.ok()) {
    return status;
  }
  if (file->format <= format) return Status::Ok();
  return Status::Error(Code::kStoreVersion, dir + " was written by a newer version (format " +
                                                std::to_string(file->format) + ", this build reads " +
                                                std::to_string(format) + "); upgrade everyonce");
}

Status CreateDirectory(const std::string& dir) {
  for (size_t end = dir.find('/', 1); true; end = dir.find('/', end + 1)) {
    const std::string part = dir.substr(0, end);
    if (::mkdir(part.c_str(), 0755) == 0) {
      const size_t slash = part.find_last_of('/');
      const std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : part.substr(0, slash);
      if (!SyncDirectory(parent)) return StoreUnwritable(dir, "can't sync " + parent, errno);
    } else if (errno != EEXIST) {
      const int error = errno;
      struct stat info = {};  // a parent may exist on a read-only file system
      if (::stat(part.c_str(), &info) != 0) return StoreUnwritable(dir, "can't create " + part, error);
    }
    if (end == std::string::npos) return Status::Ok();
  }
}

Status WriteStoreFile(const std::string& dir, const StoreFile& file) {
  const std::string temporary = dir + "/" + kTemporaryName;
  const std::string path = dir + "/" + kStoreFileName;
  const char* state = file.restored ? "restored" : file.ready ? "ready" : "new";
  const std::string text = "everyonce store\nformat " + std::to_string(file.format) + "\nstate " + state + "\n";
  const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) return StoreUnwritable(dir, "can't create " + temporary, errno);
  const bool written = WriteWhole(descriptor, text) && ::fsync(descriptor) == 0;
  const int error = errno;
  ::close(descriptor);
  if (!written) return StoreUnwritable(dir, "can't write " + temporary, error);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return StoreUnwritable(dir, "can't write " + path, errno);
  if (!SyncDirectory(dir)) return StoreUnwritable(dir, "can't sync it", errno);
  return Status::Ok();
}

}  // namespace everyonce
