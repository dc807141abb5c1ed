import { HintError } from '../util/errors.js';
import { deviceOf, type Device } from './device.js';
import { guarded, native, type NativeCall, type NativeTensor, type OpSpec } from './native.js';
import type { Sliced } from './slices.js';
import { functionOf, kindOf } from './shape.js';
import { blankHandle, giveSpareCall, Tensor, tensorOf, viewHandle, type Recorder } from './tensor.js';

/** Where gradients of parameters gather, across microbatches, until the optimiser takes them. */
export class Gradients {
  private readonly slots = new Map<number, { gradient: Tensor; written: boolean }>();

  private readonly device: Device;

  /** @throws HintError INVALID_ARGUMENT when `device` is none */
  constructor(device: Device) {
    this.device = deviceOf(device);
  }

  /** The gradient of `parameter`, or undefined when nothing wrote one since the last reset. */
  get(parameter: Tensor): Tensor | undefined {
    const slot = this.slots.get(parameter.id);
    return slot?.written ? slot.gradient : undefined;
  }

  /** The gradient to write into and whether it holds a value to add to. */
  target(id: number, shape: readonly number[]): { gradient: Tensor; beta: number } {
    let slot = this.slots.get(id);
    if (!slot) {
      slot = { gradient: this.device.keep(this.device.tensor(null, shape, 'f32')), written: false };
      this.slots.set(id, slot);
    }
    const beta = slot.written ? 1 : 0;
    slot.written = true;
    return { gradient: slot.gradient, beta };
  }

  /** Starts the next sum: the memory stays, the values count as absent. */
  reset(): void {
    for (const slot of this.slots.values()) slot.written = false;
  }

  /** Gives back every gradient's memory. */
  dispose(): void {
    for (const slot of this.slots.values()) slot.gradient.dispose();
    this.slots.clear();
  }
}

function requireOn(device: Device, value: unknown, name: string): Tensor {
  const tensor = tensorOf(value, name);
  if (tensor.device !== device)
    throw new HintError('INVALID_ARGUMENT', `${name} belongs to another device than its tape.`);
  return tensor;
}

/** What the body of recompute returned: Tensors, the second time as many as the first. */
function requireOutputs(outputs: unknown, count?: number): void {
  if (
    Array.isArray(outputs) &&
    outputs.every((output) => output instanceof Tensor) &&
    outputs.length === (count ?? outputs.length)
  )
    return;
  throw new HintError(
    'INVALID_ARGUMENT',
    'The body of recompute must return an array of Tensors, as many each time it runs.',
  );
}

/** Gives back what a call holds that nobody walks backwards any more. */
function releaseCall(call: NativeCall): void {
  guarded(() => native().releaseCall(call));
  giveSpareCall(call);
}

/** The leaf that a tensor is, or is a window of, by its id. */
const leafOf = ({ id, base }: Tensor): number => base?.tensor.id ?? id;

interface OpNode {
  kind: 'op';
  spec: OpSpec;
  /** Holds what the backward kernel reads, and of everything else the shape. */
  call: NativeCall;
  inputs: (Tensor | null | undefined)[];
  outputs: (Tensor | null)[];
}

interface RecomputeNode {
  kind: 'recompute';
  inputs: Tensor[];
  body: (...inputs: Tensor[]) => Tensor[];
  outputs: Tensor[];
  /** What the body reads. */
  leaves: ReadonlySet<number>;
}

/**
 * Records ops and walks them backwards. There is no rule per op: an op's native declaration says which inputs can
 * receive gradients and which values its backward kernel reads, and everything else is freed early.
 */
export class Tape implements Recorder {
  private readonly device: Device;
  private nodes: (OpNode | RecomputeNode)[] = [];
  private leaves: Set<number>;
  /**
   * What a body that will run again has read so far, while it runs: the tape stays the device's, so that both runs read the
   * same weights.
   */
  private readByBody: Set<number> | undefined;

  /**
   * @param parameters the leaves whose gradients are wanted
   * @throws HintError INVALID_ARGUMENT when `device` is none, or one is no Tensor of it
   */
  constructor(device: Device, parameters: Iterable<Tensor>) {
    this.device = deviceOf(device);
    if (typeof parameters?.[Symbol.iterator] !== 'function' || ArrayBuffer.isView(parameters))
      throw new HintError(
        'INVALID_ARGUMENT',
        `parameters must be a list of Tensors, not ${kindOf(parameters)}.`,
      );
    const leaves = [...parameters].map((parameter) => requireOn(device, parameter, 'A parameter of a tape'));
    for (const leaf of leaves) leaf.requiresGrad = true;
    this.leaves = new Set(leaves.map(({ id }) => id));
  }

  /** Runs `body` with this tape recording. */
  run<T>(body: () => T): T {
    functionOf(body, 'body');
    const outer = this.device.tape;
    this.device.tape = this;
    try {
      return body();
    } finally {
      this.device.tape = outer;
    }
  }

  /** {@link run} for work in slices. */
  *recording<T>(work: Sliced<T>): Sliced<T> {
    const outer = this.device.tape;
    this.device.tape = this;
    try {
      return yield* work;
    } finally {
      this.device.tape = outer;
    }
  }

