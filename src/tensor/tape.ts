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
}

/**
 * Records ops and walks them backwards. There is no rule per op: an op's native declaration says which inputs can
 * receive gradients and which values its backward kernel reads, and everything else is freed early.
 */
export class Tape implements Recorder {
  private readonly device: Device;
  private nodes: (OpNode | RecomputeNode)[] = [];
  private leaves: Set<number>;
  /** While a body runs that will run again: the tape stays the device's, so that both runs read the same weights. */
  private paused = false;

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
    if (this.paused || !spec.differentiable) return false;
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
    if (this.paused) return body(...inputs);
    const device = this.device;
    if (!Array.isArray(inputs))
      throw new HintError(
        'INVALID_ARGUMENT',
        `The inputs of recompute must be an array, not ${kindOf(inputs)}.`,
      );
    const given = inputs.map((input) => requireOn(device, input, 'An input of recompute'));
    let outputs: Tensor[];
    this.paused = true;
    try {
      outputs = device.tidy(() => body(...given));
    } finally {
      this.paused = false;
    }
    requireOutputs(outputs);
    for (const output of outputs) output.requiresGrad = true;
    this.nodes.push({
      kind: 'recompute',
      inputs: given.map((input) => device.keep(input.alias())),
      body,
      outputs,
    });
    return outputs;
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

  /** {@link backward} as work in slices. */
  backwardSliced(roots: Tensor[], gradients: Gradients): Sliced<void> {
    return this.device.tidied(this.walkFrom(roots, gradients));
  }

  private *walkFrom(roots: Tensor[], gradients: Gradients): Sliced<void> {
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
    yield* this.walk(seeds, gradients);
  }

  private *walk(gradientOf: Map<number, Tensor>, gradients: Gradients): Sliced<void> {
    const outer = this.device.tape;
    this.device.tape = undefined;
    try {
      for (let node = this.nodes.pop(); node; node = this.nodes.pop()) {
        if (node.kind === 'op') this.backwardOp(node, gradientOf, gradients);
        else yield* this.backwardRecompute(node, gradientOf, gradients);
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
