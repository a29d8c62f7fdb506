// The Python class Packed: weights of one recurrence, in float or double.
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "../recur_run.hpp"
#include "bind.hpp"

namespace recurra {

struct GainArrays {
  const MaybeArray &x, &h, &c, &bias_c;
};

struct Packed {
  Packed(const std::string& cell, const Array& w_ih, const Array& w_hh, const MaybeArray& b_ih,
         const MaybeArray& b_hh, bool forward, bool backward, const std::string& precision, const GainArrays& gains);

  std::string precision;
  bool forward, backward;  // what it is packed for
  std::string name;
  Cell cell;
  bool normed;
  int64_t I = 0, H = 0;
  std::variant<std::shared_ptr<PackedWeights<float>>, std::shared_ptr<PackedWeights<double>>> weights;

  std::string dtype() const { return weights.index() == 0 ? "float32" : "float64"; }
  std::string how() const {
    return std::visit([](const auto& w) { return w->how(); }, weights);
  }
  size_t bytes() const {
    return std::visit([](const auto& w) { return w->bytes(); }, weights);
  }
  const char* isa_name() const {
    return std::visit([](const auto& w) { return recurra::name(w->isa()); }, weights);
  }
};

}  // namespace recurra