  /** Whether an op on these inputs is to be recorded. */
  wants(spec: OpSpec, inputs: (Tensor | null | undefined)[]): boolean {
    if (this.readByBody) {
      this.noteLeaves(inputs, this.readByBody);
      return false;
    }
    if (!spec.differentiable) return false;
    for (let i = 0; i < inputs.length; i++)
      if (inputs[i]?.requiresGrad && spec.inputs[i]?.differentiable) return true;
    return false;
  }

  /** Called by the device for every enqueued op that the tape {@link wants}. */
  record(
    spec: OpSpec,
    inputs: (Tensor | null | undefined)[],
    outputs: (Tensor | null)[],
    call: NativeCall,
  ): void {
    outputs.forEach((output, i) => {
      if (output && spec.outputs[i]?.differentiable) output.requiresGrad = true;
    });
    this.nodes.push({ kind: 'op', spec, call, inputs, outputs });
  }

  /**
   * Activation checkpointing: runs `body` without keeping its intermediate values and runs it again when its
   * gradient is needed. `body` must depend only on its inputs, on parameters and on counter-based dropout.
   *
   * @throws HintError INVALID_ARGUMENT when an input is no Tensor of the device, or the body returns no array of Tensors
   */
  recompute(inputs: Tensor[], body: (...inputs: Tensor[]) => Tensor[]): Tensor[] {
    functionOf(body, 'body');
    if (this.readByBody) return body(...inputs);
    const device = this.device;
    if (!Array.isArray(inputs))
      throw new HintError(
        'INVALID_ARGUMENT',
        `The inputs of recompute must be an array, not ${kindOf(inputs)}.`,
      );
    const given = inputs.map((input) => requireOn(device, input, 'An input of recompute'));
    let outputs: Tensor[];
    const leaves = new Set<number>();
    this.noteLeaves(given, leaves);
    this.readByBody = leaves;
    try {
      outputs = device.tidy(() => body(...given));
    } finally {
      this.readByBody = undefined;
    }
    requireOutputs(outputs);
    for (const output of outputs) output.requiresGrad = true;
    this.nodes.push({
      kind: 'recompute',
      inputs: given.map((input) => device.keep(input.alias())),
      body,
      outputs,
      leaves,
    });
    return outputs;
  }

  private noteLeaves(tensors: readonly (Tensor | null | undefined)[], leaves: Set<number>): void {
    for (const tensor of tensors)
      if (tensor?.requiresGrad && this.leaves.has(leafOf(tensor))) leaves.add(leafOf(tensor));
  }

  private leavesOf(node: OpNode | RecomputeNode): ReadonlySet<number> {
    if (node.kind === 'recompute') return node.leaves;
    const leaves = new Set<number>();
    this.noteLeaves(node.inputs, leaves);
    return leaves;
  }

  /**
   * Adds d(sum of roots)/d(leaf) to `gradients` for every leaf. Roots are one-element tensors. The tape is empty
   * afterwards, also when it fails.
   *
   * @throws HintError INVALID_SHAPE for a root of several elements, INVALID_ARGUMENT for one that is no f32 Tensor of the
   *   device or was disposed, or that no op on this tape produced
   */
  backward(roots: Tensor[], gradients: Gradients): void {
    this.device.now(this.backwardSliced(roots, gradients));
  }

  /**
   * {@link backward} as work in slices.
   *
   * @param onFinal told of each leaf that the tape has read, by its id, when all that adds to its gradient is enqueued
   */
  backwardSliced(roots: Tensor[], gradients: Gradients, onFinal?: (leaf: number) => void): Sliced<void> {
    return this.device.tidied(this.walkFrom(roots, gradients, onFinal));
  }

  private *walkFrom(
    roots: Tensor[],
    gradients: Gradients,
    onFinal: ((leaf: number) => void) | undefined,
  ): Sliced<void> {
    if (!Array.isArray(roots) || !(gradients instanceof Gradients)) {
      throw new HintError(
        'INVALID_ARGUMENT',
        `backward takes an array of roots and Gradients, not ${kindOf(roots)} and ${kindOf(gradients)}.`,
      );
    }
    const seeds = new Map<number, Tensor>();
    for (const value of roots) {
      const root = requireOn(this.device, value, 'A root of backward');
      if (root.dtype !== 'f32')
        throw new HintError('INVALID_ARGUMENT', `A loss is f32; this one is ${root.dtype}.`);
      if (root.size !== 1)
        throw new HintError('INVALID_SHAPE', `A loss has one element; this one has ${root.size}.`);
      seeds.set(root.id, this.device.full(root.shape, 1));
    }
    yield* this.walk(seeds, gradients, onFinal && this.countdown(onFinal));
  }

  /** Calls `onFinal` for a leaf once it has been told of as many nodes as read it. */
  private countdown(onFinal: (leaf: number) => void): (leaves: ReadonlySet<number>) => void {
    const readers = new Map<number, number>();
    for (const node of this.nodes)
      for (const leaf of this.leavesOf(node)) readers.set(leaf, (readers.get(leaf) ?? 0) + 1);
    return (leaves) => {
      for (const leaf of leaves) {
        const left = readers.get(leaf)! - 1;
        readers.set(leaf, left);
        if (left === 0) onFinal(leaf);
      }
    };
  }

