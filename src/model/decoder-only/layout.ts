import { createYielder } from '../../util/event-loop-lag.js';
import type { DecoderOnlyConfig } from './config.js';

/** A tensor of a Hugging Face checkpoint and the parameters that it holds. */
export interface StoredGroup {
  /** Its name without the prefix of the file. */
  readonly name: string;
  /** The parameters in it: side by side along the output axis. */
  readonly parameters: readonly string[];
  /** Stored as [in, out] (GPT-2's Conv1D) instead of [out, in]. */
  readonly transposed: boolean;
  /** Stands outside the prefix. */
  readonly bare?: boolean;
}

/** Prefixes under which the names of a family occur, the one that is written first. */
export function namePrefixes({ family }: DecoderOnlyConfig): readonly string[] {
  return family === 'gpt2' ? ['transformer.', ''] : ['model.decoder.', 'decoder.', ''];
}

/** How a checkpoint of the family lays the parameters out. */
export function storedGroups(config: DecoderOnlyConfig): StoredGroup[] {
  const groups: StoredGroup[] = [];
  const add = (name: string, parameters: readonly string[], transposed = false): void => {
    groups.push({ name, parameters, transposed });
  };
  /** A layer with weight and bias. */
  const pair = (name: string, parameters: readonly string[], transposed = false): void => {
    add(
      `${name}.weight`,
      parameters.map((parameter) => `${parameter}.weight`),
      transposed,
    );
    add(
      `${name}.bias`,
      parameters.map((parameter) => `${parameter}.bias`),
    );
  };
  if (config.family === 'gpt2') {
    add('wte.weight', ['tokens.weight']);
    add('wpe.weight', ['positions.weight']);
    for (let i = 0; i < config.numLayers; i++) {
      const [theirs, ours] = [`h.${i}`, `layers.${i}`];
      pair(`${theirs}.ln_1`, [`${ours}.attention_norm`]);
      pair(`${theirs}.attn.c_attn`, [`${ours}.q`, `${ours}.k`, `${ours}.v`], true);
      pair(`${theirs}.attn.c_proj`, [`${ours}.o`], true);
      pair(`${theirs}.ln_2`, [`${ours}.feed_forward_norm`]);
      pair(`${theirs}.mlp.c_fc`, [`${ours}.up`], true);
      pair(`${theirs}.mlp.c_proj`, [`${ours}.down`], true);
    }
    pair('ln_f', ['final_norm']);
  } else {
    add('embed_tokens.weight', ['tokens.weight']);
    add('embed_positions.weight', ['positions.weight']);
    if (config.embeddingSize !== config.dModel) {
      add('project_in.weight', ['project_in.weight']);
      add('project_out.weight', ['project_out.weight']);
    }
    for (let i = 0; i < config.numLayers; i++) {
      const [theirs, ours] = [`layers.${i}`, `layers.${i}`];
      pair(`${theirs}.self_attn_layer_norm`, [`${ours}.attention_norm`]);
      pair(`${theirs}.self_attn.q_proj`, [`${ours}.q`]);
      pair(`${theirs}.self_attn.k_proj`, [`${ours}.k`]);
      pair(`${theirs}.self_attn.v_proj`, [`${ours}.v`]);
      pair(`${theirs}.self_attn.out_proj`, [`${ours}.o`]);
      pair(`${theirs}.final_layer_norm`, [`${ours}.feed_forward_norm`]);
      pair(`${theirs}.fc1`, [`${ours}.up`]);
      pair(`${theirs}.fc2`, [`${ours}.down`]);
    }
    if (config.finalNorm) pair('final_layer_norm', ['final_norm']);
  }
  if (!config.tiedHead) {
    groups.push({ name: 'lm_head.weight', parameters: ['head.weight'], transposed: false, bare: true });
  }
  return groups;
}

/** Shape of the stored tensor, from those of its parameters. */
export function storedShape(
  { transposed }: StoredGroup,
  shapes: readonly (readonly number[])[],
): readonly number[] {
  const [first = []] = shapes;
  const outputs = shapes.reduce((sum, [side = 1]) => sum + side, 0);
  const rest = first.slice(1);
  return transposed ? [...rest, outputs] : [outputs, ...rest];
}

/** target[targetBegin + j * targetStride + i] = source[sourceBegin + i * sourceStride + j], in turns. */
async function transpose(
  source: Float32Array,
  rows: number,
  columns: number,
  sourceStride: number,
  sourceBegin: number,
  target: Float32Array,
  targetStride: number,
  targetBegin: number,
): Promise<void> {
  const breathe = createYielder();
  // Square tiles: both sides stay in the cache.
  const tile = 32;
  for (let top = 0; top < rows; top += tile) {
    for (let left = 0; left < columns; left += tile) {
      for (let i = top; i < Math.min(rows, top + tile); i++) {
        for (let j = left; j < Math.min(columns, left + tile); j++) {
          target[targetBegin + j * targetStride + i] = source[sourceBegin + i * sourceStride + j] as number;
        }
      }
    }
    const pause = breathe();
    if (pause) await pause;
  }
}

/** The values of each parameter of a group, from the stored tensor's. */
export async function split(
  group: StoredGroup,
  shapes: readonly (readonly number[])[],
  values: Float32Array,
): Promise<Float32Array[]> {
  const total = shapes.reduce((sum, [side = 1]) => sum + side, 0);
  const parts: Float32Array[] = [];
  let begin = 0;
  for (const [outputs = 1, inputs = 1] of shapes) {
    const size = outputs * inputs;
    if (group.transposed) {
      const part = new Float32Array(size);
      await transpose(values, inputs, outputs, total, begin, part, inputs, 0);
      parts.push(part);
      begin += outputs;
    } else {
      parts.push(shapes.length === 1 ? values : values.slice(begin, begin + size));
      begin += size;
    }
  }
  return parts;
}

/** The inverse of {@link split}. */
export async function join(
  group: StoredGroup,
  shapes: readonly (readonly number[])[],
  parts: readonly Float32Array[],
): Promise<Float32Array> {
  const [only] = parts;
  if (parts.length === 1 && only && !group.transposed) return only;
  const total = shapes.reduce((sum, [side = 1]) => sum + side, 0);
  const values = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let begin = 0;
  for (const [i, part] of parts.entries()) {
    const [outputs = 1, inputs = 1] = shapes[i] ?? [];
    if (group.transposed) {
      await transpose(part, outputs, inputs, inputs, 0, values, total, begin);
      begin += outputs;
    } else {
      values.set(part, begin);
      begin += part.length;
    }
  }
  return values;
}
