// Operators that treat every element by itself: activations, losses per element, dropout, sums and products.
#pragma once

#include <cstdint>

#include "dispatch.hpp"

namespace recurra {

enum Unary : int { op_sigmoid, op_tanh, op_relu, op_exp, op_softplus };
enum Binary : int { op_add, op_mul };
enum Error : int { op_squared, op_absolute, op_huber };

// What dropout keeps is a hash of seed and flat index; `keys` are made from the seed once per 2^32 elements.
struct DropoutKeys {
  uint32_t first, second, threshold;
};
DropoutKeys dropout_keys(uint64_t seed, uint64_t high, double rate);

template <class real> struct ElementwiseTable {
  void (*unary)(int op, const real* x, real* y, int64_t n);
  // from the output y (sigmoid, tanh, relu, exp) or the input x (softplus)
  void (*unary_grad)(int op, const real* held, const real* dy, real* dx, int64_t n);
  void (*binary)(int op, const real* a, const real* b, real* out, int64_t n);
  void (*scale)(const real* x, real factor, real* out, int64_t n);
  void (*dropout)(const real* x, real* out, uint32_t begin, int64_t n, DropoutKeys keys, real scale);
  void (*bce)(const real* x, const real* target, const real* weight, real* loss, int64_t n);  // weight: per element or null
  void (*bce_grad)(const real* x, const real* target, const real* weight, const real* dloss, real* dx, int64_t n);
  void (*error)(int kind, const real* x, const real* target, real delta, real* loss, int64_t n);
  void (*error_grad)(int kind, const real* x, const real* target, real delta, const real* dloss, real* dx, int64_t n);
};

}  // namespace recurra

RECURRA_DECLARE_TABLE(ElementwiseTable, elementwise_table)
