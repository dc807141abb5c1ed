// Tests of the native runtime: allocator, stream, random numbers and the checks of op declarations.
//   hint_runtime_tests [WORDS]   runs the tests whose name contains WORDS

#include <cstdio>
#include <cstring>
#include <exception>

#include "native/tests/check.h"

int main(int argc, char** argv) {
  int failed = 0, total = 0;
  for (const auto& test : hint::testing::allTests()) {
    if (argc > 1 && !std::strstr(test.name, argv[1])) continue;
    std::printf("%s", test.name);
    std::fflush(stdout);
    ++total;
    try {
      test.body();
      std::printf(": ok\n");
    } catch (const std::exception& error) {
      ++failed;
      std::printf(": FAILED\n    %s\n", error.what());
    }
  }
  std::printf("%d of %d tests failed\n", failed, total);
  return failed || !total ? 1 : 0;
}
