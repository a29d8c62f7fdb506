#include "../crf.hpp"

#include <utility>
#include <vector>

#include "../lanes.hpp"
#include "../logs.hpp"
#include "../math.hpp"

namespace recurra {
namespace RECURRA_ISA {
namespace {

constexpr int64_t block = 256;
constexpr real infinity = static_cast<real>(__builtin_inff());

// log of the sum over i of exp(before[i] + pairs[i][j]), for the n lanes that begin at j.
RECURRA_INLINE vec joined(const real* before, const real* pairs, int64_t labels, int64_t j, int n) {
  const vec low = set1(-infinity);
  vec top = low;
  for (int64_t i = 0; i < labels; ++i) {
    const vec now = add(set1(before[i]), load_n(pairs + i * labels + j, n));
    top = select(lt(top, now), now, top);
  }
  const vec base = select(eq(top, low), set1(real(0)), top);
  vec total = set1(real(0));
  for (int64_t i = 0; i < labels; ++i)
    total = add(total, exp(sub(add(set1(before[i]), load_n(pairs + i * labels + j, n)), base)));
  return add(log(total), base);
}

// The sum over j of exp(a[j] + b[j]): its largest term (0 where there is none), and the log of the rest.
void together(const real* a, const real* b, int64_t labels, real* out) {
  real top = -infinity, total = 0;
  for (int64_t j = 0; j < labels; ++j)
    if (a[j] + b[j] > top) top = a[j] + b[j];
  const real base = top == -infinity ? real(0) : top;
  for (int64_t j = 0; j < labels; ++j) total = total + exp_of(a[j] + b[j] - base);
  out[0] = base, out[1] = log_of(total);
}

void forward(const Chain<real>& c, real* alpha, real* total, int64_t from, int64_t to) {
  const int64_t L = c.labels;
  for (int64_t s = from; s < to; ++s) {
    const int64_t begin = c.offsets[s], end = c.offsets[s + 1];
    total[s] = 0;
    for (int64_t t = begin; t < end; ++t) {
      const real* now = c.emissions + t * L;
      over(L, [&](int64_t j, int n) {
        const vec before = t == begin ? load_n(c.start + j, n) : joined(alpha + (t - 1) * L, c.transitions, L, j, n);
        store_n(alpha + t * L + j, add(load_n(now + j, n), before), n);
      });
    }
    if (begin == end) continue;
    real whole[2];
    together(alpha + (end - 1) * L, c.end, L, whole);
    total[s] = whole[1] + whole[0];
  }
}

void backward(const Chain<real>& c, real* beta, int64_t from, int64_t to) {
  const int64_t L = c.labels;
  std::vector<real> after(static_cast<size_t>(L));
  for (int64_t s = from; s < to; ++s)
    for (int64_t t = c.offsets[s + 1] - 1; t >= c.offsets[s]; --t) {
      if (t == c.offsets[s + 1] - 1) {
        for (int64_t j = 0; j < L; ++j) beta[t * L + j] = c.end[j];
        continue;
      }
      for (int64_t j = 0; j < L; ++j) after[size_t(j)] = c.emissions[(t + 1) * L + j] + beta[(t + 1) * L + j];
      over(L, [&](int64_t i, int n) { store_n(beta + t * L + i, joined(after.data(), c.turned, L, i, n), n); });
    }
}

void levels(const Chain<real>& c, const real* alpha, const real* beta, real* level, int64_t from, int64_t to) {
  for (int64_t t = c.offsets[from]; t < c.offsets[to]; ++t)
    together(alpha + t * c.labels, beta + t * c.labels, c.labels, level + 2 * t);
}

struct Level {
  vec top, rest;
  Level(const real* level, int64_t t) : top(set1(level[2 * t])), rest(set1(level[2 * t + 1])) {}
  vec share(vec score) const { return exp(sub(sub(score, top), rest)); }
};

RECURRA_INLINE vec chance(const Passed<real>& p, int64_t at, const Level& level, int n) {
  return level.share(add(load_n(p.alpha + at, n), load_n(p.beta + at, n)));
}

void marginals(const Chain<real>& c, const Passed<real>& p, real* out, int64_t from, int64_t to) {
  const int64_t L = c.labels;
  for (int64_t t = c.offsets[from]; t < c.offsets[to]; ++t) {
    const Level level(p.level, t);
    over(L, [&](int64_t j, int n) { store_n(out + t * L + j, chance(p, t * L + j, level, n), n); });
  }
}

void emission_grad(const Chain<real>& c, const Passed<real>& all, const Passed<real>& truth, const real* g, real* out,
                   int64_t from, int64_t to) {
  const int64_t L = c.labels;
  for (int64_t s = from; s < to; ++s) {
    const vec share = set1(g[s]);
    for (int64_t t = c.offsets[s]; t < c.offsets[s + 1]; ++t) {
      const Level z(all.level, t), zt(truth.level, t);
      over(L, [&](int64_t j, int n) {
        const int64_t at = t * L + j;
        store_n(out + at, mul(share, sub(chance(all, at, z, n), chance(truth, at, zt, n))), n);
      });
    }
  }
}

void transition_grad(const Chain<real>& c, const real* true_emissions, const Passed<real>& all,
                     const Passed<real>& truth, const real* g, real* out, int64_t rows, int64_t from, int64_t to) {
  const int64_t L = c.labels;
  std::vector<real> part(static_cast<size_t>(L));
  for (int64_t i = from; i < to; ++i) {
    real* total = out + i * L;
    for (int64_t j = 0; j < L; ++j) total[j] = 0, part[size_t(j)] = 0;
    const auto close = [&] {
      for (int64_t j = 0; j < L; ++j) total[j] = total[j] + part[size_t(j)], part[size_t(j)] = 0;
    };
    for (int64_t s = 0; s < rows; ++s) {
      const vec share = set1(g[s]);
      for (int64_t t = c.offsets[s]; t < c.offsets[s + 1]; ++t) {
        if (t % block == 0 && t) close();
        if (t + 1 == c.offsets[s + 1]) continue;
        const vec a = set1(all.alpha[t * L + i]), at = set1(truth.alpha[t * L + i]);
        const Level z(all.level, t), zt(truth.level, t);
        over(L, [&](int64_t j, int n) {
          const int64_t next = (t + 1) * L + j;
          const vec pair = load_n(c.transitions + i * L + j, n);
          const vec x = add(add(a, pair), add(load_n(c.emissions + next, n), load_n(all.beta + next, n)));
          const vec y = add(add(at, pair), add(load_n(true_emissions + next, n), load_n(truth.beta + next, n)));
          const vec gap = sub(z.share(x), zt.share(y));
          store_n(part.data() + j, fma(share, gap, load_n(part.data() + j, n)), n);
        });
      }
    }
    close();
  }
}

void viterbi(const Chain<real>& c, int64_t* path, real* score, int64_t from, int64_t to) {
  const int64_t L = c.labels;
  std::vector<real> held(static_cast<size_t>(2 * L));
  std::vector<int32_t> came;
  for (int64_t s = from; s < to; ++s) {
    const int64_t begin = c.offsets[s], end = c.offsets[s + 1];
    score[s] = 0;
    if (begin == end) continue;
    came.assign(static_cast<size_t>((end - begin) * L), 0);
    real *before = held.data(), *now = before + L;
    for (int64_t j = 0; j < L; ++j) now[j] = c.start[j] + c.emissions[begin * L + j];
    for (int64_t t = begin + 1; t < end; ++t) {
      std::swap(before, now);
      int32_t* back = came.data() + (t - begin) * L;
      for (int64_t j = 0; j < L; ++j) now[j] = before[0] + c.transitions[j];
      for (int64_t i = 1; i < L; ++i)
        for (int64_t j = 0; j < L; ++j) {
          const real one = before[i] + c.transitions[i * L + j];
          if (one > now[j]) now[j] = one, back[j] = static_cast<int32_t>(i);
        }
      for (int64_t j = 0; j < L; ++j) now[j] = now[j] + c.emissions[t * L + j];
    }
    int64_t best = 0;
    for (int64_t j = 0; j < L; ++j) {
      now[j] = now[j] + c.end[j];
      if (now[j] > now[best]) best = j;
    }
    score[s] = now[best];
    for (int64_t t = end - 1; t >= begin; --t) {
      path[t] = best;
      best = came[static_cast<size_t>((t - begin) * L + best)];
    }
  }
}

}  // namespace

extern const CrfTable<real> crf_table;
const CrfTable<real> crf_table = {forward, backward, levels, marginals, emission_grad, transition_grad, viterbi};

}  // namespace RECURRA_ISA
}  // namespace recurra
