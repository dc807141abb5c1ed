#pragma once

#include <cstddef>
#include <memory>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace hint::emulator {

/// A stack on which code runs until it lets another go on. The default one stands for the stack of the caller.
/// Kernels change threads tens of millions of times, hence an own switch on x86-64: ucontext asks the system to save
/// the signal mask each time.
class Fiber {
 public:
  Fiber() = default;
  /// `main` must never return.
  explicit Fiber(void (*main)());
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Leaves `from`, which runs now, for `to`; returns when something switches to `from` again.
  static void change(Fiber& from, Fiber& to);

  static constexpr size_t kStack = size_t{256} << 10;
  /// Where its stack begins; null for the caller's.
  const void* stack() const { return stack_.get(); }

 private:
  std::unique_ptr<char[]> stack_;
#if defined(__x86_64__)
  void* top_ = nullptr;  ///< where the saved registers are
#else
  ucontext_t context_;
#endif
};

}  // namespace hint::emulator
