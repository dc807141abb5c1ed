import type { NativeModule, NativeProgram } from '../../../src/tensor/native.js';
import { enqueueOp } from '../native-ops.js';
import type { Judge } from './judge.js';
import type { OpCalls } from './op-calls.js';
import { sizeOf, type World } from './world.js';

type Export = keyof NativeModule;

/** Probability that one argument of a call is exchanged for another value. */
const ODD = 0.12;

/** Random calls of every export of the native module except those that {@link OpCalls} makes. */
export class NativeCalls {
  constructor(
    private readonly judge: Judge,
    private readonly ops: OpCalls,
  ) {}

  /** Calls an export with the arguments given, of which one may be exchanged. */
  private invoke(world: World, name: Export, ...args: unknown[]): unknown {
    const { random, native } = world;
    if (args.length > 0 && random.chance(ODD)) args[random.below(args.length)] = world.oddity();
    return this.judge.call(`native.${name}`, () =>
      (native[name] as (...given: unknown[]) => unknown)(...args),
    );
  }

  call(world: World): void {
    const { random } = world;
    const name = random.pick(Object.keys(this.actions) as Export[]);
    this.actions[name]?.(world);
  }

  /** Every export that has an action here; the runner compares them with the module. */
  get names(): string[] {
    return Object.keys(this.actions);
  }

  private readonly actions: Partial<Record<Export, (world: World) => void>> = {
    createDevice: (world) => {
      const device = this.invoke(world, 'createDevice', 1 + world.random.below(2), 1 << 20, 'cpu', 0);
      if (device) this.invoke(world, 'closeDevice', device);
    },
    closeDevice: (world) => {
      if (world.random.chance(0.2)) world.replaceDevice();
      else this.invoke(world, 'closeDevice', world.closed);
    },
    createTensor: (world) => {
      const shape = world.shape();
      const dtype = world.dtype();
      this.invoke(world, 'createTensor', world.device, dtype, shape, world.data(dtype, sizeOf(shape)));
    },
    mapFile: (world) => {
      this.invoke(world, 'mapFile', world.descriptor);
    },
    mapTensor: (world) => {
      const position = 4 * world.random.below(64);
      this.invoke(world, 'mapTensor', world.device, world.file, 'f32', [4, 4], position);
    },
    releasePages: (world) => {
      this.invoke(world, 'releasePages', world.device, world.tensor([4], 'f32').handle);
    },
    firstNonFinite: (world) => {
      this.invoke(world, 'firstNonFinite', world.device, world.tensor(world.shape(), world.dtype()).handle);
    },
    viewTensor: (world) => {
      const { random } = world;
      const tensor = world.tensor([4, 4], world.dtype());
      const view = this.invoke(world, 'viewTensor', tensor.handle, random.below(8), [random.below(3), 4]);
      if (view) this.invoke(world, 'readTensor', world.device, view);
    },
    cloneTensor: (world) => {
      this.invoke(world, 'cloneTensor', world.tensor([3], 'f32').handle);
    },
    releaseTensor: (world) => {
      const { handle } = world.tensor([3], 'f32');
      this.invoke(world, 'releaseTensor', handle);
      if (world.random.chance(0.2)) this.invoke(world, 'readTensor', world.device, handle);
    },
    assignTensor: (world) => {
      const shape = world.shape();
      const dtype = world.dtype();
      const [to, from] = [world.tensor(shape, dtype), world.tensor(shape, dtype)];
      this.invoke(world, 'assignTensor', world.device, to.handle, from.handle);
      this.invoke(world, 'readTensor', world.device, to.handle);
    },
    writeTensor: (world) => {
      const { random, device } = world;
      const { handle } = world.tensor([4], 'f32');
      this.invoke(
        world,
        'writeTensor',
        device,
        handle,
        4 * random.below(3),
        new Float32Array(random.below(3)),
      );
      this.invoke(world, 'readTensor', device, handle);
    },
    readTensor: (world) => {
      this.invoke(world, 'readTensor', world.device, world.tensor(world.shape(), world.dtype()).handle);
    },
    synchronize: (world) => {
      this.invoke(world, 'synchronize', world.device);
    },
    beginRecording: (world) => this.record(world),
    statistics: (world) => {
      this.invoke(world, 'statistics', world.device);
    },
    takeTrace: (world) => {
      const device = this.invoke(world, 'createDevice', 1, 0, 'trace', 0);
      if (!device) return;
      const tensor = this.invoke(world, 'createTensor', device, 'f32', [4], new Float32Array(4));
      if (tensor) this.invoke(world, 'readTensor', device, tensor);
      this.invoke(world, 'takeTrace', world.random.chance(0.2) ? world.device : device);
      this.invoke(world, 'closeDevice', device);
    },
    resetPeakMemory: (world) => {
      this.invoke(world, 'resetPeakMemory', world.device);
    },
    simulateRounding: (world) => {
      this.invoke(world, 'simulateRounding', world.device, world.random.below(3));
    },
    setThreads: (world) => {
      this.invoke(world, 'setThreads', world.device, world.random.below(3));
    },
    ops: (world) => {
      this.invoke(world, 'ops');
    },
    platform: (world) => {
      this.invoke(world, 'platform');
    },
    // After the CUDA library was looked for, it is of no effect.
    setCudaFolder: (world) => {
      this.invoke(world, 'cuda');
      this.invoke(world, 'setCudaFolder', '/nowhere');
    },
    cuda: (world) => {
      this.invoke(world, 'cuda');
    },
    gpuEnergy: (world) => {
      this.invoke(world, 'gpuEnergy', world.random.below(3));
    },
    mpi: (world) => {
      this.invoke(world, 'mpi', world.random.pick(['openmpi', 'mpich']));
    },
    nccl: (world) => {
      this.invoke(world, 'nccl');
    },
    makeNcclId: (world) => {
      this.invoke(world, 'makeNcclId');
    },
    joinGpus: (world) => {
      const group = this.invoke(world, 'joinGroup', 'alone');
      if (group) this.invoke(world, 'joinGpus', group, new Uint8Array(128), 0, 1, 0);
    },
    joinGroup: (world) => {
      const group = this.invoke(world, 'joinGroup', 'alone');
      if (group) this.share(world, group);
    },
  };

