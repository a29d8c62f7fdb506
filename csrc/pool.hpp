// Our own small thread pool: no OpenMP, safe after fork, called by several Python threads at once.
//
// run(parts, body) calls body(0), ..., body(parts-1), each once, on the caller and the workers, and returns when
// all are done. A part runs with subnormals flushed. Where the pool is at work for another caller, or the call
// comes from inside a part, the caller does all parts alone: the answer is the same, since no sum is ever
// divided between parts. Workers spin shortly after a job, then sleep. A forked child starts workers of its own.
#pragma once

#include <atomic>

namespace recurra {

int threads();            // at most this many threads work at once
void set_threads(int n);  // n >= 1
int default_threads();    // RECURRA_NUM_THREADS, else OMP_NUM_THREADS, else affinity and cgroup quota

using Body = void (*)(void* context, int part);
void run_parts(int parts, Body body, void* context);

template <class F> void parallel(int parts, const F& f) {
  run_parts(parts, [](void* context, int part) { (*static_cast<const F*>(context))(part); },
            const_cast<void*>(static_cast<const void*>(&f)));
}

// Where the members of a team wait for each other.
class Meeting {
 public:
  explicit Meeting(int members) : members_(members) {}
  void wait();  // until all members have called it as often as this one

 private:
  const int members_;
  std::atomic<int> here_{0};
  std::atomic<unsigned> times_{0};
};

// Calls body(context, member, meeting) for every member of a team of at most `most`, all at the same time, so that
// they may wait for each other. Where the pool is at work, or the call comes from inside a part, the team is the
// caller alone. make(context, members) is called first, by the caller.
struct Team {
  void (*make)(void* context, int members);
  void (*body)(void* context, int member, Meeting& meeting);
};
void run_team(int most, const Team& team, void* context);

// make(members), then f(member, meeting) of each.
template <class Make, class F> void together(int most, const Make& make, const F& f) {
  struct Both {
    const Make& make;
    const F& f;
  } both{make, f};
  run_team(most, {[](void* c, int members) { static_cast<Both*>(c)->make(members); },
                  [](void* c, int member, Meeting& meeting) { static_cast<Both*>(c)->f(member, meeting); }}, &both);
}

}  // namespace recurra
