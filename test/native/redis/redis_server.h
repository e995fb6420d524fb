#pragma once

#include <sys/types.h>
#include <uv.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "redis/redis_client.h"
#include "support/temp_dir.h"

namespace everyonce::test {

// A real redis-server in a directory of its own, on a port that was free. Killed and removed at the end.
class RedisServer {
 public:
  explicit RedisServer(std::vector<std::string> arguments = {});
  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  void Start();
  void Signal(int signal) const;
  void Kill();  // kill -9, and waits for its end; what it has on disk stays
  int port() const { return port_; }
  std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }
  RedisAddress address() const;

 private:
  std::vector<std::string> arguments_;
  TempDir dir_;
  int port_ = 0;
  pid_t pid_ = -1;
};

// Three masters that serve all slots, and nothing else.
class RedisCluster {
 public:
  explicit RedisCluster(size_t masters = 3);
  RedisServer& node(size_t index) { return *nodes_[index]; }
  size_t size() const { return nodes_.size(); }
  std::vector<RedisAddress> seeds() const;

 private:
  std::vector<std::unique_ptr<RedisServer>> nodes_;
};

// A port on which nobody listens (now).
int FreePort();

// A loop for one test, turned until something is so. Fails the test after ten seconds.
class Loop {
 public:
  Loop() { uv_loop_init(&loop_); }
  ~Loop() {
    uv_run(&loop_, UV_RUN_DEFAULT);
    uv_loop_close(&loop_);
  }
  uv_loop_t* get() { return &loop_; }
  bool RunUntil(const std::function<bool()>& done);

 private:
  uv_loop_t loop_;
};

// Asks a server with a connection of its own and waits for the answer.
RedisReply Ask(const RedisAddress& address, const std::vector<std::string>& arguments);

}  // namespace everyonce::test
