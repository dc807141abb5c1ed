#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

/// Under AddressSanitizer, memory that the caching allocator holds or rounds up by is as forbidden as memory that was
/// freed; in other builds these do nothing.
namespace hint {

#if defined(__SANITIZE_ADDRESS__)
inline void poison(const void* memory, size_t bytes) { ASAN_POISON_MEMORY_REGION(memory, bytes); }
inline void unpoison(const void* memory, size_t bytes) { ASAN_UNPOISON_MEMORY_REGION(memory, bytes); }
#else
inline void poison(const void*, size_t) {}
inline void unpoison(const void*, size_t) {}
#endif

}  // namespace hint
