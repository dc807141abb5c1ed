import * as ops from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import { decoderSlot } from '../modules/slots.js';
import { prefixOptions, stackRows, type TaskRows } from '../modules/task-modules.js';
import { attendBehindPrefix, project, relativeBias, type SharedKeys } from './attention.js';
import type { LayerPlace, Network } from './network.js';

/** What decoders read: the encoder's output, and in front of it the task's encoded instruction (fusion, method §2.6). */
export interface DecoderMemory {
  /** [rows, dModel], one sequence per example. */
  encoded: Tensor;
  offsets: Int32Array;
  /** Task rows of `encoded`. */
  tasks?: TaskRows | undefined;
  instruction?: { rows: Tensor; offsets: Int32Array } | undefined;
  /** Per decoder layer the keys and values of `instruction`, where they are at hand from compiling the tasks. */
  shared?: readonly SharedKeys[] | undefined;
  /**
   * Offsets of the decoder rows that read each sequence, where several targets read the same one: their rows lie next
   * to each other. Absent: one target per sequence.
   */
  readers?: Int32Array | undefined;
}

/** Keys and values that a decoder layer's cross-attention reads. */
export interface CrossKeys {
  key: Tensor;
  value: Tensor;
  shared: SharedKeys | undefined;
}

/** Keys and values of what was generated so far, in one layer's self-attention: [rows, capacity, width] each. */
export interface GeneratedKeys {
  key: Tensor;
  value: Tensor;
}

/** Rows of a decoding step that have generated equally many tokens, and the keys of all their attentions. */
export interface StepRows {
  /** Which rows of the step they are, [begin, end); absent: all. */
  readonly rows?: readonly [number, number] | undefined;
  /** How each of them belongs to a task. */
  readonly tasks: TaskRows | undefined;
  /** Per layer. */
  readonly caches: readonly GeneratedKeys[];
  /** i32 [1]: tokens generated so far, the place of this step in the caches. */
  readonly position: Tensor;
  readonly inputs: {
    /** Offsets of the encoded inputs, */
    readonly offsets: Int32Array;
    /** and of the rows that ask each of them. */
    readonly readers: Int32Array;
    readonly tasks: TaskRows | undefined;
    /** Per layer. */
    readonly cross: readonly CrossKeys[];
  };
}

/**
 * The keys of a decoder's rows. `sequences`: rows are whole sequences, teacher-forced, that read themselves and a memory.
 * `caches`: each row is the next token of a sequence, and reads what was kept.
 */
export type DecoderKeys =
  | { readonly kind: 'sequences'; readonly memory: DecoderMemory }
  | { readonly kind: 'caches'; readonly parts: readonly StepRows[] };

/** A step's self-attention over keys in the order [prefix | generated so far]. */
export function attendCaches(
  network: Network,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  parts: readonly StepRows[],
  layer: number,
): Tensor {
  const { config } = network;
  const found: Tensor[] = [];
  for (const { rows, tasks, caches, position } of parts) {
    found.push(
      ops.decodeAttention(
        own(q, rows),
        own(k, rows),
        own(v, rows),
        { ...(caches[layer] as GeneratedKeys), position },
        {
          numHeads: config.numHeads,
          taskIndex: tasks?.taskIndex,
          ...prefixOptions(tasks, decoderSlot(config, layer)),
          bias: relativeBias(network, 'decoder', layer),
          maxDistance: config.relativeAttentionMaxDistance,
        },
      ),
    );
  }
  return stackRows(found);
}

/** A step's cross-attention, over the keys of {@link attendMemory}. */
export function attendInputs(
  { config }: Network,
  q: Tensor,
  parts: readonly StepRows[],
  layer: number,
): Tensor {
  const slot = decoderSlot(config, layer) + 1;
  const found: Tensor[] = [];
  for (const { rows, inputs } of parts) {
    const { key, value, shared } = inputs.cross[layer] as CrossKeys;
    found.push(
      attendBehindPrefix(inputs.tasks, slot, own(q, rows), key, value, shared, {
        numHeads: config.numHeads,
        qOffsets: inputs.readers,
        kOffsets: inputs.offsets,
      }),
    );
  }
  return stackRows(found);
}

/** Cross-attention over keys in the order [prefix | encoded instruction of the task | encoded input] (method §2.7). */
export function attendMemory(network: Network, q: Tensor, memory: DecoderMemory, at: LayerPlace): Tensor {
  const { layer, tasks, dropout, offsets } = at;
  const { readers } = memory;
  const { key, value, shared } = crossKeys(network, layer, memory, tasks, memory.shared?.[layer]);
  return attendBehindPrefix(readers ? memory.tasks : tasks, at.slot + 1, q, key, value, shared, {
    numHeads: network.config.numHeads,
    qOffsets: readers ?? offsets,
    kOffsets: memory.offsets,
    dropout: dropout.at(at.masks, layer, 'cross-attention'),
  });
}

/** What a decoder layer's cross-attention reads of a batch; `shared` may be at hand from compiling the task. */
export function crossKeys(
  network: Network,
  layer: number,
  memory: DecoderMemory,
  tasks: TaskRows | undefined,
  shared = memory.instruction && sharedKeys(network, layer, memory.instruction, tasks),
): CrossKeys {
  const slot = decoderSlot(network.config, layer) + 1;
  const block = crossBlock(layer);
  return {
    key: project(network, memory.encoded, block, 'k', memory.tasks, slot),
    value: project(network, memory.encoded, block, 'v', memory.tasks, slot),
    shared,
  };
}

/** A decoder layer's keys and values of the encoded instructions (method §2.6). */
export function sharedKeys(
  network: Network,
  layer: number,
  { rows, offsets }: { rows: Tensor; offsets: Int32Array },
  tasks: TaskRows | undefined,
): SharedKeys {
  const slot = decoderSlot(network.config, layer) + 1;
  const block = crossBlock(layer);
  const owner = tasks && { ...tasks, rowOffsets: offsets };
  return {
    sharedKey: project(network, rows, block, 'k', owner, slot),
    sharedValue: project(network, rows, block, 'v', owner, slot),
    sharedOffsets: offsets,
  };
}

function crossBlock(layer: number): string {
  return `decoder.block.${layer}.layer.1.EncDecAttention`;
}

function own(x: Tensor, rows: readonly [number, number] | undefined): Tensor {
  return rows ? x.narrow(...rows) : x;
}
