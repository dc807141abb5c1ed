import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import {
  groupedLinear,
  packedLinear,
  packWeight,
  scale,
  type FloatDType,
  type GroupedLinearOptions,
  type PackedMatrix,
  type WeightDType,
} from '../../tensor/ops.js';
import type { AdaptationName } from './adaptation-name.js';

/** One kind of generated tensor for all tasks of a batch: [tasks, slots.length, ...shape]. */
export interface GeneratedTensor {
  /** Given back (`disposed`) where `packed` is all that is read of it and it can be made again. */
  tensor: Tensor;
  /** The model's slots it holds, in order; slots that nothing reads are not generated. */
  slots: readonly number[];
  /** The same in the machine's order, where inference multiplies by it; see {@link packModules}. */
  packed?: PackedMatrix | undefined;
  /** Whether `tensor` is used where it lies in a task's file: what is read of it is `packed`. */
  inFile?: boolean | undefined;
}

/** Everything generated (or learned) for the tasks of a batch. */
export type TaskModules = ReadonlyMap<AdaptationName, GeneratedTensor>;

/**
 * Modules that are made where a layer reads them instead of being held, so that they exist no longer than what reads
 * them takes.
 */
export interface ModuleMaker {
  /** The kinds there are. */
  readonly names: ReadonlySet<AdaptationName>;
  /** Whether what reads them runs again in the backward pass by itself; false where its whole layer does. */
  readonly runsAgain: boolean;
  /** One kind for one slot of every task: [tasks, 1, ...shape], in the scope around the call. */
  generate(name: AdaptationName, slot: number): Tensor;
}

/** Neighbouring rows of a batch whose task was compiled by itself, so that its modules are tensors of their own. */
export interface TaskPart {
  modules: TaskModules;
  /** Its sequences and its rows, [begin, end) of the batch's. */
  sequences: readonly [number, number];
  rows: readonly [number, number];
}

/** How the rows of a stack belong to tasks: examples are ordered by task, so a task's rows are contiguous. */
export interface TaskRows {
  modules: TaskModules;
  /** In place of `modules`, which are then none. Training only. */
  maker?: ModuleMaker | undefined;
  /** Per sequence its task; absent when one task (or task-independent modules) serves all. */
  taskIndex: Int32Array | undefined;
  /** Rows of each task, tasks + 1 entries; absent when one task serves all. */
  rowOffsets: Int32Array | undefined;
  /**
   * Tasks compiled apart, one after the other over the whole batch; `modules` are then those of the first. The others
   * have the same kinds, but for LoRA, which some may not have. Inference only: each task's products are made with its own tensors instead of copying these
   * into one, which would cost more than a batch of inputs does.
   */
  parts?: readonly TaskPart[] | undefined;
}

/**
 * The rows of tasks that were compiled apart.
 *
 * @param tasks in the order of the batch: the modules of each, and how many sequences it has
 * @param offsets of all sequences
 */
export function partedTaskRows(
  tasks: readonly { modules: TaskModules; sequences: number }[],
  offsets: Int32Array,
): TaskRows {
  let begin = 0;
  const parts = tasks.map(({ modules, sequences }): TaskPart => {
    const end = begin + sequences;
    const part: TaskPart = {
      modules,
      sequences: [begin, end],
      rows: [offsets[begin] as number, offsets[end] as number],
    };
    begin = end;
    return part;
  });
  const [first] = parts;
  return {
    modules: first ? first.modules : new Map(),
    taskIndex: undefined,
    rowOffsets: undefined,
    parts: parts.length > 1 ? parts : undefined,
  };
}

/** What `body` makes of each part's rows of some tensors, under each other. */
export function overParts(
  parts: readonly TaskPart[],
  inputs: readonly Tensor[],
  body: (inputs: Tensor[], task: TaskRows, part: TaskPart) => Tensor,
): Tensor {
  return stackRows(
    parts.map((part) =>
      body(
        inputs.map((input) => input.narrow(...part.rows)),
        { modules: part.modules, taskIndex: undefined, rowOffsets: undefined },
        part,
      ),
    ),
  );
}

