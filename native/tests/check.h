#pragma once

#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "native/core/error.h"

/// The smallest test framework that names a failure: TEST("what must hold") { CHECK(...); }.
namespace hint::testing {

struct Test {
  const char* name;
  void (*body)();
};

inline std::vector<Test>& allTests() {
  static std::vector<Test> tests;
  return tests;
}

struct Registration {
  Registration(const char* name, void (*body)()) { allTests().push_back({name, body}); }
};

[[noreturn]] inline void failCheck(const char* file, int line, const std::string& what) {
  throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

template <typename A, typename B>
void checkEqual(const char* file, int line, const char* text, const A& actual, const B& expected) {
  if (actual == expected) return;
  std::ostringstream message;
  message << text << " is " << actual << ", not " << expected;
  failCheck(file, line, message.str());
}

/// The Error that `body` throws; fails when it throws none or another code.
template <typename Body>
Error errorOf(const char* file, int line, const char* code, const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    if (error.code() != code) failCheck(file, line, "threw " + error.code() + ": " + error.what() + ", not " + code);
    return error;
  }
  failCheck(file, line, std::string("threw nothing, should throw ") + code);
}

}  // namespace hint::testing

#define HINT_JOIN2(a, b) a##b
#define HINT_JOIN(a, b) HINT_JOIN2(a, b)
#define TEST(name)                                                                                               \
  static void HINT_JOIN(test, __LINE__)();                                                                       \
  static const ::hint::testing::Registration HINT_JOIN(registration, __LINE__)(name, HINT_JOIN(test, __LINE__)); \
  static void HINT_JOIN(test, __LINE__)()
#define CHECK(condition) \
  if (!(condition)) ::hint::testing::failCheck(__FILE__, __LINE__, #condition " does not hold")
#define CHECK_EQUAL(actual, expected) ::hint::testing::checkEqual(__FILE__, __LINE__, #actual, actual, expected)
#define CHECK_CONTAINS(text, part)                       \
  if (std::string(text).find(part) == std::string::npos) \
  ::hint::testing::failCheck(__FILE__, __LINE__, "\"" + std::string(text) + "\" does not contain \"" + (part) + "\"")
#define ERROR_OF(code, ...) ::hint::testing::errorOf(__FILE__, __LINE__, code, [&] { __VA_ARGS__; })