  private *walk(
    gradientOf: Map<number, Tensor>,
    gradients: Gradients,
    onDone?: (leaves: ReadonlySet<number>) => void,
  ): Sliced<void> {
    const outer = this.device.tape;
    this.device.tape = undefined;
    try {
      for (let node = this.nodes.pop(); node; node = this.nodes.pop()) {
        if (node.kind === 'op') this.backwardOp(node, gradientOf, gradients);
        else yield* this.backwardRecompute(node, gradientOf, gradients);
        onDone?.(this.leavesOf(node));
        yield;
      }
    } finally {
      this.device.tape = outer;
      this.clear();
    }
  }

  /** Gives back what the nodes hold that nobody walks any more. */
  private clear(): void {
    for (const node of this.nodes) {
      if (node.kind === 'op') releaseCall(node.call);
      else for (const input of node.inputs) input.dispose();
    }
    this.nodes = [];
  }

  private backwardOp(node: OpNode, gradientOf: Map<number, Tensor>, gradients: Gradients): void {
    const { call, spec, inputs, outputs } = node;
    const passing = outputs.map((output) => output && gradientOf.get(output.id));
    const gradOutputs = passing.map((gradient) => gradient?.handle ?? null);
    if (gradOutputs.some((gradient) => gradient !== null)) {
      const count = spec.inputs.length;
      const gradInputs = new Array<NativeTensor | null>(count).fill(null);
      const betas = new Array<number>(count).fill(0);
      for (let i = 0; i < inputs.length; i++) {
        const input = inputs[i];
        if (!input?.requiresGrad || !spec.inputs[i]?.differentiable) continue;
        const { gradient, beta } = this.target(input, gradientOf, gradients);
        gradInputs[i] = gradient.handle;
        betas[i] = beta;
      }
      const { handle } = this.device;
      guarded(() => native().enqueueBackward(handle, call, ...gradOutputs, ...gradInputs, ...betas));
      giveSpareCall(call);
    } else {
      releaseCall(call);
    }
    for (let i = 0; i < outputs.length; i++) {
      if (!passing[i]) continue;
      passing[i]?.dispose();
      gradientOf.delete((outputs[i] as Tensor).id);
    }
  }

  private *backwardRecompute(
    node: RecomputeNode,
    gradientOf: Map<number, Tensor>,
    gradients: Gradients,
  ): Sliced<void> {
    const seeds = new Map<number, Tensor>();
    node.outputs.forEach((output, i) => {
      const gradient = gradientOf.get(output.id);
      if (gradient) seeds.set(i, gradient);
      gradientOf.delete(output.id);
    });
    if (seeds.size > 0) {
      // The second forward's values die here; only gradients travel on.
      yield* this.device.tidied(this.runAgain(node, seeds, gradientOf, gradients));
    }
    for (const input of node.inputs) input.dispose();
  }

  /** @returns the gradients that travel on */
  private *runAgain(
    node: RecomputeNode,
    seeds: Map<number, Tensor>,
    gradientOf: Map<number, Tensor>,
    gradients: Gradients,
  ): Sliced<Tensor[]> {
    const inner = new Tape(this.device, []);
    const outputs = inner.run(() => node.body(...node.inputs));
    requireOutputs(outputs, node.outputs.length);
    for (const [i, gradient] of seeds) gradientOf.set((outputs[i] as Tensor).id, gradient);
    inner.leaves = this.leaves;
    yield* inner.walk(gradientOf, gradients);
    return [...gradientOf.values()];
  }

  /**
   * Where the gradient of `tensor` goes: a leaf's sum, which is f32; its base's gradient or a window of it; or a passing
   * value of its own dtype.
   */
  private target(
    tensor: Tensor,
    gradientOf: Map<number, Tensor>,
    gradients: Gradients,
  ): { gradient: Tensor; beta: number } {
    if (tensor.base) {
      const whole = this.target(tensor.base.tensor, gradientOf, gradients);
      if (whole.gradient.size === tensor.size) return whole;
      if (whole.beta === 0) this.device.apply('fill', [whole.gradient], { value: 0 });
      const window = viewHandle(whole.gradient.handle, tensor.base.offset, tensor.shape);
      const gradient = new Tensor(this.device, window, tensor.shape, whole.gradient.dtype);
      return { gradient: this.device.adopt(gradient), beta: 1 };
    }
    if (this.leaves.has(tensor.id)) return gradients.target(tensor.id, tensor.shape);
    const known = gradientOf.get(tensor.id);
    if (known) return { gradient: known, beta: 1 };
    const { shape, dtype } = tensor;
    const blank = blankHandle(this.device.handle, shape, dtype);
    const gradient = this.device.adopt(new Tensor(this.device, blank, shape, dtype));
    gradientOf.set(tensor.id, gradient);
    return { gradient, beta: 0 };
  }
}
