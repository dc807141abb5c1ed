#include "native/core/op_spec.h"

namespace hint {
namespace {

int indexOf(const std::vector<ArgSpec>& arguments, std::string_view name) {
  for (size_t i = 0; i < arguments.size(); ++i)
    if (name == arguments[i].name) return static_cast<int>(i);
  return -1;
}

}  // namespace

int OpSpec::inputIndex(std::string_view argument) const { return indexOf(inputs, argument); }
int OpSpec::outputIndex(std::string_view argument) const { return indexOf(outputs, argument); }

}  // namespace hint