/** Tensors [rows, d] under each other. No gradient flows back: inference only, like what it is for. */
export function stackRows(tensors: readonly Tensor[]): Tensor {
  const [only] = tensors;
  if (tensors.length === 1 && only) return only;
  const { device, shape, dtype } = only as Tensor;
  const rows = tensors.reduce((total, tensor) => total + (tensor.shape[0] as number), 0);
  const stack = device.tensor(null, [rows, ...shape.slice(1)], dtype);
  let begin = 0;
  for (const tensor of tensors) {
    const end = begin + (tensor.shape[0] as number);
    device.assign(stack.narrow(begin, end), tensor);
    begin = end;
  }
  return stack;
}

/** Rows of each task, from the offsets of its sequences. */
export function taskRowOffsets(seqOffsets: Int32Array, taskIndex: Int32Array, tasks: number): Int32Array {
  const offsets = new Int32Array(tasks + 1);
  for (let sequence = 0; sequence < taskIndex.length; sequence++) {
    offsets[(taskIndex[sequence] as number) + 1] = seqOffsets[sequence + 1] as number;
  }
  for (let task = 1; task <= tasks; task++) {
    offsets[task] = Math.max(offsets[task] as number, offsets[task - 1] as number);
  }
  return offsets;
}

/** Whether matrix products read a kind of module, and so its packed form where there is one. */
export function isMatrixModule(name: AdaptationName): boolean {
  return name === 'adapter_down' || name === 'adapter_up' || name.startsWith('lora');
}

/** Whether attention reads a kind of module as keys or values. */
export function isPrefixModule(name: AdaptationName): boolean {
  return name === 'prefix_key' || name === 'prefix_value';
}

/**
 * The modules with what matrix products read of them packed, unless it is already; `finite` as in `packWeight`. What was packed belongs to the
 * caller.
 *
 * @param options `keepsTensors` false gives back what was packed: a task then takes half the memory
 */
export function* packModules(
  modules: TaskModules,
  dtypeOf: (name: AdaptationName) => WeightDType | undefined,
  { keepsTensors, ...options }: { keepsTensors: boolean; finite?: boolean },
): Sliced<TaskModules> {
  const made = new Map<AdaptationName, GeneratedTensor>();
  for (const [name, module] of modules) {
    const dtype = isMatrixModule(name) && !module.packed ? dtypeOf(name) : undefined;
    made.set(name, dtype ? { ...module, packed: packWeight(module.tensor, dtype, options) } : module);
    if (!dtype) continue;
    if (!keepsTensors) module.tensor.dispose();
    yield;
  }
  return made;
}

interface Module {
  weight: Tensor;
  slot: number;
  packed: PackedMatrix | undefined;
}

function find(rows: TaskRows | undefined, name: AdaptationName, slot: number): Module | undefined {
  if (rows?.maker?.names.has(name))
    return { weight: rows.maker.generate(name, slot), slot: 0, packed: undefined };
  const generated = rows?.modules.get(name);
  if (!generated) return undefined;
  return { weight: generated.tensor, slot: generated.slots.indexOf(slot), packed: generated.packed };
}

function has(rows: TaskRows | undefined, name: AdaptationName): boolean {
  return (rows?.modules.has(name) || rows?.maker?.names.has(name)) ?? false;
}

/**
 * Runs what reads generated modules, so that none of them is kept for the backward pass where a maker makes them
 * that asks for it. `inputs` are all tensors that `body` reads but parameters and modules.
 */
export function readingModules(
  rows: TaskRows | undefined,
  inputs: readonly Tensor[],
  body: (inputs: Tensor[]) => Tensor,
): Tensor {
  const { tape } = (inputs[0] as Tensor).device;
  if (!tape || !rows?.maker?.runsAgain) return body([...inputs]);
  const again = tape.recompute([...inputs], (...own) => [body(own)]);
  return again[0] as Tensor;
}

