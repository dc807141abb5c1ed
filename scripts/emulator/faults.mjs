// Faults that are planted into copies of kernels, three of each kind; the checked emulator must find each. `run` has
// the options of hint_op_tests, `found` the text that its output must contain.

const READS = /CUDA emulator: race: .* (?:reads|writes) shared memory/;
const PENDING = /CUDA emulator: race: .* a copy that nobody has waited for/;
const MISALIGNED = /CUDA emulator: misaligned access/;
const REFUSED = /CUDA failed to launch a kernel/;

export const FAULTS = [
  {
    kind: 'missing barrier',
    file: 'native/runtime/cuda/grouped_gemm.cu',
    from: '    __syncthreads();\n    for (int d = 0',
    to: '    for (int d = 0',
    run: ['--op', 'grouped_linear', '--dtype', 'f32', '--first'],
    found: READS,
  },
  {
    kind: 'missing barrier',
    file: 'native/ops/cross_entropy/cuda.cu',
    from: '  maxima[threadIdx.x] = maximum;\n  __syncthreads();',
    to: '  maxima[threadIdx.x] = maximum;',
    run: ['--op', 'cross_entropy', '--dtype', 'f32', '--first'],
    found: READS,
  },
  {
    kind: 'missing barrier',
    file: 'native/ops/embedding/cuda.cu',
    from: 'warpCounts[warp] = __popc(ballot);\n    __syncthreads();',
    to: 'warpCounts[warp] = __popc(ballot);',
    run: ['--op', 'embedding', '--dtype', 'f32', '--first'],
    found: READS,
  },
  {
    kind: 'wrong wait count',
    file: 'native/runtime/cuda/grouped_mma.cu',
    from: 'awaitCopies<kStages - 2>();',
    to: 'awaitCopies<kStages - 1>();',
    run: ['--op', 'grouped_linear', '--dtype', 'bf16'],
    found: PENDING,
  },
  {
    kind: 'wrong wait count',
    file: 'native/ops/attention/cuda/mma.cu',
    from: 'awaitCopies<0>();',
    to: 'awaitCopies<1>();',
    run: ['--op', 'attention', '--dtype', 'bf16'],
    found: PENDING,
  },
  {
    kind: 'wrong wait count',
    file: 'native/ops/attention/cuda/mma_key_gradient.cu',
    from: 'awaitCopies<0>();',
    to: 'awaitCopies<1>();',
    run: ['--op', 'attention', '--dtype', 'bf16'],
    found: PENDING,
  },
  {
    kind: 'misaligned copy',
    file: 'native/ops/adamw/cuda.cu',
    from: 'isAligned(parameter) && update.isAligned() ? count / 8 : 0',
    to: 'count / 8',
    run: ['--op', 'adamw', '--dtype', 'f32', '--offset', '1'],
    found: MISALIGNED,
  },
  {
    kind: 'misaligned copy',
    file: 'native/ops/adafactor/cuda_full.cu',
    from: 'isAligned(update.parameter) && isAligned(update.gradient) && isAligned(moment)',
    to: 'true',
    run: ['--op', 'adafactor', '--dtype', 'f32', '--offset', '1'],
    found: MISALIGNED,
  },
  {
    kind: 'misaligned copy',
    file: 'native/runtime/cuda/grouped_mma.cu',
    from: 'if (!isAligned(address)) return false;',
    to: 'if (address == &p) return false;',
    run: ['--op', 'grouped_linear', '--dtype', 'bf16', '--offset', '1'],
    found: MISALIGNED,
  },
  {
    kind: 'oversize launch',
    file: 'native/ops/layer_norm/cuda.cu',
    from: 'threads = normThreads(of.d)',
    to: 'threads = 2048',
    run: ['--op', 'layer_norm', '--dtype', 'f32', '--first'],
    found: REFUSED,
  },
  {
    kind: 'oversize launch',
    file: 'native/runtime/cuda/grouped_gemm.cu',
    from: 'product<T, C><<<grid,',
    to: 'product<T, C><<<dim3(grid.x, grid.y + 65535, grid.z),',
    run: ['--op', 'grouped_linear', '--dtype', 'f32', '--first'],
    found: REFUSED,
  },
  {
    kind: 'oversize launch',
    file: 'native/ops/attention/cuda/mma.cu',
    from: 'sharedMemory(mmaTile<kDim>, kBytes)',
    to: 'sharedMemory(mmaTile<kDim>, kBytes) + (230 << 10)',
    run: ['--op', 'attention', '--dtype', 'bf16'],
    found: REFUSED,
  },
  {
    kind: 'stale capture',
    file: 'native/ops/scale/cuda.cu',
    from: '[=] __device__',
    to: '[&] __device__',
    run: ['--op', 'scale', '--dtype', 'f32', '--first', '--replay'],
    found: /CUDA emulator: stray access: .* memory of the host/,
  },
  {
    kind: 'stale capture',
    file: 'native/ops/segment_mean/cuda.cu',
    from: 'const int32_t* offsets = Context::current().table(call.list("offsets"));',
    to:
      'const auto& list = call.list("offsets"); const Scratch<int32_t> offsets(static_cast<int64_t>(list.size())); ' +
      'Context::current().staging().upload(offsets.get(), list.data(), list.size() * sizeof(int32_t));',
    run: ['--op', 'segment_mean', '--dtype', 'f32', '--first', '--replay'],
    found: /CUDA emulator: stale capture/,
  },
  {
    kind: 'stale capture',
    file: 'native/ops/greedy/cuda.cu',
    from: 'const Scratch<int32_t> chosen(rows);',
    to: 'Context::current().endKeeping(); const Scratch<int32_t> chosen(rows);',
    run: ['--op', 'greedy', '--dtype', 'f32', '--first', '--replay'],
    found: /replayed, it wrote to \d+ bytes that are another's/,
  },
];
