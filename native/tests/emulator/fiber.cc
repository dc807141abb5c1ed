#include "native/tests/emulator/fiber.h"

#include <cstdint>

#if defined(__x86_64__)

// Saves the callee-saved registers on the stack of `from`, which has the return address already.
extern "C" void hintChangeFiber(void** from, void* to);
asm(R"(
.text
.type hintChangeFiber, @function
hintChangeFiber:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size hintChangeFiber, . - hintChangeFiber
)");

namespace hint::emulator {

Fiber::Fiber(void (*main)()) : stack_(std::make_unique_for_overwrite<char[]>(kStack)) {
  const auto end = reinterpret_cast<uintptr_t>(stack_.get() + kStack) / 16 * 16;
  auto* top = reinterpret_cast<uintptr_t*>(end);
  // At the entry of a function the stack pointer is 8 bytes off a multiple of 16. This return address is never used.
  *--top = 0;
  *--top = reinterpret_cast<uintptr_t>(main);
  for (int registers = 0; registers < 6; ++registers) *--top = 0;
  top_ = top;
}

void Fiber::change(Fiber& from, Fiber& to) { hintChangeFiber(&from.top_, to.top_); }

}  // namespace hint::emulator

#else

namespace hint::emulator {

Fiber::Fiber(void (*main)()) : stack_(std::make_unique_for_overwrite<char[]>(kStack)) {
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_.get();
  context_.uc_stack.ss_size = kStack;
  context_.uc_link = nullptr;
  makecontext(&context_, main, 0);
}

void Fiber::change(Fiber& from, Fiber& to) { swapcontext(&from.context_, &to.context_); }

}  // namespace hint::emulator

#endif
