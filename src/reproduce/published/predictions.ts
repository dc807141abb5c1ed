import { existsSync } from 'node:fs';
import { z } from 'zod';
import type { TokenizedExample } from '../../data/batch.js';
import { readLineBlocks } from '../../data/line-blocks.js';
import { evaluateModel } from '../../evaluation/evaluate.js';
import { evaluateP3, type P3Prediction } from '../../evaluation/rank-classification.js';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import type { AnyModel } from '../../model/family.js';
import { appendLines } from '../../util/atomic-file.js';
import { check, listOf } from '../../util/check.js';
import { throwIfAborted } from '../../util/errors.js';
import { jsonRecord, recordsOf } from '../../util/records.js';
import type { EvaluationData } from './load-data.js';
import { TK_INSTRUCT_TOKENS } from './models.js';

/** What predicts. */
export interface Predictor {
  readonly model: AnyModel;
  readonly tokenizer: Tokenizer;
}

/** How predictions are made and kept. */
export interface PredictOptions {
  /** JSON lines that `hint score` reads; each batch is added when it is done, and what is there is not made again. */
  readonly file: string;
  readonly batchSize: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

const keptLine = z.object({
  id: z.string(),
  prediction: z.string(),
  scores: listOf(z.number()).optional(),
});

/**
 * The predictions of a file, by the ids of the examples that they are of. A line that is not whole, as a kill leaves it, is as if it
 * were not there, and so is one of no example, or with a choice or scores that its example does not have.
 *
 * @throws HintError IO, LIMIT_EXCEEDED, ABORTED
 */
export async function keptPredictions(
  file: string,
  { examples }: EvaluationData,
  signal?: AbortSignal,
): Promise<Map<string, P3Prediction>> {
  const kept = new Map<string, P3Prediction>();
  if (!existsSync(file)) return kept;
  const known = new Map(examples.map((example) => [example.id, example]));
  for await (const { bytes } of readLineBlocks(file, 'the predictions', { signal }))
    for (const text of recordsOf(Buffer.from(bytes).toString('utf8'))) {
      const line = wholeLine(text);
      const example = line && known.get(line.id);
      if (example && isOf(example, line)) kept.set(example.id, predictionOf(example, line));
    }
  return kept;
}

/**
 * Predictions of all examples: those of the file, and the others, which are made in batches in the order of the examples and added to
 * the file one batch after another.
 *
 * @returns in the order of the examples
 * @throws HintError as evaluateModel and evaluateP3; ABORTED, with all batches that are done in the file
 */
export async function predictAll(
  predictor: Predictor,
  data: EvaluationData,
  { file, batchSize, signal, onProgress }: PredictOptions,
): Promise<P3Prediction[]> {
  const { examples, templates } = data;
  const predictions = await keptPredictions(file, data, signal);
  const left = examples.filter(({ id }) => !predictions.has(id));
  onProgress?.(predictions.size, examples.length);
  for (let begin = 0; begin < left.length; begin += batchSize) {
    throwIfAborted(signal);
    const batch = left.slice(begin, begin + batchSize);
    const made = templates
      ? await evaluateP3(predictor, { examples: batch, templates }, { batchSize, signal })
      : await evaluateModel(predictor, batch, { maxTokens: TK_INSTRUCT_TOKENS, batchSize, signal });
    await appendLines(file, made.predictions.map(jsonRecord).join(''));
    for (const prediction of made.predictions) predictions.set(prediction.id, prediction);
    onProgress?.(predictions.size, examples.length);
  }
  return examples.map(({ id }) => predictions.get(id) as P3Prediction);
}

function wholeLine(text: string): z.infer<typeof keptLine> | undefined {
  try {
    return check(keptLine, JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** Whether a line can be the prediction of an example: where there are choices, one of them, and a score for each. */
function isOf({ choices }: TokenizedExample, { prediction, scores }: z.infer<typeof keptLine>): boolean {
  if (choices === undefined) return true;
  return scores?.length === choices.length && choices.some(({ text }) => text === prediction);
}

/** What was kept, with what the example says of itself. */
function predictionOf(
  { id, task, references, choices }: TokenizedExample,
  { prediction, scores }: z.infer<typeof keptLine>,
): P3Prediction {
  return {
    id,
    task,
    prediction,
    references,
    ...(choices && { choices: choices.map(({ text }) => text) }),
    ...(scores && { scores }),
  };
}
