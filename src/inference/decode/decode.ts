import type { Ragged } from '../../data/batch.js';
import { throwIfAborted } from '../../util/errors.js';
import type { AnyModel } from '../../model/family.js';
import { abortable } from '../../util/abortable.js';
import { BeamLoop } from './beam-loop.js';
import type { CompiledTasks } from '../contract/compiled-tasks.js';
import { endsOf, type DecodeNetwork } from '../contract/decode-network.js';
import { familyOf } from '../families/registry.js';
import type { Decoding } from './decoding.js';
import type { RowMasks } from './row-masks.js';
import { RowLog, type GeneratedTokens, type RowWatch } from './row-watch.js';
import { TokenLoop, type TokenChoice } from './token-loop.js';

/** How the rows of a batch are decoded. */
export interface BatchDecoding {
  decoding: Decoding;
  maxTokens: number;
  logProbs: boolean;
  /** Of sampling: two numbers per row that name its random stream. */
  streams: Int32Array;
  watch?: RowWatch | undefined;
  /** What rows may take; not with beams. */
  masks?: RowMasks | undefined;
  /** Most tokens of inputs that are read at once. */
  tokenBudget: number;
  signal?: AbortSignal | undefined;
}

/** What drives a batch: a few steps at a time, until every row has ended. */
interface DecodeLoop {
  readonly done: boolean;
  advance(): Promise<void>;
  /** Resolves when nothing reads the network any more. */
  dispose(): Promise<void>;
}

/**
 * Decodes a ragged batch.
 *
 * @param inputs one sequence per row, ordered by task
 * @param taskIndex per row its task, nondecreasing
 * @returns per row what was generated, at most `maxTokens` ids
 * @throws HintError INVALID_TOKEN, INVALID_DATA (empty input), NUMERIC (the model yields NaN), OUT_OF_MEMORY, ABORTED
 */
export async function decodeBatch(
  model: AnyModel,
  tasks: CompiledTasks,
  inputs: Ragged,
  taskIndex: Int32Array,
  options: BatchDecoding,
): Promise<GeneratedTokens[]> {
  const network = await familyOf(model).openNetwork(model, tasks, inputs, taskIndex, options);
  const rows = inputs.offsets.length - 1;
  const log = new RowLog(rows, endsOf(network, model.config), options.logProbs, options.watch);
  let loop: DecodeLoop | undefined;
  try {
    loop = createLoop(network, rows, model.config.vocabSize, options, log);
    while (!loop.done) {
      throwIfAborted(options.signal);
      await abortable(loop.advance(), options.signal);
    }
    return log.results();
  } finally {
    await loop?.dispose();
    network.dispose();
  }
}

function createLoop(
  network: DecodeNetwork,
  rows: number,
  vocabSize: number,
  { decoding, maxTokens, logProbs, streams, watch, masks }: BatchDecoding,
  log: RowLog,
): DecodeLoop {
  if (decoding.kind === 'beam') {
    const { numBeams, brevityExponent } = decoding;
    return new BeamLoop(network, rows, maxTokens, numBeams, brevityExponent, vocabSize, log);
  }
  // Sampling at temperature 0 is greedy with log-probabilities.
  const choice: TokenChoice =
    decoding.kind === 'sample'
      ? { ...decoding, streams }
      : logProbs
        ? { kind: 'sample', temperature: 0, topK: 0, topP: 1, seed: 0, streams }
        : decoding;
  return new TokenLoop(network, rows, maxTokens, choice, log, watch?.eager === true, masks);
}
