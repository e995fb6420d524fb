// What the native side uses of a processor to store messages in Redis: RedisLog as a server's engine thread drives it,
// and nothing above it. bench/redis-command.js starts the servers, and this:
//   everyonce_bench MESSAGES GROUP CONVERSATIONS CLUSTER(0|1) URL…
// Prints one line of JSON: {"messages", "cpuUs", "wallUs", "commands"}: user and system time of this process.

#include <sys/resource.h>
#include <uv.h>

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "redis/redis_log.h"
#include "redis/redis_url.h"

namespace everyonce {
namespace {

constexpr size_t kGroupsUnderWay = 4;

double CpuUs() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto us = [](const timeval& time) { return 1e6 * static_cast<double>(time.tv_sec) + time.tv_usec; };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

class Run {
 public:
  Run(RedisLog* log, size_t messages, size_t group, size_t conversations)
      : log_(log), messages_(messages), group_(group), conversations_(conversations), run_(std::random_device()()) {}

  // False: something was refused.
  bool Measure(uv_loop_t* loop, double* cpu_us, double* wall_us) {
    const double cpu_before = CpuUs();
    const auto before = std::chrono::steady_clock::now();
    for (size_t i = 0; i < kGroupsUnderWay; ++i) Next();
    while (done_ < messages_ && !failed_) uv_run(loop, UV_RUN_ONCE);
    *cpu_us = CpuUs() - cpu_before;
    *wall_us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - before).count();
    return !failed_;
  }

 private:
  void Next() {
    if (sent_ >= messages_ || failed_) return;
    auto group = std::make_shared<std::vector<Command>>();
    for (; group->size() < group_ && sent_ < messages_; ++sent_) {
      Command command;
      command.kind = CommandKind::kSend;
      command.conv = "dm:alice:bob" + std::to_string(sent_ % conversations_);
      command.user = "alice";
      command.device = "server";
      command.id = "bench-" + std::to_string(run_) + "-" + std::to_string(sent_);
      command.type = "text";
      command.body = R"({"text":")" + std::string(100, 'x') + R"("})";
      group->push_back(std::move(command));
    }
    const int64_t now_ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
    log_->Commit(*group, now_ms, [this, group](const std::vector<Outcome>& outcomes) {
      for (const Outcome& outcome : outcomes) {
        if (outcome.code == Code::kOk && outcome.seq > 0) continue;
        if (!failed_) std::fprintf(stderr, "refused: %s\n", outcome.message.c_str());
        failed_ = true;
      }
      done_ += outcomes.size();
      Next();
    });
  }

  RedisLog* log_;
  size_t messages_;
  size_t group_;
  size_t conversations_;
  uint32_t run_;
  size_t sent_ = 0;
  size_t done_ = 0;
  bool failed_ = false;
};

int Main(int count, char** arguments) {
  if (count < 6) {
    std::fprintf(stderr, "usage: everyonce_bench MESSAGES GROUP CONVERSATIONS CLUSTER URL...\n");
    return 2;
  }
  const auto number = [&](int i) { return static_cast<size_t>(std::strtoull(arguments[i], nullptr, 10)); };
  RedisClientOptions client;
  client.cluster = number(4) == 1;
  for (int i = 5; i < count; ++i) {
    RedisAddress address;
    if (!ParseRedisUrl(arguments[i], &address).ok()) return 2;
    client.seeds.push_back(std::move(address));
  }
  uv_loop_t loop;
  uv_loop_init(&loop);
  RedisLogOptions options;
  options.random = [source = std::make_shared<std::random_device>()] { return uint64_t{(*source)()}; };
  options.owner = "bench-" + std::to_string(options.random());
  auto log = std::make_unique<RedisLog>(&loop, std::move(client), std::move(options));
  bool opened = false;
  bool ready = false;
  log->Open([&](const RedisStatus& status, const ServerInfo&) {
    opened = true;
    ready = status.ok();
    if (!ready) std::fprintf(stderr, "%s\n", status.message.c_str());
  });
  while (!opened) uv_run(&loop, UV_RUN_ONCE);
  double cpu_us = 0;
  double wall_us = 0;
  // Connections, scripts and lists first.
  ready = ready && Run(log.get(), 20 * number(2), number(2), number(3)).Measure(&loop, &cpu_us, &wall_us);
  const uint64_t commands = log->client().counters().commands;
  ready = ready && Run(log.get(), number(1), number(2), number(3)).Measure(&loop, &cpu_us, &wall_us);
  if (ready) {
    std::printf(R"({"messages":%zu,"cpuUs":%.0f,"wallUs":%.0f,"commands":%)" PRIu64 "}\n", number(1), cpu_us, wall_us,
                log->client().counters().commands - commands);
  }
  log->Close();
  uv_run(&loop, UV_RUN_DEFAULT);
  log.reset();
  uv_loop_close(&loop);
  return ready ? 0 : 1;
}

}  // namespace
}  // namespace everyonce

int main(int count, char** arguments) { return everyonce::Main(count, arguments); }
