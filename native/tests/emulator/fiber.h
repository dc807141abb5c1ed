#pragma once

#include <cstddef>
#include <memory>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace hint::emulator {

/// A stack on which code runs until it switches to another fiber. A default-constructed fiber is the stack of the
/// caller. x86-64 has a switch of its own, because kernels switch tens of millions of times and ucontext makes a system
/// call for the signal mask each time.
class Fiber {
 public:
  Fiber() = default;
  /// `main` must never return.
  explicit Fiber(void (*main)());
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Switches from `from`, the running fiber, to `to`. Returns when something switches to `from` again.
  static void change(Fiber& from, Fiber& to);

  static constexpr size_t kStack = size_t{256} << 10;
  /// Start of the stack; null for the caller's.
  const void* stack() const { return stack_.get(); }

 private:
  std::unique_ptr<char[]> stack_;
#if defined(__x86_64__)
  void* top_ = nullptr;  ///< address of the saved registers
#else
  ucontext_t context_;
#endif
};

}  // namespace hint::emulator
