import { loadSniDataset } from '../../../data/natural-instructions/dataset.js';
import type { TokenizedExample } from '../../../data/batch.js';
import { evaluateModel } from '../../../evaluation/evaluate.js';
import { inferenceFlops } from '../../../accounting/flops.js';
import { HintError } from '../../../util/errors.js';
import { Engine } from '../../../inference/engine.js';
import { findSystem } from '../../../systems/index.js';
import { Progress } from '../../support/progress.js';
import type { ModelConfig } from '../../../model/config/config.js';
import type { DemoSystem } from '../../../demo/settings.js';

/** One row of the demo's table. */
export interface DemoRow {
  system: DemoSystem;
  /** On unseen tasks, times 100. */
  rougeL: number;
  exactMatch: number;
  instances: number;
  /** Mean tokens the encoder reads for one input, once the task is compiled. */
  inputTokens: number;
  /** For 100 inputs of one task, compiling it included. */
  flopsPer100: number;
  /** Measured: compile one task and run 100 inputs, median of the runs. */
  secondsPer100: number;
}

const EXAMPLES = 100;
const MAX_TOKENS = 12;

/** Scores a trained system on the unseen tasks, and costs 100 inputs of one task in FLOPs and seconds. */
export async function measureSystem(
  system: DemoSystem,
  model: string,
  data: string,
  options: { testInstances: number; timedRuns: number; signal: AbortSignal; quiet: boolean },
): Promise<DemoRow> {
  const { signal } = options;
  await using engine = await Engine.open(model, { signal });
  const { tokenizer } = engine;
  if (!tokenizer) throw new HintError('INTERNAL', `${model} has no tokenizer.`);
  const examples = await loadSniDataset({
    directory: data,
    split: 'test',
    setting: findSystem(system).setting(0),
    tokenizer,
    instancesPerTask: options.testInstances,
    threads: 0,
    signal,
  });
  const progress = new Progress(`  ${system}`, options.quiet);
  const { scores } = await evaluateModel({ model: engine.model, tokenizer }, examples, {
    maxTokens: MAX_TOKENS,
    batchSize: EXAMPLES,
    signal,
    onProgress: (done, total) => progress.update(done, total, 'unseen tasks'),
  });
  progress.stop();
  const mean = (length: (example: TokenizedExample) => number): number =>
    Math.round(examples.reduce((sum, example) => sum + length(example), 0) / examples.length);
  const inputTokens = mean(({ input }) => input.length);
  const { flops } = inferenceFlops(engine.model.config as ModelConfig, {
    instruction: mean(({ instruction }) => instruction.length),
    input: inputTokens,
    output: mean(({ target }) => target.length),
    examples: EXAMPLES,
    instructionInInput: false,
  });
  return {
    system,
    rougeL: scores.rougeL,
    exactMatch: scores.exactMatch,
    instances: scores.count,
    inputTokens,
    flopsPer100: flops,
    secondsPer100: await timeOneTask(engine, examples, options.timedRuns, signal),
  };
}

/** Median seconds to compile one task and run 100 of its inputs; an unmeasured run warms the engine up. */
async function timeOneTask(
  engine: Engine,
  examples: TokenizedExample[],
  runs: number,
  signal: AbortSignal,
): Promise<number> {
  const [first] = examples as [TokenizedExample];
  const own = examples.filter(({ task }) => task === first.task);
  const inputs = Array.from({ length: EXAMPLES }, (_, i) => (own[i % own.length] as TokenizedExample).input);
  // Every system generates as many tokens, so that what differs is what it reads.
  const maxTokens = Math.max(...own.map(({ target }) => target.length));
  const seconds: number[] = [];
  for (let run = 0; run <= runs; run++) {
    const began = performance.now();
    const task =
      first.instruction.length > 0
        ? await engine.compileTokens(first.instruction, { signal })
        : await engine.compileTokens(Int32Array.of(1), { signal });
    await task.generate(inputs, { maxTokens, batchSize: EXAMPLES, signal });
    task.dispose();
    if (run > 0) seconds.push((performance.now() - began) / 1000);
  }
  return seconds.sort((a, b) => a - b)[Math.floor(seconds.length / 2)] ?? NaN;
}
