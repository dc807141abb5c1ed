#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "bindings/convert.h"
#include "bindings/exports.h"
#include "native/core/table.h"

namespace hint::binding {
namespace {

const OpSpec& opAt(const Napi::Value& value) {
  return opTable()[static_cast<size_t>(
      wholeNumberOf(value, "The op's number", 0, static_cast<int64_t>(opTable().size()) - 1))];
}

ProgramHandle& programOf(const Napi::Value& value) {
  return handleOf<ProgramHandle>(value, "A recorded program was expected here.");
}

/// A program of `stream`, which still exists.
ProgramHandle& ownProgramOf(const Napi::Value& value, Stream& stream) {
  ProgramHandle& handle = programOf(value);
  if (!handle.program) fail("INVALID_ARGUMENT", "This program was disposed; record it again.");
  if (handle.owner != stream.sharedAllocator())
    fail("INVALID_ARGUMENT", "This program was recorded on another device; record it here.");
  return handle;
}

/// Whether a call is saved for its backward pass: a flag, or a handle to save it in.
bool savesCall(const Napi::Value& save) {
  if (save.IsBoolean()) return save.As<Napi::Boolean>().Value();
  handleOf<CallHandle>(save, "save: true, false or a saved call was expected here.");
  return true;
}

/// The lists of a call are its last values: more than the op declares are a list that has slipped.
void requireCount(const Info& info, size_t most, const OpSpec& op) {
  if (info.Length() > most)
    fail("INVALID_ARGUMENT", op.name, " was called with ", info.Length(), " values; there may be ", most, " at most.");
}

}  // namespace

/// (device, op, save, numbers, ...inputs, ...attributes, ...spares): inputs and attributes are as many as the op
/// declares. Puts what describeTensor says of each output into `numbers`. Outputs take the spare handles, one after the
/// other, and the call, where `save` is a handle of one that was walked backwards or released, takes that. Where there
/// are too few, or somebody uses one still: -> outputs, null where absent, and behind them the call where it is saved.
Napi::Value enqueue(const Info& info) {
  const OpSpec& op = opAt(info[1]);
  const Arguments inputs(info, 4, op.inputs.size()), attributes(info, inputs.end(), op.attributes.size()),
      handles(info, attributes.end(), op.outputs.size());
  requireCount(info, handles.end(), op);
  std::array<Spare, Items::kMost> spares;
  for (size_t i = 0; i < handles.size(); ++i) spares[i] = Spare(handles[i]);
  const bool isSaved = savesCall(info[2]);
  double* const numbers = doublesOf(info[3], "numbers", op.outputs.size() * kNumbersOfOutput);
  Stream& stream = streamOf(info[0]);
  auto call = stream.call(op);
  readTensors(*call, inputs, op.inputs, call->inputs, call->inputPresent);
  readAttributes(*call, attributes);
  stream.requireOwn(*call);
  call->bind();
  const size_t count = call->outputs.size();
  for (size_t i = 0; i < count; ++i)
    if (call->outputPresent[i]) call->outputs[i].buffer = stream.buffer(call->outputs[i].bytes());
  bool areSparesEnough = true;
  std::array<napi_value, Items::kMost> made{};
  for (size_t i = 0, taken = 0; i < count; ++i) {
    const Tensor* output = call->outputPresent[i] ? &call->outputs[i] : nullptr;
    describeTensor(output, numbers + i * kNumbersOfOutput);
    if (!output) continue;
    made[i] = spares[taken].wrap(info.Env(), *output);
    areSparesEnough = areSparesEnough && made[i] == static_cast<napi_value>(handles[taken]);
    ++taken;
  }
  Napi::Value saved;
  if (isSaved) {
    saved = wrapForBackward(info.Env(), *call, stream, info[2]);
    areSparesEnough = areSparesEnough && static_cast<napi_value>(saved) == static_cast<napi_value>(info[2]);
  }
  stream.enqueue(std::move(call));
  if (areSparesEnough) return info.Env().Undefined();
  Napi::Array results = Napi::Array::New(info.Env());
  for (uint32_t i = 0; i < count; ++i) results.Set(i, made[i] ? made[i] : info.Env().Null());
  if (isSaved) results.Set(static_cast<uint32_t>(count), saved);
  return results;
}

/// (device, saved call, ...gradOutputs, ...gradInputs, ...betas), as many as the op has outputs, inputs and inputs:
/// takes the saved call, also when the gradients are refused.
Napi::Value enqueueBackward(const Info& info) {
  Stream& stream = streamOf(info[0]);
  auto& saved = handleOf<CallHandle>(info[1], "A saved call was expected here.");
  if (!saved.call)
    fail("INVALID_ARGUMENT", "This call was walked backwards already, or was released; record it again.");
  if (saved.owner != stream.sharedAllocator())
    fail("INVALID_ARGUMENT", saved.call->describe(),
         ": this call was made on another device; walk it backwards there.");
  auto call = std::move(saved.call);
  saved.owner.reset();
  const OpSpec& op = *call->spec;
  const Arguments gradOutputs(info, 2, op.outputs.size()), gradInputs(info, gradOutputs.end(), op.inputs.size()),
      betas(info, gradInputs.end(), op.inputs.size());
  requireCount(info, betas.end(), op);
  std::vector<bool> present;
  readTensors(*call, gradOutputs, op.outputs, call->gradOutputs, present);
  readTensors(*call, gradInputs, op.inputs, call->gradInputs, present);
  call->betas.resize(call->gradInputs.size(), 0.0f);
  for (size_t i = 0; i < call->betas.size(); ++i)
    if (call->gradInputs[i]) call->betas[i] = static_cast<float>(numberOf(betas[i], "A beta"));
  call->backward = true;
  call->checkGradients();
  stream.requireOwn(*call);
  stream.enqueue(std::move(call));
  return info.Env().Undefined();
}

/// (saved call): gives its memory back where nothing needs its backward pass.
Napi::Value releaseCall(const Info& info) {
  auto& saved = handleOf<CallHandle>(info[0], "A saved call was expected here.");
  saved.call.reset();
  saved.owner.reset();
  return info.Env().Undefined();
}

Napi::Value beginRecording(const Info& info) {
  streamOf(info[0]).beginRecording();
  return info.Env().Undefined();
}

Napi::Value endRecording(const Info& info) {
  Stream& stream = streamOf(info[0]);
  ProgramHandle handle;
  handle.program = stream.endRecording();
  handle.owner = stream.sharedAllocator();
  return wrapHandle(info.Env(), std::move(handle));
}

/// (device, program): takes the program out of its handle, for the next endRecording to give.
Napi::Value resumeRecording(const Info& info) {
  Stream& stream = streamOf(info[0]);
  ProgramHandle& handle = ownProgramOf(info[1], stream);
  if (handle.isReplayed)
    fail("INVALID_ARGUMENT", "A program that was replayed cannot be recorded further; record another.");
  stream.resumeRecording(handle.program);
  handle.program.reset();
  return info.Env().Undefined();
}

/// (device, program): its calls and their memory go once what is queued has run, on the stream's thread; collecting the
/// handle may come much later. A program that was disposed, or whose device was closed, is not touched.
Napi::Value releaseProgram(const Info& info) {
  const auto& device = handleOf<DeviceHandle>(info[0], "A device was expected here.");
  auto program = std::exchange(programOf(info[1]).program, nullptr);
  if (program && device.stream) device.stream->post([held = std::move(program)] {});
  return info.Env().Undefined();
}

/// (device, program, times, stop tensor | null): long replays are sent in pieces, so that JavaScript can cancel
/// between.
Napi::Value replay(const Info& info) {
  Stream& stream = streamOf(info[0]);
  ProgramHandle& handle = ownProgramOf(info[1], stream);
  const auto times = static_cast<int>(wholeNumberOf(info[2], "times", 0, INT32_MAX));
  Tensor stop;
  if (!isAbsent(info[3])) {
    stop = tensorOf(info[3]).tensor;
    stream.requireOwn(stop, "The stop flag of the replay");
    if (stop.dtype != DType::i32 || stop.size() != 1)
      fail("INVALID_ARGUMENT", "The stop flag of a replay must be one i32, not ", nameOf(stop.dtype), " ",
           toString(stop.shape), ".");
  }
  handle.isReplayed = true;
  stream.replay(handle.program, times, std::move(stop));
  return info.Env().Undefined();
}

}  // namespace hint::binding
