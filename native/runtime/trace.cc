#include "native/runtime/trace.h"

#include <cstring>

namespace hint {
namespace {

/// A source of distinct addresses that no memory belongs to.
class NoMemory final : public MemorySource {
 public:
  void* take(size_t bytes) override {
    constexpr size_t kAlignment = 256;
    const uintptr_t address = next_;
    next_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return reinterpret_cast<void*>(address);
  }
  void give(void*) override {}

 private:
  uintptr_t next_ = uintptr_t{1} << 47;  ///< above user space on x86-64 and arm64
};

class TracingBackend final : public Backend {
 public:
  explicit TracingBackend(std::shared_ptr<Trace> trace) : trace_(std::move(trace)) {}

  DeviceType type() const override { return DeviceType::cuda; }
  std::unique_ptr<MemorySource> memory() const override { return std::make_unique<NoMemory>(); }
  void enter(std::shared_ptr<Allocator>) override {}
  void run(Call& call) override { trace_->add(call); }
  void upload(void*, const void*, size_t bytes) override { trace_->addCopy(static_cast<double>(bytes)); }
  void download(void* to, const void*, size_t bytes) override {
    std::memset(to, 0, bytes);
    trace_->addCopy(static_cast<double>(bytes));
  }
  void whenDone(Then then) override { then(nullptr); }
  std::shared_ptr<Mark> mark() override { return nullptr; }
  Checks takeChecks() override { return {}; }

  void replay(Program& program, int times, const Tensor& stop, const std::atomic<bool>& cancel,
              const std::function<void(Call&)>& runCall) override {
    if (stop) requireStop(stop);
    for (int round = 0; round < times; ++round)
      for (const auto& call : program.calls) {
        if (cancel) return;
        runCall(*call);
      }
  }

 private:
  const std::shared_ptr<Trace> trace_;
};

}  // namespace

TracedCalls& Trace::rowOf(const std::string& key, const TracedCalls& fresh) {
  const auto [place, isNew] = places_.try_emplace(key, rows_.size());
  if (isNew) rows_.push_back(fresh);
  return rows_[place->second];
}

void Trace::add(const Call& call) {
  const GpuWork work = call.gpuWork();
  TracedCalls fresh;
  fresh.op = call.spec->name;
  fresh.backward = call.backward;
  for (size_t i = 0; i < call.inputs.size(); ++i)
    if (call.has(static_cast<int>(i))) {
      fresh.dtype = call.inputs[i].dtype;
      break;
    }
  fresh.dimensions = call.dimensions;
  std::string key = fresh.op + (call.backward ? "'" : "") + nameOf(fresh.dtype);
  for (const auto& [name, size] : call.dimensions) key += ' ' + name + std::to_string(size);
  const std::lock_guard lock(mutex_);
  TracedCalls& row = rowOf(key, fresh);
  row.calls += 1;
  row.flops += call.flops();
  row.bytes += call.traffic();
  row.passBytes += work.passBytes;
  row.launches += work.launches;
}

void Trace::addCopy(double bytes) {
  const std::lock_guard lock(mutex_);
  TracedCalls fresh;
  fresh.op = "host copy";
  TracedCalls& row = rowOf(fresh.op, fresh);
  row.calls += 1;
  row.bytes += bytes;
}

std::vector<TracedCalls> Trace::take() {
  const std::lock_guard lock(mutex_);
  places_.clear();
  return std::exchange(rows_, {});
}

std::unique_ptr<Backend> tracingBackend(std::shared_ptr<Trace> trace) {
  return std::make_unique<TracingBackend>(std::move(trace));
}

}  // namespace hint
