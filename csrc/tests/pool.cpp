// The pool alone: every part once, and teams whose members wait for each other.
#include <atomic>
#include <vector>

#include "../pool.hpp"
#include "checks.hpp"

namespace {

using namespace recurra;

void every_part_runs_once(Tally& tally) {
  for (int n : {1, 2, 5}) {
    set_threads(n);
    for (int round = 0; round < 300; ++round) {
      std::vector<int> hits(static_cast<size_t>(1 + round % 40), 0);
      parallel(static_cast<int>(hits.size()), [&](int part) { ++hits[static_cast<size_t>(part)]; });
      for (int each : hits)
        if (each != 1) return tally.expect(false, "every part runs once");
    }
  }
  tally.expect(true, "every part runs once");
}

void members_wait_for_each_other(Tally& tally) {
  for (int n : {1, 2, 3, 5}) {
    set_threads(n);
    std::vector<int> steps;
    std::atomic<int> early{0}, members{0};
    const auto make = [&](int count) { members = count, steps.assign(static_cast<size_t>(count), -1); };
    together(n, make, [&](int member, Meeting& meeting) {
      for (int t = 0; t < 500; ++t) {
        steps[static_cast<size_t>(member)] = t;
        meeting.wait();
        for (int each : steps) early += each != t;
        meeting.wait();
      }
    });
    tally.expect(members >= 1 && members <= n && early == 0, "members of a team wait for each other");
    for (int each : steps) tally.expect(each == 499, "every member of a team comes to its end");
  }
}

}  // namespace

void pool_tests(Tally& tally) { every_part_runs_once(tally), members_wait_for_each_other(tally); }
