// Memory for the long arrays of a tape: on cache lines, in large pages where there is much of it, without first values.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace ad {

template <class T>
struct Allocator {
  using value_type = T;
  Allocator() = default;
  template <class U>
  Allocator(const Allocator<U>&) {}

  T* allocate(std::size_t n) {
    constexpr std::size_t large_page = std::size_t{1} << 21, cache_line = 64;
    const std::size_t bytes = n * sizeof(T), align = bytes >= 2 * large_page ? large_page : cache_line;
    void* p = std::aligned_alloc(align, (bytes + align - 1) / align * align);
    if (!p) throw std::bad_alloc();
#if defined(__linux__)
    if (align == large_page) madvise(p, bytes, MADV_HUGEPAGE);
#endif
    return static_cast<T*>(p);
  }
  void deallocate(T* p, std::size_t) { std::free(p); }

  /// resize() leaves new elements of plain data as they come: they are written before they are read.
  template <class U, class... Args>
  void construct(U* p, Args&&... args) {
    if constexpr (sizeof...(Args) > 0 || !std::is_trivially_copyable_v<U>)
      std::construct_at(p, std::forward<Args>(args)...);
  }
  bool operator==(const Allocator&) const { return true; }
};

template <class T>
using Array = std::vector<T, Allocator<T>>;

}  // namespace ad
