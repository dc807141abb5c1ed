#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace hint {

/// The one exception of the native engine. `code` is one of the codes of HintError in TypeScript
/// ("INVALID_SHAPE", "INVALID_TOKEN", "OUT_OF_MEMORY", ...); `what()` is a sentence naming value, limit and next step.
class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message) : std::runtime_error(message), code_(std::move(code)) {}
  const std::string& code() const noexcept { return code_; }

 private:
  std::string code_;
};

/// Builds the message from its parts and throws, so that call sites stay one line.
template <typename... Parts>
[[noreturn]] void fail(const char* code, const Parts&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw Error(code, message.str());
}

}  // namespace hint
