// Our own small thread pool: no OpenMP, safe after fork, called by several Python threads at once.
//
// run(parts, body) calls body(0), ..., body(parts-1), each once, on the caller and the workers, and returns when
// all are done. A part runs with subnormals flushed. Where the pool is at work for another caller, or the call
// comes from inside a part, the caller does all parts alone: the answer is the same, since no sum is ever
// divided between parts. Workers spin shortly after a job, then sleep. A forked child starts workers of its own.
#pragma once

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

}  // namespace recurra
