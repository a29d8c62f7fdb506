#include "pool.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

#include "ftz.hpp"

namespace recurra {
namespace {

void relax() {
#if defined(__SSE__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

int affinity() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

int whole(double quota, double period) {
  return quota > 0 && period > 0 ? std::max(1, static_cast<int>(std::ceil(quota / period - 1e-9))) : 1 << 20;
}

int quota_in(const std::string& folder) {  // cgroup version 2, then version 1
  std::ifstream two(folder + "/cpu.max");
  std::string first;
  double quota = 0, period = 0;
  if (two >> first >> period) return first == "max" ? 1 << 20 : whole(std::atof(first.c_str()), period);
  std::ifstream one(folder + "/cpu.cfs_quota_us"), every(folder + "/cpu.cfs_period_us");
  if (one >> quota && every >> period) return whole(quota, period);
  return 1 << 20;
}

int cgroup_quota() {
  int least = std::min({quota_in("/sys/fs/cgroup"), quota_in("/sys/fs/cgroup/cpu")});
  std::ifstream own("/proc/self/cgroup");
  for (std::string line; std::getline(own, line);) {
    const size_t at = line.rfind(':');
    if (at == std::string::npos) continue;
    for (std::string path = line.substr(at + 1); path.size() > 1; path = path.substr(0, path.rfind('/')))
      least = std::min({least, quota_in("/sys/fs/cgroup" + path), quota_in("/sys/fs/cgroup/cpu" + path)});
  }
  return least;
}

int from_environment(const char* name) {
  const char* text = std::getenv(name);
  return text ? std::max(0, std::atoi(text)) : 0;
}

std::atomic<int> wanted_threads{0};
thread_local bool inside = false;

struct Pool {
  // One job at a time. `ticket` holds the job's number (24 bits), how many parts it has and the next one that
  // nobody took (20 bits each), so a late worker can never claim a part of a job that it did not see begin.
  std::mutex busy;
  std::atomic<uint64_t> ticket{0};
  std::atomic<int> done{0}, limit{0}, sleepers{0};
  std::atomic<Body> body{nullptr};
  std::atomic<void*> context{nullptr};
  std::mutex nap;
  std::condition_variable wake;
  int started = 0;
  bool spin = true;

  static constexpr int spins = 4000;
  static constexpr int most_parts = (1 << 20) - 1;

  static uint32_t job_of(uint64_t t) { return static_cast<uint32_t>(t >> 40); }
  static int parts_of(uint64_t t) { return static_cast<int>(t >> 20 & most_parts); }
  static int next_of(uint64_t t) { return static_cast<int>(t & most_parts); }

  void work_on(uint32_t job) {
    for (;;) {
      uint64_t t = ticket.load(std::memory_order_acquire);
      const int part = next_of(t);
      Body f = body.load(std::memory_order_acquire);
      void* with = context.load(std::memory_order_acquire);
      if (job_of(t) != job || part >= parts_of(t)) return;
      if (!ticket.compare_exchange_weak(t, t + 1, std::memory_order_acq_rel)) continue;
      f(with, part);
      done.fetch_add(1, std::memory_order_acq_rel);
    }
  }

  void worker(int index) {
    inside = true;
    FlushSubnormals flush;
    uint32_t seen = 0;
    for (;;) {
      const uint32_t job = await(seen);
      seen = job;
      if (index < limit.load(std::memory_order_acquire)) work_on(job);
    }
  }

  uint32_t await(uint32_t seen) {
    for (int i = 0; spin && i < spins; ++i) {
      const uint32_t job = job_of(ticket.load(std::memory_order_acquire));
      if (job != seen) return job;
      relax();
    }
    std::unique_lock<std::mutex> lock(nap);
    sleepers.fetch_add(1);
    wake.wait(lock, [&] { return job_of(ticket.load()) != seen; });
    sleepers.fetch_sub(1);
    return job_of(ticket.load());
  }

  void start(int n) {  // workers 1 .. n-1; the caller is thread 0
    if (n > affinity()) spin = false;
    for (; started < n - 1; ++started) {
      const int index = started + 1;
      try {
        std::thread([this, index] { worker(index); }).detach();
      } catch (const std::system_error&) {
        return;  // no more threads to be had: those that run do the work
      }
    }
  }

  int ready() {  // threads that will work, the caller among them
    start(threads());
    return std::min(threads(), started + 1);
  }

  void run(int n, Body f, void* with) {
    const int workers = threads();
    start(workers);
    const uint32_t job = (job_of(ticket.load()) + 1) & 0xFFFFFFu;
    done.store(0);  // all parts of the job before are taken and done, so nobody reads what changes here
    body.store(f);
    context.store(with);
    limit.store(workers);
    ticket.store(static_cast<uint64_t>(job) << 40 | static_cast<uint64_t>(n) << 20);
    if (sleepers.load() > 0) {
      { std::lock_guard<std::mutex> lock(nap); }
      wake.notify_all();
    }
    work_on(job);
    for (int i = 0; done.load(std::memory_order_acquire) < n; ++i) {
      relax();
      if (i > spins) sched_yield();
    }
  }
};

std::atomic<Pool*> pool{nullptr};

void in_child() { pool.store(nullptr); }  // the parent's workers do not exist here: begin anew, leave the old one

Pool& the_pool() {
  static const int registered = pthread_atfork(nullptr, nullptr, in_child);
  (void)registered;
  Pool* it = pool.load();
  if (it) return *it;
  Pool* fresh = new Pool;
  if (pool.compare_exchange_strong(it, fresh)) return *fresh;
  delete fresh;
  return *it;
}

void alone(int parts, Body body, void* context) {
  const bool before = inside;
  FlushSubnormals flush;
  inside = true;
  for (int part = 0; part < parts; ++part) body(context, part);
  inside = before;
}

}  // namespace

int default_threads() {
  if (const int own = from_environment("RECURRA_NUM_THREADS")) return own;
  if (const int shared = from_environment("OMP_NUM_THREADS")) return shared;
  return std::max(1, std::min(affinity(), cgroup_quota()));
}

int threads() {
  int n = wanted_threads.load(std::memory_order_relaxed);
  if (n == 0) {
    int none = 0;
    wanted_threads.compare_exchange_strong(none, std::min(default_threads(), 1024));
    n = wanted_threads.load();
  }
  return n;
}

void set_threads(int n) { wanted_threads.store(std::min(std::max(1, n), 1024)); }

namespace {

// Calls f(pool) where the caller may use it, and answers whether it could.
template <class F> bool with_pool(const F& f) {
  if (inside || threads() == 1) return false;
  Pool& it = the_pool();
  std::unique_lock<std::mutex> lock(it.busy, std::try_to_lock);
  if (!lock.owns_lock()) return false;
  FlushSubnormals flush;
  inside = true;
  f(it);
  inside = false;
  return true;
}

}  // namespace

void run_parts(int parts, Body body, void* context) {
  if (parts <= 1 || parts > Pool::most_parts || !with_pool([&](Pool& it) { it.run(parts, body, context); }))
    alone(parts, body, context);
}

void Meeting::wait() {
  const unsigned before = times_.load(std::memory_order_acquire);
  if (here_.fetch_add(1, std::memory_order_acq_rel) + 1 == members_) {
    here_.store(0, std::memory_order_relaxed);
    times_.fetch_add(1, std::memory_order_release);
    return;
  }
  for (int i = 0; times_.load(std::memory_order_acquire) == before; ++i) {
    relax();
    if (i > Pool::spins) sched_yield();
  }
}

// A member that waits holds its thread, so no thread can take a second part before all members are there.
void run_team(int most, const Team& team, void* context) {
  struct Call {
    const Team& team;
    void* context;
    Meeting meeting;
  };
  const Body body = [](void* with, int part) {
    Call& call = *static_cast<Call*>(with);
    call.team.body(call.context, part, call.meeting);
  };
  const auto run = [&](int members, const auto& start) {
    Call call{team, context, Meeting(members)};
    team.make(context, members);
    start(&call);
  };
  const bool done = most > 1 && with_pool([&](Pool& it) {
    const int members = std::min(most, it.ready());
    run(members, [&](Call* call) { it.run(members, body, call); });
  });
  if (!done) run(1, [&](Call* call) { alone(1, body, call); });
}

}  // namespace recurra
