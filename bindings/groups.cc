#include <cstring>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "bindings/convert.h"
#include "bindings/environment.h"
#include "bindings/exports.h"
#include "native/collectives/group.h"
#include "native/collectives/message_communicator.h"
#include "native/collectives/mpi_library.h"
#include "native/collectives/nccl_library.h"

namespace hint::binding {
namespace {

/// Bytes of a sentence, which may name what came from outside.
constexpr size_t kMostText = 1 << 16;

const std::shared_ptr<Group>& groupOf(const Napi::Value& value) {
  const auto& group = handleOf<GroupHandle>(value, "A group was expected here.").group;
  if (!group) fail("INVALID_ARGUMENT", "This group was closed.");
  return group;
}

Collective kindOf(const std::string& word) {
  if (word == "reduce") return Collective::reduce;
  if (word == "allReduce") return Collective::allReduce;
  if (word == "broadcast") return Collective::broadcast;
  if (word == "gather") return Collective::gather;
  fail("INVALID_ARGUMENT", "There is no collective \"", word, "\"; use reduce, allReduce, broadcast or gather.");
}

std::string implementationOf(const Napi::Value& value) {
  std::string name = wordOf(value, "implementation");
  if (name != "openmpi" && name != "mpich")
    fail("INVALID_ARGUMENT", "The MPI implementation \"", name, "\" is unknown; use openmpi or mpich.");
  return name;
}

/// Of a group of one, which needs no launcher.
class NoMessages final : public Messages {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void send(int, const void*, size_t) override { nobody(); }
  void receive(int, void*, size_t) override { nobody(); }
  bool areDone() override { return true; }
  void close() override {}

 private:
  [[noreturn]] static void nobody() { fail("INTERNAL", "A process that is alone has nobody to send to."); }
};

Napi::Array listOf(const Napi::Value& value, const char* name) {
  if (!value.IsArray()) fail("INVALID_ARGUMENT", name, " must be an array.");
  return value.As<Napi::Array>();
}

/// Of arguments 1 to 4: id, rank, size, GPU.
NcclPlace placeOf(const Info& info) {
  NcclPlace place;
  const Bytes id = bytesOf(info[1], "id");
  if (id.size != place.id.size())
    fail("INVALID_ARGUMENT", "An id of NCCL has ", place.id.size(), " bytes, not ", id.size, ".");
  std::memcpy(place.id.data(), id.data, id.size);
  place.size = static_cast<int>(wholeNumberOf(info[3], "size", 1, INT32_MAX));
  place.rank = static_cast<int>(wholeNumberOf(info[2], "rank", 0, place.size - 1));
  place.device = static_cast<int>(wholeNumberOf(info[4], "device", 0, INT32_MAX));
  return place;
}

Group::Join joinByNccl(const NcclPlace& place) {
  return [place, folder = cudaFolder()](const Interrupt& interrupt) { return joinNccl(folder, place, interrupt); };
}

}  // namespace

/// (implementation) -> { version, reason }
Napi::Value mpi(const Info& info) {
  const MpiStatus status = mpiStatus(moduleFolder(), implementationOf(info[0]));
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("version", status.version);
  object.Set("reason", status.reason);
  return object;
}

/// () -> { version, reason }
Napi::Value nccl(const Info& info) {
  const NcclStatus status = ncclStatus(cudaFolder());
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("version", status.version);
  object.Set("reason", status.reason);
  return object;
}

/// () -> ArrayBuffer
Napi::Value makeNcclId(const Info& info) {
  const NcclId id = hint::makeNcclId(cudaFolder());
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(info.Env(), id.size());
  std::memcpy(buffer.Data(), id.data(), id.size());
  return buffer;
}

/// ("alone" or an implementation of MPI): begins to join the run that a launcher started this process for; ("nccl", id,
/// rank, size, GPU): those who have this id
Napi::Value joinGroup(const Info& info) {
  GroupHandle handle;
  const std::string how = wordOf(info[0], "implementation");
  if (how == "nccl") {
    handle.group = std::make_shared<Group>(joinByNccl(placeOf(info)));
  } else {
    const std::string name = how == "alone" ? "" : implementationOf(info[0]);
    handle.group = std::make_shared<Group>([folder = moduleFolder(), name](const Interrupt& interrupt) {
      auto messages = name.empty() ? std::unique_ptr<Messages>(std::make_unique<NoMessages>()) : joinMpi(folder, name);
      return std::unique_ptr<Communicator>(std::make_unique<MessageCommunicator>(std::move(messages), interrupt));
    });
  }
  Environment::of(info.Env()).adopt(handle.group);
  return wrapHandle(info.Env(), std::move(handle));
}

/// (group, id, rank, size, GPU) -> Promise<void>: what its ranks do together with tensors of GPUs, they do by NCCL
Napi::Value joinGpus(const Info& info) {
  const auto begin = [group = groupOf(info[0]), place = placeOf(info)](Group::Then then) {
    group->add("join the GPUs of the other ranks", joinByNccl(place), std::move(then));
  };
  return Environment::of(info.Env()).promise(info.Env(), begin, [](Napi::Env env) -> Napi::Value {
    return env.Undefined();
  });
}

/// (group, bytes, what) -> Promise<ArrayBuffer[]>: of every rank; not while a stream's collectives are under way
Napi::Value exchangeBytes(const Info& info) {
  const Bytes given = bytesOf(info[1], "bytes");
  const auto result = std::make_shared<std::vector<std::vector<uint8_t>>>();
  return Environment::of(info.Env())
      .promise(
          info.Env(), groupOf(info[0]), wordOf(info[2], "what", kMostText),
          [result, own = std::vector<uint8_t>(given.data, given.data + given.size)](Communicator& communicator) {
            *result = communicator.exchange(own);
          },
          [result](Napi::Env env) -> Napi::Value {
            Napi::Array all = Napi::Array::New(env, result->size());
            for (uint32_t i = 0; i < result->size(); ++i) {
              const auto& bytes = (*result)[i];
              Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, bytes.size());
              if (!bytes.empty()) std::memcpy(buffer.Data(), bytes.data(), bytes.size());
              all.Set(i, buffer);
            }
            return all;
          });
}

