#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

/// Under AddressSanitizer, these functions forbid access to memory that the caching allocator holds for reuse or adds
/// by rounding up, as if it were freed. In other builds they do nothing.
namespace hint {

#if defined(__SANITIZE_ADDRESS__)
inline void poison(const void* memory, size_t bytes) { ASAN_POISON_MEMORY_REGION(memory, bytes); }
inline void unpoison(const void* memory, size_t bytes) { ASAN_UNPOISON_MEMORY_REGION(memory, bytes); }
#else
inline void poison(const void*, size_t) {}
inline void unpoison(const void*, size_t) {}
#endif

}  // namespace hint
