// The linear chain against a walk over every path in double, the same bits on every instruction set.
#include "../crf.hpp"

#include <initializer_list>
#include <limits>

#include "../pool.hpp"
#include "checks.hpp"

namespace {

using namespace recurra;

struct Exact {
  std::vector<double> totals, tags, pairs, scores;
  std::vector<int64_t> path;
};

// f(tags of one path, its score) over all paths of row s
template <class real, class F> void every_path(const Chain<real>& c, int64_t s, const F& f) {
  const int64_t begin = c.offsets[s], length = c.offsets[s + 1] - begin, L = c.labels;
  std::vector<int64_t> y(static_cast<size_t>(length), 0);
  for (;;) {
    double score = double(c.start[y.front()]) + double(c.end[y.back()]);
    for (int64_t t = 0; t < length; ++t) {
      score += double(c.emissions[(begin + t) * L + y[size_t(t)]]);
      if (t) score += double(c.transitions[y[size_t(t - 1)] * L + y[size_t(t)]]);
    }
    f(y, score);
    int64_t t = length - 1;  // the next path; the last token moves first
    while (t >= 0 && ++y[size_t(t)] == L) y[size_t(t--)] = 0;
    if (t < 0) return;
  }
}

// Sums over all paths; `g` weighs the rows in `tags` and `pairs`.
template <class real> Exact exact(const Chain<real>& c, int64_t S, const std::vector<real>& g) {
  const int64_t L = c.labels, N = c.offsets[S];
  Exact e{room<double>(S), room<double>(N * L), room<double>(L * L), room<double>(S), room<int64_t>(N)};
  for (int64_t s = 0; s < S; ++s) {
    const int64_t begin = c.offsets[s];
    if (begin == c.offsets[s + 1]) continue;
    double sum = 0, best = -std::numeric_limits<double>::infinity();
    every_path(c, s, [&](const std::vector<int64_t>& y, double score) {
      sum += std::exp(score);
      if (score <= best) return;
      best = score;
      std::copy(y.begin(), y.end(), e.path.begin() + begin);
    });
    e.totals[size_t(s)] = std::log(sum), e.scores[size_t(s)] = best;
    every_path(c, s, [&](const std::vector<int64_t>& y, double score) {
      const double share = double(g[size_t(s)]) * std::exp(score) / sum;
      for (size_t t = 0; t < y.size(); ++t) {
        e.tags[size_t((begin + int64_t(t)) * L + y[t])] += share;
        if (t) e.pairs[size_t(y[t - 1] * L + y[t])] += share;
      }
    });
  }
  return e;
}

template <class real> struct Pass {
  std::vector<real> alpha, beta, level, total;
  Passed<real> passed() const { return {alpha.data(), beta.data(), level.data()}; }
  Pass(const Chain<real>& c, int64_t S) {
    const int64_t N = c.offsets[S];
    alpha = room<real>(N * c.labels), beta = room<real>(N * c.labels), level = room<real>(2 * N), total = room<real>(S);
    const auto& table = crf_table<real>();
    table.forward(c, alpha.data(), total.data(), 0, S);
    table.backward(c, beta.data(), 0, S);
    table.levels(c, alpha.data(), beta.data(), level.data(), 0, S);
  }
};

template <class real> std::vector<real> chain(Tally& t, int64_t L, const std::vector<int64_t>& offsets) {
  const std::string label = "chain of " + std::to_string(L) + " labels: ";
  const int64_t S = static_cast<int64_t>(offsets.size()) - 1, N = offsets.back();
  auto emissions = numbers<real>(21, N * L), transitions = numbers<real>(22, L * L), turned = transitions;
  const auto start = numbers<real>(23, L), end = numbers<real>(24, L), g = numbers<real>(25, S);
  for (int64_t i = 0; i < L; ++i)
    for (int64_t j = 0; j < L; ++j) turned[size_t(j * L + i)] = transitions[size_t(i * L + j)];
  const Chain<real> c{emissions.data(), offsets.data(), transitions.data(), turned.data(), start.data(), end.data(), L};
  auto held = emissions;  // one tag of every other token is given: the others are forbidden
  for (int64_t n = 0; n < N; n += 2)
    for (int64_t j = 0; j < L; ++j)
      if (j != n % L) held[size_t(n * L + j)] = -std::numeric_limits<real>::infinity();
  Chain<real> truth = c;
  truth.emissions = held.data();
  const auto& table = crf_table<real>();
  const Pass<real> all(c, S), right(truth, S);
  const std::vector<real> ones(size_t(S), real(1));
  const Exact plain = exact(c, S, ones), weighed = exact(c, S, g), given = exact(truth, S, g);
  t.expect(near(all.total, plain.totals) && near(right.total, given.totals), label + "sums over paths");
  std::vector<real> tags = room<real>(N * L), de = room<real>(N * L), dt = room<real>(L * L), score = room<real>(S);
  std::vector<int64_t> path = room<int64_t>(N);
  table.marginals(c, all.passed(), tags.data(), 0, S);
  t.expect(near(tags, plain.tags), label + "marginals");
  table.emission_grad(c, all.passed(), right.passed(), g.data(), de.data(), 0, S);
  table.transition_grad(c, truth.emissions, all.passed(), right.passed(), g.data(), dt.data(), S, 0, L);
  std::vector<double> ede = weighed.tags, edt = weighed.pairs;
  for (size_t i = 0; i < ede.size(); ++i) ede[i] -= given.tags[i];
  for (size_t i = 0; i < edt.size(); ++i) edt[i] -= given.pairs[i];
  t.expect(near(de, ede), label + "gradient of the emissions");
  t.expect(near(dt, edt), label + "gradient of the transitions");
  table.viterbi(c, path.data(), score.data(), 0, S);
  t.expect(path == plain.path && near(score, plain.scores), label + "best path");
  std::vector<real> everything;
  for (const std::vector<real>* each : std::initializer_list<const std::vector<real>*>{
           &all.alpha, &all.beta, &all.level, &all.total, &tags, &de, &dt, &score})
    everything.insert(everything.end(), each->begin(), each->end());
  return everything;
}

template <class real> std::vector<real> chains(Tally& t) {
  std::vector<real> every;
  for (int64_t L : {1, 2, 5, 17}) {
    const std::vector<int64_t> offsets = L > 5 ? std::vector<int64_t>{0, 2, 2, 3} : std::vector<int64_t>{0, 0, 4, 5, 10};
    const auto found = chain<real>(t, L, offsets);
    every.insert(every.end(), found.begin(), found.end());
  }
  return every;
}

}  // namespace

void chain_tests(Tally& t) {
  const std::string before = recurra::name(recurra::isa());
  std::vector<float> first;
  for (const char* wanted : {"avx512", "avx2", "portable"}) {
    if (!recurra::set_isa(wanted)) continue;
    const auto found = chains<float>(t);
    if (first.empty()) first = found;
    t.expect(found == first, std::string("chain: the same bits, ") + wanted);
    chains<double>(t);
  }
  recurra::set_isa(before);
}
