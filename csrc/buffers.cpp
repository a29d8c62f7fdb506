#include "buffers.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace recurra {
namespace {

// Under AddressSanitizer what a block has beyond the bytes asked for, and a block that waits, may not be touched.
void forbid(void* from, size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  ASAN_POISON_MEMORY_REGION(from, bytes);
#else
  (void)from, (void)bytes;
#endif
}

void permit(void* from, size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(from, bytes);
#else
  (void)from, (void)bytes;
#endif
}

constexpr size_t header = 64, kept_from = size_t{64} << 10, kept_most = size_t{256} << 20;
constexpr size_t huge = size_t{2} << 20;

struct Store {
  std::mutex lock;
  std::unordered_map<size_t, std::vector<void*>> free;
  size_t kept = 0;
};

Store& store() {
  static Store* it = new Store;  // never destroyed: results may outlive static destruction
  return *it;
}

size_t size_class(size_t bytes) {  // eighths of a power of two: at most 12.5% too much
  size_t step = 4096;
  while (step * 16 < bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

void* fresh(size_t bytes) {
  const size_t align = bytes >= huge ? huge : 64;
  if (bytes > SIZE_MAX - 2 * align) throw std::bad_alloc();
  void* base = std::aligned_alloc(align, (bytes + align - 1) / align * align);
  if (!base) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
  if (bytes >= huge) madvise(base, bytes, MADV_HUGEPAGE);
#endif
  return base;
}

}  // namespace

void* take_buffer(size_t bytes) {
  if (bytes > SIZE_MAX / 4) throw std::bad_alloc();
  size_t size = bytes + header;
  void* base = nullptr;
  if (size >= kept_from) {
    size = size_class(size);
    Store& s = store();
    std::lock_guard<std::mutex> lock(s.lock);
    auto found = s.free.find(size);
    if (found != s.free.end() && !found->second.empty()) {
      base = found->second.back();
      found->second.pop_back();
      s.kept -= size;
    }
  }
  if (!base) base = fresh(size);
  *static_cast<size_t*>(base) = size;
  char* block = static_cast<char*>(base) + header;
  permit(block, bytes);
  forbid(block + bytes, size - header - bytes);
  return block;
}

void give_buffer(void* p) {
  if (!p) return;
  void* base = static_cast<char*>(p) - header;
  const size_t size = *static_cast<size_t*>(base);
  if (size >= kept_from) {
    Store& s = store();
    std::lock_guard<std::mutex> lock(s.lock);
    if (s.kept + size <= kept_most) {
      s.free[size].push_back(base);
      forbid(p, size - header);
      s.kept += size;
      return;
    }
  }
  permit(p, size - header);
  std::free(base);
}

void drop_buffers() {
  Store& s = store();
  std::lock_guard<std::mutex> lock(s.lock);
  for (auto& each : s.free)
    for (void* base : each.second) std::free(base);
  s.free.clear();
  s.kept = 0;
}

}  // namespace recurra