/** A product with a module; one that is added to something is stored as that is. */
function multiply(
  x: Tensor,
  { weight, slot, packed }: Module,
  options: Omit<GroupedLinearOptions, 'alpha'>,
): Tensor {
  if (packed) return packedLinear(x, packed, { ...options, slot });
  const sum = options.residual?.dtype as FloatDType | undefined;
  return groupedLinear(x, weight, { ...options, slot, outputDType: sum === x.dtype ? undefined : sum });
}

/** The prefixes of a slot, as options of attention. */
export function prefixOptions(
  rows: TaskRows | undefined,
  slot: number,
): { prefixKey?: Tensor; prefixValue?: Tensor; slot?: number } {
  const key = find(rows, 'prefix_key', slot);
  const value = find(rows, 'prefix_value', slot);
  return key && value ? { prefixKey: key.weight, prefixValue: value.weight, slot: key.slot } : {};
}

/** x W + (x a) b / rank on top of an existing projection `base` (method §2.8); `base` itself without LoRA. */
export function addLora(
  x: Tensor,
  base: Tensor,
  projection: 'q' | 'k' | 'v' | 'o',
  rows: TaskRows | undefined,
  slot: number,
): Tensor {
  if (rows?.parts?.some(({ modules }) => modules.has(`lora_${projection}_a`))) {
    return overParts(rows.parts, [x, base], ([own, ownBase], task) =>
      addLora(own as Tensor, ownBase as Tensor, projection, task, slot),
    );
  }
  if (!has(rows, `lora_${projection}_a`)) return base;
  return readingModules(rows, [x, base], ([own, ownBase]) =>
    lora(own as Tensor, ownBase as Tensor, projection, rows, slot),
  );
}

function lora(
  x: Tensor,
  base: Tensor,
  projection: 'q' | 'k' | 'v' | 'o',
  rows: TaskRows | undefined,
  slot: number,
): Tensor {
  const a = find(rows, `lora_${projection}_a`, slot);
  const b = find(rows, `lora_${projection}_b`, slot);
  if (!a || !b) return base;
  const rowOffsets = rows?.rowOffsets;
  const rank = b.weight.shape[2] as number;
  // Scaling the few low-rank columns costs less than scaling the result would.
  const low = scale(multiply(x, a, { rowOffsets }), 1 / rank);
  return multiply(low, b, { rowOffsets, residual: base });
}

/** Whether the slot has an adapter. */
export function hasAdapter(rows: TaskRows | undefined): boolean {
  return has(rows, 'adapter_down');
}

/** Whether attention has generated keys and values in front of its own. */
export function hasPrefix(rows: TaskRows | undefined): boolean {
  return has(rows, 'prefix_key');
}

/** feedForward + gelu(n down + bias) up + bias, n being the normed input of the feed-forward (method §2.7). */
export function addAdapter(n: Tensor, feedForward: Tensor, rows: TaskRows, slot: number): Tensor {
  if (rows.parts) {
    return overParts(rows.parts, [n, feedForward], ([own, ownForward], task) =>
      addAdapter(own as Tensor, ownForward as Tensor, task, slot),
    );
  }
  return readingModules(rows, [n, feedForward], ([own, ownForward]) =>
    adapter(own as Tensor, ownForward as Tensor, rows, slot),
  );
}

function adapter(n: Tensor, feedForward: Tensor, rows: TaskRows, slot: number): Tensor {
  const down = find(rows, 'adapter_down', slot);
  const up = find(rows, 'adapter_up', slot);
  if (!down || !up) return feedForward;
  const { rowOffsets } = rows;
  const hidden = multiply(n, down, {
    rowOffsets,
    bias: find(rows, 'adapter_bias_down', slot)?.weight,
    activation: 'gelu',
  });
  return multiply(hidden, up, {
    rowOffsets,
    bias: find(rows, 'adapter_bias_up', slot)?.weight,
    residual: feedForward,
  });
}