  /** A recording with ops in it, closed or left open, replayed, gone on with and disposed in any order. */
  private record(world: World): void {
    const { random, native, device } = world;
    this.invoke(world, 'beginRecording', device);
    world.isRecording = true;
    for (let i = random.below(6); i > 0 && device === world.device; i--) {
      this.ops.call(world);
      world.heal();
    }
    if (device !== world.device) return;
    world.isRecording = false;
    const fill = native.ops().findIndex(({ name }) => name === 'fill');
    const stop = world.tensor([1], 'i32');
    const value = world.tensor([4], 'f32');
    this.judge.call('native.enqueue', () => enqueueOp(native, device, fill, [value.handle], [1]));
    if (random.chance(0.1)) {
      // An open recording ends with its device.
      world.replaceDevice();
      return;
    }
    let program: NativeProgram;
    try {
      program = native.endRecording(device);
    } catch {
      // With an exchanged argument, the recording began on another device or not at all.
      return;
    }
    this.judge.call('native.endRecording', () => program);
    if (random.chance(0.3)) {
      this.invoke(world, 'resumeRecording', device, program);
      try {
        program = native.endRecording(device);
      } catch {
        return;
      }
    }
    world.programs.push(program);
    if (world.programs.length > 4) world.programs.shift();
    const times = random.pick([0, 1, 2, 3]);
    this.invoke(world, 'replay', device, program, times, random.chance(0.5) ? stop.handle : null);
    if (random.chance(0.3)) native.releaseTensor(value.handle);
    else this.invoke(world, 'readTensor', device, value.handle);
    this.invoke(world, 'releaseProgram', device, random.pick(world.programs));
  }

  /** Collectives of a group of one, which may be interrupted, and closed before they are done. */
  private share(world: World, group: unknown): void {
    const { random, device } = world;
    this.invoke(world, 'exchangeBytes', group, new Uint8Array(random.below(9)), 'say hello');
    for (let i = random.below(4); i > 0; i--) {
      const kind = random.pick(['reduce', 'allReduce', 'broadcast', 'gather']);
      const { handle } = world.tensor(world.shape(), random.chance(0.8) ? 'f32' : 'bf16');
      this.invoke(world, 'startCollective', device, group, kind, [handle], [0], 0, 'share');
      if (random.chance(0.4)) this.invoke(world, 'interruptGroup', group, 'Rank 1 has ended.');
      this.invoke(world, 'finishCollectives', device, group);
      this.invoke(world, 'readTensor', device, handle);
      this.invoke(world, 'groupActivity', group);
      this.invoke(world, 'groupTimes', device, group);
      this.invoke(world, 'takeGroupIntervals', group, random.chance(0.5));
    }
    if (random.chance(0.8)) this.invoke(world, 'closeGroup', group);
  }

  /** One output's handle in a call that was given spares, live ones among them. */
  spare(world: World): void {
    const { native, device } = world;
    const scale = native.ops().findIndex(({ name }) => name === 'scale');
    const [live, dead] = [world.tensor([3], 'f32'), world.tensor([3], 'f32')];
    native.releaseTensor(dead.handle);
    const spares = [dead.handle, live.handle, dead.handle];
    const outputs = this.judge.call('native.enqueue', () =>
      enqueueOp(native, device, scale, [live.handle], [2], false, spares),
    )?.outputs;
    const output = outputs?.[0];
    if (output) this.invoke(world, 'readTensor', device, output.handle);
    this.invoke(world, 'readTensor', device, live.handle);
  }
}
