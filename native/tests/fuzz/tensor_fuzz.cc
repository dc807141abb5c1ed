// Tensors of a mapped file at any position, of any shape and dtype name, must lie in the file or be refused with an
// Error.
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "native/core/error.h"
#include "native/runtime/allocator.h"
#include "native/runtime/mapped_file.h"
#include "native/tests/fuzz/input.h"

namespace {

using hint::fuzz::Input;

constexpr int kFileBytes = 4096 + 12;

const std::shared_ptr<hint::MappedFile>& file() {
  static const auto& mapped = *new std::shared_ptr<hint::MappedFile>([] {
    std::FILE* made = std::tmpfile();
    for (int i = 0; i < kFileBytes; ++i) std::fputc(i % 251, made);
    std::fflush(made);
    return hint::MappedFile::open(fileno(made));
  }());
  return mapped;
}

void readWindow(Input& input) {
  const auto allocator = std::make_shared<hint::Allocator>(hint::hostMemory());
  static constexpr const char* kNames[] = {"f32", "bf16", "i32", "i8"};
  const uint8_t which = input.byte();
  const hint::DType dtype = hint::dtypeFromName(which % 8 < 4 ? kNames[which % 8] : input.word());
  hint::Shape shape;
  for (int rank = input.byte() % 6; rank > 0; --rank) shape.push_back(input.integer());
  const int64_t position = input.byte() % 2 ? input.integer() : 4 * (input.byte() + 256 * (input.byte() % 8));
  const hint::Tensor tensor = file()->tensor(allocator, dtype, shape, position);
  // Reads every byte, so that the sanitizer finds those outside the file.
  const auto* bytes = static_cast<const unsigned char*>(addressOf(tensor));
  unsigned sum = 0;
  for (size_t i = 0; i < tensor.bytes(); ++i) sum += bytes[i];
  if (tensor.bytes() > kFileBytes || sum > 255u * kFileBytes) std::abort();
  hint::releasePages(tensor);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  try {
    readWindow(input);
  } catch (const hint::Error& error) {
    if (error.code().empty() || error.what()[0] == '\0') std::terminate();
  }
  return 0;
}