/// (device, group, kind, tensors, owners, root, what)
Napi::Value startCollective(const Info& info) {
  const Napi::Array tensors = listOf(info[3], "tensors"), owners = listOf(info[4], "owners");
  if (tensors.Length() != owners.Length())
    fail("INVALID_ARGUMENT", "There are ", tensors.Length(), " tensors and ", owners.Length(), " owners.");
  std::vector<SharedTensor> shared;
  for (uint32_t i = 0; i < tensors.Length(); ++i) {
    const auto owner = static_cast<int>(wholeNumberOf(owners[i], "An owner", 0, INT32_MAX));
    shared.push_back({tensorOf(tensors[i]).tensor, owner});
  }
  const int root = isAbsent(info[5]) ? 0 : static_cast<int>(wholeNumberOf(info[5], "root", 0, INT32_MAX));
  groupOf(info[1])->start(streamOf(info[0]), kindOf(wordOf(info[2], "kind")), std::move(shared), root,
                          wordOf(info[6], "what", kMostText));
  return info.Env().Undefined();
}

/// (device, group)
Napi::Value finishCollectives(const Info& info) {
  groupOf(info[1])->finish(streamOf(info[0]));
  return info.Env().Undefined();
}

/// (group, message): ends all waits for other ranks with this error
Napi::Value interruptGroup(const Info& info) {
  groupOf(info[0])->interrupt(std::make_shared<Error>("RANK_LOST", wordOf(info[1], "message", kMostText)));
  return info.Env().Undefined();
}

/// (group) -> { what, seconds } of what its thread does now, or null
Napi::Value groupActivity(const Info& info) {
  const auto [what, seconds] = groupOf(info[0])->activity();
  if (what.empty()) return info.Env().Null();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("what", what);
  object.Set("seconds", seconds);
  return object;
}

/// (device, group) -> Promise<{ communication, exposed }>: seconds up to where the device is then; see Group::times
Napi::Value groupTimes(const Info& info) {
  return Environment::of(info.Env())
      .promise(info.Env(), sharedStreamOf(info[0]), [group = groupOf(info[1])]() -> Environment::Finish {
        return [times = group->times()](Napi::Env env) -> Napi::Value {
          Napi::Object object = Napi::Object::New(env);
          object.Set("communication", times.communication);
          object.Set("exposed", times.exposed);
          return object;
        };
      });
}

/// (group, isRecorded) -> [{ what, isExposed, begin, end }]; see Group::takeIntervals
Napi::Value takeGroupIntervals(const Info& info) {
  if (!info[1].IsBoolean()) fail("INVALID_ARGUMENT", "isRecorded must be true or false.");
  const auto intervals = groupOf(info[0])->takeIntervals(info[1].As<Napi::Boolean>());
  Napi::Array all = Napi::Array::New(info.Env(), intervals.size());
  for (uint32_t i = 0; i < intervals.size(); ++i) {
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("what", intervals[i].what);
    object.Set("isExposed", intervals[i].isExposed);
    object.Set("begin", intervals[i].begin);
    object.Set("end", intervals[i].end);
    all.Set(i, object);
  }
  return all;
}

/// (group) -> Promise<void>: takes leave of the other ranks, which do the same
Napi::Value closeGroup(const Info& info) {
  auto group = std::move(handleOf<GroupHandle>(info[0], "A group was expected here.").group);
  if (!group) fail("INVALID_ARGUMENT", "This group was closed.");
  const auto leave = [](Communicator& communicator) {
    communicator.barrier();
    communicator.close();
  };
  // The group stays until it has left.
  return Environment::of(info.Env())
      .promise(info.Env(), group, "end together with the others", leave,
               [group](Napi::Env env) -> Napi::Value { return env.Undefined(); });
}

}  // namespace hint::binding
