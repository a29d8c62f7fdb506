// The module recurra._native: what the machine is, how many threads; the operators are in the other bind files.
#include "../dispatch.hpp"
#include "../peak.hpp"
#include "bind.hpp"

namespace recurra {
namespace {

nb::dict engine() {
  nb::dict out;
  out["native"] = true;
  out["isa"] = name(isa());
  out["threads"] = threads();
  out["reason"] = isa_reason();
  nb::list available;
  for (Isa each : {Isa::portable, Isa::avx2, Isa::avx512})
    if (has(each)) available.append(name(each));
  out["available"] = available;
  return out;
}

void set_threads_checked(int n) {
  if (n < 1) refuse("n, the number of threads, must be at least 1, got " + std::to_string(n));
  set_threads(n);
}

void set_isa_checked(const std::string& wanted) {
  if (!set_isa(wanted)) refuse("isa must be one of engine()[\"available\"], got \"" + wanted + "\"");
}

double fma_peak(double seconds, std::optional<int> n) {
  constexpr int most_threads = 1024;  // as many as the pool has
  if (!(seconds >= 0 && seconds <= 60)) refuse("seconds must be from 0 to 60, got " + std::to_string(seconds));
  if (n && (*n < 1 || *n > most_threads))
    refuse("threads must be from 1 to " + std::to_string(most_threads) + ", got " + std::to_string(*n));
  nb::gil_scoped_release release;
  return peak_gflops(seconds, n.value_or(threads()));
}

Binder basics([](nb::module_& m) {
  m.def("engine", engine, "What runs: native, isa, threads, reason, available.");
  m.def("set_num_threads", set_threads_checked, nb::arg("n"));
  m.def("get_num_threads", threads);
  m.def("default_num_threads", default_threads);
  m.def("set_isa", set_isa_checked, nb::arg("isa"), "Choose a lower instruction set; for tests.");
  m.def("fma_peak", fma_peak, nb::arg("seconds") = 0.2, nb::arg("threads") = nb::none(),
        "The measured float32 multiply-add peak in GF/s, all threads at once.");
  m.def("drop_buffers", drop_buffers, "Hand memory that waits for reuse back to the system.");
});

}  // namespace
}  // namespace recurra

NB_MODULE(_native, m) {
  nb::set_leak_warnings(false);  // weights that a program still holds when it ends are no fault
  m.doc() = "Recurra's operators in C++; use recurra.kernels, which wraps them.";
  m.attr("interface") = 3;  // recurra/kernels/engines.py names the same number: an older build is not used
  recurra::define_all(m);
}
