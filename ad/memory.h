// Memory for the long arrays of a tape: on cache lines, in large pages where there is much of it, without first values.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__SSE2__)
#include <emmintrin.h>
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

#if defined(__SSE2__) && defined(__x86_64__)
inline constexpr bool can_stream = true;
// Writes past the caches: a line that will not be read soon is not fetched only to be overwritten.
[[gnu::always_inline]] inline void stream(void* to, std::uint64_t word) {
  _mm_stream_si64(static_cast<long long*>(to), static_cast<long long>(word));
}
[[gnu::always_inline]] inline void stream(void* to, double number) { stream(to, std::bit_cast<std::uint64_t>(number)); }
#else
inline constexpr bool can_stream = false;
#endif

template <class T>
using Array = std::vector<T, Allocator<T>>;

}  // namespace ad
