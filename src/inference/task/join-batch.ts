import { allOrNone } from '../../util/abortable.js';
import { defaultMaxTokens, type TokenDecoding } from '../decode/decoding.js';
import { sampleStreams } from '../decode/sample-streams.js';
import { checkInputs } from '../decode/task-batches.js';
import type { ConstrainedRows } from '../constrain/constrained-rows.js';
import type { GeneratedTokens } from '../decode/row-watch.js';
import type { TextWatch } from './generation.js';
import type { QueuedInput } from './queued-input.js';
import type { TaskStreamOptions } from './task-arguments.js';

/**
 * Decodes inputs in the running batch of their engine.
 *
 * @param inputs as the model reads them
 * @param rows what the answers are held to
 * @param enqueue puts one of them into the batch
 */
export async function joinBatch(
  inputs: readonly Int32Array[],
  options: TaskStreamOptions,
  decoding: TokenDecoding,
  { watch, rows }: { watch: TextWatch; rows: ConstrainedRows | undefined },
  enqueue: (queued: QueuedInput) => Promise<GeneratedTokens>,
): Promise<void> {
  const { logProbs = false, whenFull = 'wait', maxTokens = defaultMaxTokens({}), onProgress } = options;
  checkInputs(inputs);
  const streams = sampleStreams(inputs, () => 0);
  let done = 0;
  const decode = async (input: Int32Array, i: number, signal: AbortSignal): Promise<void> => {
    const generated = await enqueue({
      ...{ input, maxTokens, decoding, logProbs, whenFull, signal },
      stream: [streams[2 * i] as number, streams[2 * i + 1] as number],
      mask: rows?.row(i),
      watch: (token, logProb) => watch.token(i, token, logProbs ? logProb : undefined),
    });
    watch.end(i, generated);
    onProgress?.(++done, inputs.length);
  };
  await allOrNone(
    options.signal,
    inputs.map((input, i) => (stop) => decode(input, i, stop)),
  );
}
