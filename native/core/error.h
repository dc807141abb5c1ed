#pragma once

#include <memory>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>

namespace hint {

/// What users are told where a library is missing in a build, or is another build's.
inline constexpr const char* kBuildAgain =
    "build the engine again: \"npm run build\" in a clone, \"npx hint build\" where npm installed it";

/// The one exception of the native engine. `code` is one of the codes of HintError in TypeScript
/// ("INVALID_SHAPE", "INVALID_TOKEN", "OUT_OF_MEMORY", ...); `what()` is a sentence naming value, limit and next step.
class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message) : std::runtime_error(message), code_(std::move(code)) {}
  const std::string& code() const noexcept { return code_; }

 private:
  std::string code_;
};

/// Throws an Error whose message is the concatenation of `parts`.
template <typename... Parts>
[[noreturn]] void fail(const char* code, const Parts&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw Error(code, message.str());
}

/// The current exception as an Error; call it inside a catch block. std::bad_alloc and std::length_error become
/// OUT_OF_MEMORY, and every other exception that is no Error becomes INTERNAL; their messages begin with `where`.
inline std::shared_ptr<const Error> currentError(const std::string& where) {
  try {
    throw;
  } catch (const Error& error) {
    return std::make_shared<Error>(error);
  } catch (const std::bad_alloc&) {
    return std::make_shared<Error>("OUT_OF_MEMORY", where + ": the system has no memory for this; lower the sizes.");
  } catch (const std::length_error&) {
    return std::make_shared<Error>("OUT_OF_MEMORY", where + ": no memory is that large; lower the sizes.");
  } catch (const std::exception& error) {
    return std::make_shared<Error>("INTERNAL", where + ": " + error.what());
  }
}

}  // namespace hint
