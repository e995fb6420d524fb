// A disk that fails to sync, for a process that is started with this library preloaded. While the file that
// EVERYONCE_SYNC_FAULT names is there, fsync and fdatasync of write-ahead logs (*.log) fail with EIO, and what was written since
// the last good one is taken back: a kernel that could not write a page marks it clean and may drop it ("fsyncgate"), so that
// nobody may count on it, whatever a later sync says.
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_FILES 256

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static struct {
  dev_t device;
  ino_t inode;
  off_t synced;
} files[MAX_FILES];
static int count = 0;

static int is_log(int file) {
  char link[64];
  char path[PATH_MAX];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
  const ssize_t size = readlink(link, path, sizeof(path));
  return size > 4 && memcmp(path + size - 4, ".log", 4) == 0;
}

static off_t *synced_of(const struct stat *about) {
  for (int i = 0; i < count; i++) {
    if (files[i].device == about->st_dev && files[i].inode == about->st_ino) return &files[i].synced;
  }
  if (count == MAX_FILES) return NULL;
  files[count].device = about->st_dev;
  files[count].inode = about->st_ino;
  files[count].synced = 0;
  return &files[count++].synced;
}

static int sync_with(long call, int file) {
  struct stat about;
  if (file < 0 || !is_log(file) || fstat(file, &about) != 0) return (int)syscall(call, file);
  const char *switch_path = getenv("EVERYONCE_SYNC_FAULT");
  pthread_mutex_lock(&guard);
  off_t *synced = synced_of(&about);
  int result;
  if (switch_path != NULL && access(switch_path, F_OK) == 0) {
    if (synced != NULL && about.st_size > *synced && ftruncate(file, *synced) != 0) abort();
    errno = EIO;
    result = -1;
  } else {
    result = (int)syscall(call, file);
    if (result == 0 && synced != NULL) *synced = about.st_size;
  }
  pthread_mutex_unlock(&guard);
  return result;
}

int fsync(int file) { return sync_with(SYS_fsync, file); }
int fdatasync(int file) { return sync_with(SYS_fdatasync, file); }
