import { performance } from 'node:perf_hooks';
import { EXAMPLES, InstructionRows, type TokenizedExample } from '../data/batch.js';
import { Tokenizer } from '../formats/tokenizer/tokenizer.js';
import { HintError } from '../util/errors.js';
import { Group } from '../distributed/group.js';
import { GENERATING, generateTokens, type GenerateTokensOptions } from '../inference/decode/generate.js';
import { familyOf } from '../inference/families/registry.js';
import type { AnyModel } from '../model/family.js';
import { anyModel } from '../model/families/registry.js';
import { checked, instance, optional, options as optionsOf, path, shaped } from '../util/arguments.js';
import { writeFileAtomic } from '../util/atomic-file.js';
import { createYielder } from '../util/event-loop-lag.js';
import { jsonRecord } from '../util/records.js';
import { partOf, resultsOfAll } from './among-ranks.js';
import type { Prediction } from './prediction-files.js';
import { TRACK, type ScoreTrack } from './rouge.js';
import { scorePredictions, type ScoreReport } from './score.js';

/** How a model is evaluated. */
export interface EvaluateOptions extends GenerateTokensOptions {
  /** Also write the predictions here, as JSON lines that `hint score` reads, all or nothing. */
  predictionsFile?: string | undefined;
  /** The track, which decides what a word is for ROUGE (default `default`). */
  track?: ScoreTrack | undefined;
  /**
   * Processes that share the tasks, all of which call this with the same; rank 0 writes, and each has the whole result.
   */
  ranks?: Group | undefined;
}

/** What is evaluated. */
export const EVALUATED = shaped<{ model: AnyModel; tokenizer: Tokenizer }>(
  { model: anyModel, tokenizer: instance(Tokenizer, 'a Tokenizer, such as engine.tokenizer') },
  'an object { model, tokenizer }, such as an engine with a tokenizer',
);
const EVALUATE = optionsOf<EvaluateOptions>({
  ...GENERATING,
  predictionsFile: optional(path),
  track: optional(TRACK),
  ranks: optional(instance(Group, 'a Group')),
});

/** Result of evaluating a model on a dataset. */
export interface Evaluation {
  /** In the order of the examples. */
  predictions: Prediction[];
  /** Means over all examples and per task, as percentages. */
  scores: ScoreReport;
  /** Distinct instructions that were compiled; 0 where the instruction is part of the input or absent. */
  tasksCompiled: number;
  /** Wall time of compiling and generating, without tokenising and scoring. */
  seconds: number;
  /** The same wall time for 100 examples. */
  secondsPer100: number;
  /**
   * Floating point operations per 100 examples, tasks compiled once included (see flops.ts for what is counted); of beam
   * search, those of the answers given only.
   */
  flopsPer100: number;
  /** Tokens read and written. */
  inputTokens: number;
  /** Tokens generated, ends of sequence included. */
  outputTokens: number;
}

/**
 * Runs a model over tokenised examples of any system and scores the answers as Tk-Instruct does (method §7.5): each
 * distinct instruction is compiled once and all its inputs run through it; examples without instructions are decoded
 * as they are.
 *
 * @param evaluated the model, whose device runs the work, and the tokenizer that turns the answers into text
 * @param examples as the data layer formats them for a system, ids of instances distinct
 * @throws HintError INVALID_DATA for no examples, or when only some have an instruction; IO when the predictions cannot
 *   be written; otherwise as generateTokens
 */
export async function evaluateModel(
  evaluated: { model: AnyModel; tokenizer: Tokenizer },
  examples: readonly TokenizedExample[],
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const { model, tokenizer } = checked(EVALUATED, evaluated, 'evaluated');
  checked(EXAMPLES, examples, 'examples');
  const { predictionsFile, track, ranks, ...generation } = checked(EVALUATE, options, 'options');
  if (examples.length === 0) {
    throw new HintError('INVALID_DATA', 'There are 0 examples to evaluate; at least 1 is needed.');
  }
  const rows = new InstructionRows();
  const withInstruction = examples.filter(({ instruction }) => instruction.length > 0);
  if (withInstruction.length > 0 && withInstruction.length < examples.length) {
    throw new HintError(
      'INVALID_DATA',
      `${withInstruction.length} of ${examples.length} examples have an instruction; format all of them for the same system.`,
    );
  }
  const taskIndex = withInstruction.map(({ instruction }) => rows.row(instruction));
  const began = performance.now();
  const own = await generateTokens(model, {
    ...generation,
    ...(await partOf(ranks, examples)),
    inputs: examples.map(({ input }) => input),
    ...(withInstruction.length > 0 ? { instructions: rows.distinct, taskIndex } : {}),
  });
  const generated = await resultsOfAll(ranks, own, ({ tokens }) => [...tokens]);
  const seconds = (performance.now() - began) / 1000;
  const predictions = await toPredictions(examples, generated, tokenizer);
  if (predictionsFile !== undefined && (ranks?.rank ?? 0) === 0) {
    await writeFileAtomic(predictionsFile, predictions.map(jsonRecord).join(''));
  }
  const family = familyOf(model);
  const answered = examples.map(({ instruction, input }, i) => ({
    instruction,
    input,
    output: (generated[i] as number[]).length,
  }));
  const multiplyAdds = family.multiplyAdds(model, rows.distinct, answered);
  return {
    predictions,
    scores: scorePredictions(predictions, undefined, { track }),
    tasksCompiled: family.readsInstruction(model) ? rows.distinct.length : 0,
    seconds,
    secondsPer100: (100 * seconds) / examples.length,
    flopsPer100: (100 * 2 * multiplyAdds) / examples.length,
    inputTokens: examples.reduce((total, { input }) => total + input.length, 0),
    outputTokens: generated.reduce((total, tokens) => total + tokens.length, 0),
  };
}

async function toPredictions(
  examples: readonly TokenizedExample[],
  generated: readonly (readonly number[])[],
  tokenizer: Tokenizer,
): Promise<Prediction[]> {
  const breathe = createYielder();
  const predictions: Prediction[] = [];
  for (const [i, { id, task, references }] of examples.entries()) {
    const pause = breathe();
    if (pause) await pause;
    const tokens = Int32Array.from(generated[i] as number[]);
    predictions.push({ id, task, prediction: tokenizer.decodePrediction(tokens), references });
  }
  return predictions;
}
