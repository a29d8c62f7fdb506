#include "../crf.hpp"

#include "../dense.hpp"
#include "../split.hpp"
#include "arrays.hpp"

namespace recurra {
namespace {

template <class real> struct Given {
  Chain<real> chain{};
  std::vector<real> turned;
  int64_t tokens, rows;

  Given(const Array& emissions, const Array& offsets, const Array& transitions, const Array& start, const Array& end) {
    Chain<real>& c = chain;
    c.labels = extent(emissions, "emissions", 1, 2), tokens = extent(emissions, "emissions", 0, 2);
    const int64_t L = c.labels;
    if (L < 1) refuse("emissions must have at least one column, got " + describe(emissions));
    c.emissions = view<real>(emissions, "emissions", {tokens, L});
    rows = check_offsets(offsets, tokens);
    c.offsets = view<int64_t>(offsets, "offsets", {any});
    c.transitions = view<real>(transitions, "transitions", {L, L});
    c.start = view<real>(start, "start", {L}), c.end = view<real>(end, "end", {L});
    turned.resize(static_cast<size_t>(L * L));
    for (int64_t i = 0; i < L; ++i)
      for (int64_t j = 0; j < L; ++j) turned[static_cast<size_t>(j * L + i)] = c.transitions[i * L + j];
    c.turned = turned.data();
  }

  // Cost of a row for `split`: every pair of tags at every token.
  int64_t width() const { return (rows ? tokens / rows + 1 : 1) * chain.labels * chain.labels * 8; }
};

// The emissions with all but the true tag forbidden; -1 stands for an unknown tag, which may be any.
template <class real>
std::vector<real> clamped(const Chain<real>& c, const Array& tags, int64_t tokens) {
  const int64_t* y = view<int64_t>(tags, "tags", {tokens});
  std::vector<real> out(c.emissions, c.emissions + tokens * c.labels);
  for (int64_t t = 0; t < tokens; ++t) {
    if (y[t] < -1 || y[t] >= c.labels)
      refuse("tags must be at least -1 (unknown) and below " + std::to_string(c.labels) + ", got " +
             std::to_string(y[t]) + " at position " + std::to_string(t));
    if (y[t] < 0) continue;
    for (int64_t j = 0; j < c.labels; ++j)
      if (j != y[t]) out[static_cast<size_t>(t * c.labels + j)] = -static_cast<real>(__builtin_inff());
  }
  return out;
}

template <class real> void pass_forward(const Given<real>& g, const Chain<real>& c, real* alpha, real* total) {
  split(g.rows, g.width(), [&](int64_t from, int64_t to) { crf_table<real>().forward(c, alpha, total, from, to); });
}

template <class real>
void pass_backward(const Given<real>& g, const Chain<real>& c, const real* alpha, real* beta, real* level) {
  split(g.rows, g.width(), [&](int64_t from, int64_t to) {
    crf_table<real>().backward(c, beta, from, to);
    crf_table<real>().levels(c, alpha, beta, level, from, to);
  });
}

nb::tuple loss(const Array& emissions, const Array& offsets, const Array& tags, const Array& transitions,
               const Array& start, const Array& end) {
  return by_dtype(emissions, "emissions", [&](auto zero) -> nb::tuple {
    using real = decltype(zero);
    const Given<real> g(emissions, offsets, transitions, start, end);
    const int64_t L = g.chain.labels;
    auto all = result<real>({g.tokens, L}), truth = result<real>({g.tokens, L});
    auto losses = result<real>({g.rows});
    std::vector<real> totals(static_cast<size_t>(2 * g.rows));
    Chain<real> held = g.chain;
    const std::vector<real> allowed = clamped(g.chain, tags, g.tokens);
    held.emissions = allowed.data();
    {
      nb::gil_scoped_release release;
      pass_forward(g, g.chain, all.data, totals.data());
      pass_forward(g, held, truth.data, totals.data() + g.rows);
      for (int64_t s = 0; s < g.rows; ++s)
        losses.data[s] = totals[static_cast<size_t>(s)] - totals[static_cast<size_t>(g.rows + s)];
    }
    return nb::make_tuple(losses.array, all.array, truth.array);
  });
}

nb::tuple grad(const Array& emissions, const Array& offsets, const Array& tags, const Array& transitions,
               const Array& start, const Array& end, const Array& all, const Array& truth, const Array& dloss) {
  return by_dtype(emissions, "emissions", [&](auto zero) -> nb::tuple {
    using real = decltype(zero);
    const Given<real> g(emissions, offsets, transitions, start, end);
    const int64_t L = g.chain.labels;
    const real* d = view<real>(dloss, "dloss", {g.rows});
    Chain<real> held = g.chain;
    const std::vector<real> allowed = clamped(g.chain, tags, g.tokens);
    held.emissions = allowed.data();
    std::vector<real> beta(static_cast<size_t>(2 * g.tokens * L)), level(static_cast<size_t>(4 * g.tokens));
    const Passed<real> every{view<real>(all, "all", {g.tokens, L}), beta.data(), level.data()};
    const Passed<real> right{view<real>(truth, "truth", {g.tokens, L}), beta.data() + g.tokens * L,
                             level.data() + 2 * g.tokens};
    auto de = result<real>({g.tokens, L}), dt = result<real>({L, L}), ends = result<real>({2, L});
    {
      nb::gil_scoped_release release;
      pass_backward(g, g.chain, every.alpha, beta.data(), level.data());
      pass_backward(g, held, right.alpha, beta.data() + g.tokens * L, level.data() + 2 * g.tokens);
      split(g.rows, g.width(), [&](int64_t from, int64_t to) {
        crf_table<real>().emission_grad(g.chain, every, right, d, de.data, from, to);
      });
      split(L, g.tokens * L * 8, [&](int64_t from, int64_t to) {
        crf_table<real>().transition_grad(g.chain, held.emissions, every, right, d, dt.data, g.rows, from, to);
      });
      std::vector<real> first, last;
      for (int64_t s = 0; s < g.rows; ++s) {
        if (g.chain.offsets[s] == g.chain.offsets[s + 1]) continue;
        const real *a = de.data + g.chain.offsets[s] * L, *b = de.data + (g.chain.offsets[s + 1] - 1) * L;
        first.insert(first.end(), a, a + L), last.insert(last.end(), b, b + L);
      }
      const int64_t filled = static_cast<int64_t>(first.size()) / L;
      column_sums(first.data(), ends.data, filled, L);
      column_sums(last.data(), ends.data + L, filled, L);
    }
    return nb::make_tuple(de.array, dt.array, ends.array);
  });
}

nb::object marginals(const Array& emissions, const Array& offsets, const Array& transitions, const Array& start,
                    const Array& end) {
  return by_dtype(emissions, "emissions", [&](auto zero) -> nb::object {
    using real = decltype(zero);
    const Given<real> g(emissions, offsets, transitions, start, end);
    const int64_t L = g.chain.labels;
    auto out = result<real>({g.tokens, L});
    std::vector<real> alpha(static_cast<size_t>(g.tokens * L)), beta(alpha.size()), level(static_cast<size_t>(2 * g.tokens));
    std::vector<real> total(static_cast<size_t>(g.rows));
    {
      nb::gil_scoped_release release;
      pass_forward(g, g.chain, alpha.data(), total.data());
      pass_backward(g, g.chain, alpha.data(), beta.data(), level.data());
      const Passed<real> every{alpha.data(), beta.data(), level.data()};
      split(g.rows, g.width(), [&](int64_t from, int64_t to) {
        crf_table<real>().marginals(g.chain, every, out.data, from, to);
      });
    }
    return out.array;
  });
}

nb::tuple viterbi(const Array& emissions, const Array& offsets, const Array& transitions, const Array& start,
                  const Array& end) {
  return by_dtype(emissions, "emissions", [&](auto zero) -> nb::tuple {
    using real = decltype(zero);
    const Given<real> g(emissions, offsets, transitions, start, end);
    auto path = result<int64_t>({g.tokens});
    auto score = result<real>({g.rows});
    {
      nb::gil_scoped_release release;
      split(g.rows, g.width(), [&](int64_t from, int64_t to) {
        crf_table<real>().viterbi(g.chain, path.data, score.data, from, to);
      });
    }
    return nb::make_tuple(path.array, score.array);
  });
}

Binder binder([](nb::module_& m) {
  m.def("crf_loss", loss, nb::arg("emissions"), nb::arg("offsets"), nb::arg("tags"), nb::arg("transitions"),
        nb::arg("start"), nb::arg("end"));
  m.def("crf_grad", grad, nb::arg("emissions"), nb::arg("offsets"), nb::arg("tags"), nb::arg("transitions"),
        nb::arg("start"), nb::arg("end"), nb::arg("all"), nb::arg("truth"), nb::arg("dloss"));
  m.def("crf_marginals", marginals, nb::arg("emissions"), nb::arg("offsets"), nb::arg("transitions"),
        nb::arg("start"), nb::arg("end"));
  m.def("viterbi", viterbi, nb::arg("emissions"), nb::arg("offsets"), nb::arg("transitions"), nb::arg("start"),
        nb::arg("end"));
});

}  // namespace
}  // namespace recurra
