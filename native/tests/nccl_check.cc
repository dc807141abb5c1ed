// Compares the hand-written declarations of native/collectives/nccl/nccl.h with the real header, where that is
// installed. A difference is a compile error; the file is not linked.
#include <nccl.h>

#include <cstddef>
#include <type_traits>

#include "native/collectives/nccl/nccl.h"

namespace hint::nccl {
namespace {

/// Whether both types are passed in the same way: both are pointers, or both are integers, enumerations or plain
/// structs of one size.
template <typename Ours, typename Theirs>
constexpr bool alike =
    std::is_pointer_v<Ours> ? std::is_pointer_v<Theirs>
                            : !std::is_pointer_v<Theirs> && std::is_class_v<Ours> == std::is_class_v<Theirs> &&
                                  sizeof(Ours) == sizeof(Theirs);

template <typename Ours, typename Theirs>
struct SameCall : std::false_type {};
template <typename... Ours, typename... Theirs, typename OurResult, typename TheirResult>
requires(sizeof...(Ours) == sizeof...(Theirs)) struct SameCall<OurResult (*)(Ours...), TheirResult (*)(Theirs...)>
    : std::bool_constant<alike<OurResult, TheirResult> && (alike<Ours, Theirs> && ...)> {
};

#define HINT_CHECK(member, name) \
  static_assert(SameCall<decltype(Functions::member), decltype(&nccl##name)>::value, #name);
HINT_NCCL_FUNCTIONS(HINT_CHECK)
#undef HINT_CHECK

static_assert(sizeof(UniqueId::internal) == NCCL_UNIQUE_ID_BYTES);
static_assert(kSuccess == static_cast<int>(ncclSuccess) && kInvalidUsage == static_cast<int>(ncclInvalidUsage));
static_assert(kInProgress == static_cast<int>(ncclInProgress));
static_assert(kUint8 == static_cast<int>(ncclUint8) && kFloat32 == static_cast<int>(ncclFloat32));
static_assert(kBfloat16 == static_cast<int>(ncclBfloat16));
static_assert(kSum == static_cast<int>(ncclSum));
static_assert(offsetof(Config, size) == offsetof(ncclConfig_t, size));
static_assert(offsetof(Config, magic) == offsetof(ncclConfig_t, magic));
static_assert(offsetof(Config, version) == offsetof(ncclConfig_t, version));
static_assert(offsetof(Config, blocking) == offsetof(ncclConfig_t, blocking));
static_assert(sizeof(Config) <= sizeof(ncclConfig_t));

}  // namespace
}  // namespace hint::nccl
