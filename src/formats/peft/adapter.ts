import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { HintError } from '../../util/errors.js';
import { readError } from '../../util/read-error.js';
import { showValue } from '../../util/show-value.js';
import { openWeights } from '../checkpoint/open-weights.js';
import { toFloat32 } from '../safetensors/floats.js';
import { invalidWeights, type WeightFile } from '../weights/weight-file.js';
import { ADAPTER_CONFIG, readAdapterConfig } from './adapter-config.js';

/** A low-rank change of one matrix of a model: `scale` B A is added to it. */
export interface LowRankChange {
  /** The module whose matrix it is, such as `encoder.block.0.layer.0.SelfAttention.q`. */
  readonly module: string;
  /** Columns of B, from 1 to 4,096. */
  readonly rank: number;
  /** Values that the matrix reads. */
  readonly inputs: number;
  /** Values that it writes. */
  readonly outputs: number;
  /** What B A is multiplied with: alpha over the rank, or over its root. */
  readonly scale: number;
  /** A, [rank, inputs]. */
  readonly down: Float32Array;
  /** B, [outputs, rank]. */
  readonly up: Float32Array;
}

/** An adapter that PEFT has trained and saved. */
export interface PeftAdapter {
  /** The file of its values. */
  readonly path: string;
  /** One for each matrix it changes, in the order of the file. */
  readonly changes: readonly LowRankChange[];
}

const WEIGHTS = ['adapter_model.safetensors', 'adapter_model.bin'];
const MOST_RANK = 4096;

/** Whether a path is a folder of an adapter of PEFT. */
export async function isPeftAdapter(path: string): Promise<boolean> {
  return (await readdir(path).catch((): string[] => [])).includes(ADAPTER_CONFIG);
}

/**
 * Reads an adapter as PEFT's `save_pretrained` writes it: LoRA in adapter_config.json and adapter_model.safetensors, or the
 * older adapter_model.bin.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_JSON, INVALID_CONFIG, INVALID_CHECKPOINT, ABORTED; NOT_SUPPORTED naming what is not
 *   computed here
 */
export async function readPeftAdapter(folder: string, signal?: AbortSignal): Promise<PeftAdapter> {
  const config = await readAdapterConfig(folder);
  const names = await readdir(folder).catch((cause: unknown) => {
    throw readError(folder, cause);
  });
  const name = WEIGHTS.find((one) => names.includes(one));
  if (!name)
    throw new HintError(
      'NOT_FOUND',
      `${folder} has ${ADAPTER_CONFIG} and none of ${WEIGHTS.join(', ')}; copy the whole folder that PEFT wrote.`,
    );
  await using file = await openWeights(join(folder, name));
  const changes: LowRankChange[] = [];
  for (const [module, pair] of pairsOf(file)) {
    const { down, up, rank, inputs, outputs } = checkedPair(file, module, pair);
    changes.push({
      module,
      rank,
      inputs,
      outputs,
      scale: config.scaleOf(module, rank),
      down: await valuesOf(file, down, signal),
      up: await valuesOf(file, up, signal),
    });
  }
  if (changes.length === 0) throw invalidWeights(file.path, 'adapter of PEFT', 'it has no tensor of LoRA');
  return { path: file.path, changes };
}

interface Pair {
  down?: string;
  up?: string;
}

/** Names of the tensors of each module. Those of files of several adapters have the adapter's name in them. */
function pairsOf(file: WeightFile): Map<string, Pair> {
  const pairs = new Map<string, Pair>();
  for (const name of file.tensors.keys()) {
    const [, module, factor] = /^base_model\.model\.(.+)\.lora_([AB])(?:\.[^.]+)?\.weight$/.exec(name) ?? [];
    if (module === undefined)
      throw new HintError(
        'NOT_SUPPORTED',
        `${file.path} has a tensor ${showValue(name)}, which is no factor of LoRA; train the adapter without it.`,
      );
    const pair = pairs.get(module) ?? {};
    const role = factor === 'A' ? 'down' : 'up';
    if (pair[role] !== undefined)
      throw invalidWeights(
        file.path,
        'adapter of PEFT',
        `it has two factors ${factor} of ${showValue(module)}`,
      );
    pair[role] = name;
    pairs.set(module, pair);
  }
  return pairs;
}

function checkedPair(
  file: WeightFile,
  module: string,
  { down, up }: Pair,
): { down: string; up: string; rank: number; inputs: number; outputs: number } {
  const faulty = (fault: string): HintError => invalidWeights(file.path, 'adapter of PEFT', fault);
  if (down === undefined || up === undefined)
    throw faulty(`it has one factor of LoRA for ${showValue(module)}, not two`);
  const [rank = 0, inputs = 0, ...restOfDown] = file.tensors.get(down)?.shape ?? [];
  const [outputs = 0, inner = 0, ...restOfUp] = file.tensors.get(up)?.shape ?? [];
  if (restOfDown.length + restOfUp.length > 0 || rank < 1 || inputs < 1 || outputs < 1 || inner !== rank)
    throw faulty(
      `the factors of ${showValue(module)} have the shapes [${file.tensors.get(down)?.shape.join(', ')}] and [${file.tensors.get(up)?.shape.join(', ')}], which are none of [rank, inputs] and [outputs, rank]`,
    );
  if (rank > MOST_RANK)
    throw new HintError(
      'NOT_SUPPORTED',
      `${file.path} has the rank ${rank} for ${showValue(module)}, ${MOST_RANK} is the highest that is read.`,
    );
  return { down, up, rank, inputs, outputs };
}

async function valuesOf(
  file: WeightFile,
  name: string,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const { dtype } = file.tensors.get(name)!;
  const values = toFloat32(await file.read(name, signal), dtype, `The tensor ${name} of ${file.path}`);
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return values;
  throw invalidWeights(file.path, 'adapter of PEFT', `value ${at} of its tensor ${name} is ${values[at]}`);
}
