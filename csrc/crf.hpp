// A linear chain over the tokens of each row: scores of tags and of pairs of neighbouring tags.
//
// score(y) = start[y_0] + sum_t emission[t][y_t] + sum_t transition[y_t][y_t+1] + end[y_last]. Everything is in
// log space with the largest term taken out, so that forbidden pairs (-infinity) and long rows are no trouble.
#pragma once

#include <cstdint>

#include "dispatch.hpp"

namespace recurra {

template <class real> struct Chain {
  const real* emissions;    // (N, labels)
  const int64_t* offsets;   // (S+1,)
  const real* transitions;  // (labels, labels), [from][to]
  const real* turned;       // the same, [to][from]
  const real *start, *end;  // (labels,)
  int64_t labels;
};

// What passes over a chain left: sums over all beginnings and all endings, and over all paths, seen from each token.
// Those over all paths are the same for all tokens of a row but for rounding; divided by its own, what a token's tags
// and pairs have adds up to one however long the row is.
template <class real> struct Passed {
  const real *alpha, *beta;  // (N, labels)
  const real* level;         // (N, 2): the largest term, and the log of the sum of all above it
};

template <class real> struct CrfTable {
  // alpha (N, labels): log of the sum over all beginnings up to a token; total (S,): over whole rows, 0 for empty ones
  void (*forward)(const Chain<real>& c, real* alpha, real* total, int64_t from, int64_t to);
  // beta (N, labels): log of the sum over all that may follow a token
  void (*backward)(const Chain<real>& c, real* beta, int64_t from, int64_t to);
  // level (N, 2): the sum over all paths, at each token
  void (*levels)(const Chain<real>& c, const real* alpha, const real* beta, real* level, int64_t from, int64_t to);
  // out (N, labels): probabilities of tags
  void (*marginals)(const Chain<real>& c, const Passed<real>& p, real* out, int64_t from, int64_t to);
  // out (N, labels): g[s] (probabilities over all paths - over those that are true)
  void (*emission_grad)(const Chain<real>& c, const Passed<real>& all, const Passed<real>& truth, const real* g,
                        real* out, int64_t from, int64_t to);
  // out (labels, labels), rows [from, to) of it: the same for pairs, summed over the tokens of all `rows` rows
  void (*transition_grad)(const Chain<real>& c, const real* true_emissions, const Passed<real>& all,
                          const Passed<real>& truth, const real* g, real* out, int64_t rows, int64_t from, int64_t to);
  // path (N,), score (S,): the best path of each row; of equals the lowest tag
  void (*viterbi)(const Chain<real>& c, int64_t* path, real* score, int64_t from, int64_t to);
};

}  // namespace recurra

RECURRA_DECLARE_TABLE(CrfTable, crf_table)
