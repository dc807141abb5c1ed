import { stat } from 'node:fs/promises';
import { readTextLines } from '../../../data/line-blocks.js';
import { Tokenizer } from '../../../formats/tokenizer/tokenizer.js';
import {
  measureQuantization,
  type QuantizationReport,
} from '../../../inference/encoder-decoder/quantization.js';
import { openModel } from '../../../model/families/open-model.js';
import { t5Models } from '../../../model/families/t5.js';
import { Device } from '../../../tensor/device.js';
import { HintError } from '../../../util/errors.js';
import { table } from '../../support/context.js';

/** Inputs of `hint inspect --int8`: lines of a file, or token ids by chance. */
export interface Int8Options {
  readonly text?: string | undefined;
  readonly threads: number;
}

/** What int8 is held to: design bound of logits, max |a − b| / max |b|. */
const BOUND = 5e-2;
const MOST_INPUTS = 64;
const MOST_TOKENS = 256;

/** What int8 does to a T5 or to the T5 inside a HINT model. @throws HintError what opening a model throws; NOT_SUPPORTED for decoder-only models, INVALID_DATA of a text without a line */
export async function inspectInt8(
  directory: string,
  { text, threads }: Int8Options,
  signal: AbortSignal,
): Promise<QuantizationReport> {
  // A folder that does not exist is named by what opens it.
  if (
    await stat(directory).then(
      (status) => !status.isDirectory(),
      () => false,
    )
  )
    throw new HintError(
      'INVALID_ARGUMENT',
      `${directory} is a file; --int8 computes with a model, so give the folder of one.`,
    );
  await using device = new Device({ threads });
  const model = await openModel(device, directory, { mapped: true, signal });
  try {
    if (!t5Models.owns(model))
      throw new HintError(
        'NOT_SUPPORTED',
        `${directory} holds a decoder-only model, which the CPU multiplies in f32; --int8 is for T5 and HINT.`,
      );
    const inputs =
      text === undefined ? byChance(model.config.vocabSize) : await ofFile(text, directory, signal);
    return await measureQuantization(model, inputs, { signal });
  } finally {
    model.dispose();
  }
}

async function ofFile(file: string, directory: string, signal: AbortSignal): Promise<Int32Array[]> {
  const tokenizer = await Tokenizer.load(directory);
  const inputs: Int32Array[] = [];
  for await (const { text } of readTextLines(file, 'the texts', { signal })) {
    if (text.trim() !== '') inputs.push(tokenizer.encode(text, { maxLength: MOST_TOKENS }));
    if (inputs.length === MOST_INPUTS) break;
  }
  if (inputs.length > 0) return inputs;
  throw new HintError('INVALID_DATA', `${file} has no line with text; give some, one input a line.`);
}

/** Eight inputs of 32 ids, the same each time. */
function byChance(vocabSize: number): Int32Array[] {
  let state = 1;
  const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
  return Array.from({ length: 8 }, () =>
    Int32Array.from({ length: 32 }, () => 1 + (next() % Math.max(1, vocabSize - 1))),
  );
}

/** The report for people. */
export function describeInt8(report: QuantizationReport): string {
  const { inputs, tokens, logits, logitsOfBf16, sameToken, layers } = report;
  const rows = layers.map(({ layer, difference, outlier, rescaled }) => [
    layer,
    difference.toExponential(1),
    outlier.toFixed(1),
    String(rescaled),
  ]);
  const verdict =
    logits <= BOUND
      ? `within the ${BOUND.toExponential(0)} that int8 is held to`
      : `beyond the ${BOUND.toExponential(0)} that int8 is held to: use --dtype ${logitsOfBf16 <= BOUND ? 'bf16' : 'f32'}`;
  return [
    `${inputs} inputs with ${tokens} tokens in all. Differences are max |a - b| / max |b|, against f32.`,
    `First logits: ${logits.toExponential(1)} in int8, ${verdict}; ${logitsOfBf16.toExponential(1)} in bf16.`,
    `The likeliest first token is that of f32 for ${Math.round(100 * sameToken)} % of the inputs.`,
    'Each product by itself; outlier: the largest element of a row over the root mean square of the row.',
    '',
    table(['product', 'int8 alone', 'outlier', 'rows rescaled'], rows),
  ].join('\n');
}
