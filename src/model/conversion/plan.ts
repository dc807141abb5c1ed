import { isKnownDType } from '../../formats/weights/dtypes.js';
import type { WeightFile } from '../../formats/weights/weight-file.js';

/** Largest file of weights that is written by default, in bytes: one that is whole is kept when a conversion is taken up again. */
export const SHARD_BYTES = 5_000_000_000;

/** What becomes of the tensors of a checkpoint. */
export interface ConversionPlan {
  /** Names of tensors by the file that they go into, in its order. */
  readonly files: ReadonlyMap<string, readonly string[]>;
  /** Tensors that are not written, with the reason in a few words. */
  readonly leftOut: ReadonlyMap<string, string>;
  readonly totalBytes: number;
}

const SECOND_NAMES = /^(encoder|decoder)\.embed_tokens\.weight$/;

/** Why a tensor need not be written. */
function reasonToLeaveOut(file: WeightFile, name: string, isTied: boolean): string | undefined {
  const { dtype } = file.tensors.get(name) ?? {};
  if (dtype !== undefined && !isKnownDType(dtype)) return `its dtype ${dtype} is not known`;
  const first = file.aliases.get(name);
  if (first === undefined) return undefined;
  // Other names that share a tensor are those of layers that share it, and each is asked for.
  return SECOND_NAMES.test(name) || (isTied && name === 'lm_head.weight')
    ? `the same as ${first}`
    : undefined;
}

/**
 * Plans the files of a conversion: one, or shards of up to `shardBytes` each (a larger tensor has a file of its own).
 *
 * @param config of the model, for whether a head that is the table need not be stored
 */
export function planConversion(file: WeightFile, config: unknown, shardBytes: number): ConversionPlan {
  const isTied = (config as { tie_word_embeddings?: unknown } | null)?.tie_word_embeddings !== false;
  const leftOut = new Map<string, string>();
  const shards: string[][] = [[]];
  let bytes = 0;
  let totalBytes = 0;
  for (const { name, byteLength } of file.tensors.values()) {
    const reason = reasonToLeaveOut(file, name, isTied);
    if (reason !== undefined) {
      leftOut.set(name, reason);
      continue;
    }
    const last = shards.at(-1) as string[];
    if (bytes + byteLength > shardBytes && last.length > 0) {
      shards.push([name]);
      bytes = byteLength;
    } else {
      last.push(name);
      bytes += byteLength;
    }
    totalBytes += byteLength;
  }
  const number = (i: number): string => String(i).padStart(5, '0');
  const named = shards.map((names, i): [string, string[]] => [
    shards.length === 1
      ? 'model.safetensors'
      : `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`,
    names,
  ]);
  return { files: new Map(named), leftOut, totalBytes };
}
