#include "redis/redis_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace everyonce::test {

int FreePort() {
  // Below the ports that systems give out by themselves: a client that calls again and again at one of those, where
  // nobody listens, may in the end be connected to itself. A cluster's bus listens 10000 above. Each of the processes
  // among which the tests are divided (scripts/lib/suites.mjs: two) has its own range: between here and the server's
  // start another could take the port.
  const char* shard = getenv("GTEST_SHARD_INDEX");
  static int next = 14000 + (shard == nullptr ? 0 : atoi(shard)) * 4000 + static_cast<int>(getpid() % 350) * 10;
  for (;;) {
    const int port = next++;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    close(fd);
    if (bound) return port;
  }
}

RedisServer::RedisServer(std::vector<std::string> arguments)
    : arguments_(std::move(arguments)), dir_(TempDir::Place::kMemory), port_(FreePort()) {
  Start();
}

RedisServer::~RedisServer() { Kill(); }

RedisAddress RedisServer::address() const {
  RedisAddress address;
  address.port = static_cast<uint16_t>(port_);
  return address;
}

void RedisServer::Start() {
  std::vector<std::string> command = {"redis-server",
                                      "--port",
                                      std::to_string(port_),
                                      "--bind",
                                      "127.0.0.1",
                                      "--save",
                                      "",
                                      "--dir",
                                      dir_.path(),
                                      "--logfile",
                                      dir_ / "log",
                                      "--repl-diskless-sync-delay",
                                      "0"};
  command.insert(command.end(), arguments_.begin(), arguments_.end());
  std::vector<char*> arguments;
  for (std::string& one : command) arguments.push_back(one.data());
  arguments.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    execvp("redis-server", arguments.data());
    _exit(127);
  }
  // Until it answers, whatever it says (a password may be wanted).
  Loop loop;
  RedisConnectionOptions options;
  options.address = address();
  options.reconnect_min_ms = 5;
  options.reconnect_max_ms = 10;
  const auto connection = RedisConnection::Open(loop.get(), options);
  bool up = false;
  connection->Command({"PING"}, {.timeout_ms = 10000, .idempotent = true}, [&](RedisResult result) {
    up = result.status.ok() || result.status.code == RedisCode::kAuth;
    if (!up) ADD_FAILURE() << "redis-server: " << result.status.message;
  });
  loop.RunUntil([&] { return up; });
  connection->Close();
}

void RedisServer::Signal(int signal) const {
  if (pid_ > 0) kill(pid_, signal);
}

void RedisServer::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

bool Loop::RunUntil(const std::function<bool()>& done) {
  uv_timer_t limit;
  bool late = false;
  limit.data = &late;
  uv_timer_init(&loop_, &limit);
  uv_timer_start(
      &limit, [](uv_timer_t* timer) { *static_cast<bool*>(timer->data) = true; }, 10000, 0);
  while (!done() && !late) uv_run(&loop_, UV_RUN_ONCE);
  bool closed = false;
  limit.data = &closed;
  uv_close(reinterpret_cast<uv_handle_t*>(&limit),
           [](uv_handle_t* handle) { *static_cast<bool*>(handle->data) = true; });
  while (!closed) uv_run(&loop_, UV_RUN_ONCE);
  if (late && !done()) ADD_FAILURE() << "not within ten seconds";
  return done();
}

RedisReply Ask(const RedisAddress& address, const std::vector<std::string>& arguments) {
  Loop loop;
  RedisConnectionOptions options;
  options.address = address;
  const auto connection = RedisConnection::Open(loop.get(), options);
  bool answered = false;
  RedisReply reply;
  connection->Command(arguments, {.timeout_ms = 5000, .idempotent = true}, [&](RedisResult result) {
    answered = true;
    reply = std::move(result.reply);
    if (reply.type == RedisReply::Type::kNil) reply.text = result.status.message;
  });
  loop.RunUntil([&] { return answered; });
  connection->Close();
  return reply;
}

RedisCluster::RedisCluster(size_t masters) {
  for (size_t i = 0; i < masters; ++i) {
    nodes_.push_back(std::make_unique<RedisServer>(std::vector<std::string>{
        "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-config-file", "nodes.conf"}));
  }
  for (size_t i = 0; i < masters; ++i) {
    const size_t first = kRedisSlots * i / masters;
    const size_t last = kRedisSlots * (i + 1) / masters - 1;
    EXPECT_EQ(Ask(node(i).address(), {"CLUSTER", "ADDSLOTSRANGE", std::to_string(first), std::to_string(last)}).text,
              "OK");
    EXPECT_EQ(Ask(node(i).address(), {"CLUSTER", "SET-CONFIG-EPOCH", std::to_string(i + 1)}).text, "OK");
    if (i > 0) {
      EXPECT_EQ(Ask(node(0).address(), {"CLUSTER", "MEET", "127.0.0.1", std::to_string(node(i).port())}).text, "OK");
    }
  }
  // Until each node says that all slots are served: a question each, as fast as they answer.
  for (size_t i = 0; i < masters; ++i) {
    for (int tries = 0; tries < 20000; ++tries) {
      if (Ask(node(i).address(), {"CLUSTER", "INFO"}).text.find("cluster_state:ok") != std::string::npos) break;
    }
  }
}

std::vector<RedisAddress> RedisCluster::seeds() const {
  std::vector<RedisAddress> seeds;
  for (const auto& node : nodes_) seeds.push_back(node->address());
  return seeds;
}

}  // namespace everyonce::test
