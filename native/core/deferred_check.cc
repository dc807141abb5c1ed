#include "native/core/deferred_check.h"

#include <algorithm>

namespace hint {

void addOpen(Checks& checks, const Checks& more) {
  for (const CheckedCommands& one : more) {
    const auto found = std::find_if(checks.begin(), checks.end(),
                                    [&](const CheckedCommands& other) { return other.check == one.check; });
    if (found != checks.end())
      found->commands |= one.commands;
    else if (!one.hold())
      checks.push_back(one);
  }
}

}  // namespace hint
