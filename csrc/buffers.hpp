// Memory for results and scratch: aligned to 64 bytes, in huge pages where large, and kept for the next call.
//
// Fresh pages cost more than the arithmetic that fills them, so a freed block of 64 KiB or more waits in a small
// store (256 MiB at most) for a request of its size class. All functions may be called from any thread.
#pragma once

#include <cstddef>

namespace recurra {

void* take_buffer(size_t bytes);  // contents undefined; throws std::bad_alloc
void give_buffer(void* p);        // null is fine
void drop_buffers();              // hand the waiting blocks back to the system

template <class T> class Scratch {
 public:
  explicit Scratch(size_t n = 0) : p_(n ? static_cast<T*>(take_buffer(n * sizeof(T))) : nullptr), n_(n) {}
  ~Scratch() { give_buffer(p_); }
  Scratch(Scratch&& other) noexcept : p_(other.p_), n_(other.n_) { other.p_ = nullptr, other.n_ = 0; }
  Scratch& operator=(Scratch&& other) noexcept {
    if (this != &other) {
      give_buffer(p_);
      p_ = other.p_, n_ = other.n_;
      other.p_ = nullptr, other.n_ = 0;
    }
    return *this;
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* data() { return p_; }
  const T* data() const { return p_; }
  size_t size() const { return n_; }
  T& operator[](size_t i) { return p_[i]; }
  const T& operator[](size_t i) const { return p_[i]; }

 private:
  T* p_;
  size_t n_;
};

}  // namespace recurra
