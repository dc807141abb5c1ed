import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Tokenizer } from '../formats/tokenizer/tokenizer.js';
import { Engine } from '../inference/engine.js';
import type { Task } from '../inference/task/task.js';
import type { ModelConfig } from '../model/config/config.js';
import { parameterCount } from '../model/parameters/parameter-shapes.js';
import { Device } from '../tensor/device.js';
import type { WeightDType } from '../tensor/ops.js';
import { watchEventLoopLag } from '../util/event-loop-lag.js';
import { dropTemporary, temporaryFolder } from '../util/temporary.js';
import { checkWork } from './generation.js';
import { OUTPUT_TOKENS, sniLengths } from './lengths.js';
import { describeMoment, type MomentDescription } from './machine.js';
import { randomModel, randomTokens, uniforms } from './random-model.js';
import { alternate, secondsOf } from './turns.js';

/** Options of the measurement of tasks. */
export interface TaskMeasurementOptions {
  /** The shape of the HINT model, whose weights are random; as benchConfig gives it. */
  readonly config: ModelConfig;
  /** Different instructions of a mixed batch. */
  readonly tasks: number;
  readonly examples: number;
  readonly rounds: number;
  readonly dtypes: readonly WeightDType[];
  /** The instructions' words; any whose ids the model embeds. */
  readonly tokenizer: Tokenizer;
  readonly threads?: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number, name: string) => void) | undefined;
}

/** What is timed in every dtype. */
export const TASK_WORK = ['compile', 'save', 'load', 'swap', 'single', 'scheduled', 'mixed'] as const;
export type TaskWork = (typeof TASK_WORK)[number];

/** Tasks' part of a benchmark's results. */
export interface TaskPart extends MomentDescription {
  readonly parameters: number;
  readonly tasks: number;
  readonly examples: number;
  readonly inputTokens: number;
  readonly instructionTokens: number;
  readonly outputTokens: number;
  /** Of a task's file, and of a cached task, by dtype. */
  readonly fileBytes: Readonly<Record<string, number>>;
  readonly taskBytes: Readonly<Record<string, number>>;
  readonly dtypes: readonly WeightDType[];
  /** Seconds by dtype and work: `f32 compile`. */
  readonly samples: Readonly<Record<string, readonly number[]>>;
  /** By dtype, the worst p99 of a mixed batch, milliseconds. */
  readonly eventLoopLag: Readonly<Record<string, number>>;
}

const LENGTHS = sniLengths(0);
/** Look-ups per sample, because finding one cached task is too quick to be timed. */
const SWAPS = 100;

/**
 * Measures compiling, saving and loading a task and finding it in the cache, and requests of one and of many tasks:
 * `single` is one call with inputs of one task, `scheduled` the same requests through the scheduler, `mixed` requests
 * of many tasks through it. Files are read from the operating system's cache.
 *
 * @throws HintError OUT_OF_MEMORY, IO, ABORTED
 */
export async function measureTasks(options: TaskMeasurementOptions): Promise<TaskPart> {
  const moment = await describeMoment();
  const { config, tasks, examples, rounds, dtypes, tokenizer, signal, onProgress } = options;
  const directory = await temporaryFolder('hint-bench');
  using device = new Device({ threads: options.threads ?? 0 });
  const model = await randomModel(device, config, signal);
  const definitions = Array.from({ length: tasks + 1 }, (_, i) => definitionOf(tokenizer, i));
  const path = join(directory, 'task.safetensors');
  const samples: Record<string, number[]> = {};
  const eventLoopLag: Record<string, number> = {};
  const fileBytes: Record<string, number> = {};
  const taskBytes: Record<string, number> = {};
  try {
    for (const [index, dtype] of dtypes.entries()) {
      model.releaseInference();
      model.inferenceDType = dtype;
      await model.prepareInference();
      await using engine = new Engine(model, tokenizer, false, { taskCache: { maxBytes: 2 ** 40 } });
      const cached: Task[] = [];
      for (const definition of definitions.slice(0, tasks)) {
        cached.push(await engine.tasks.get({ definition }, { signal }));
      }
      taskBytes[dtype] = engine.tasks.metrics.bytes / tasks;
      const { measurements, worstLag } = measurementsOf(engine, cached, path, options, definitions);
      const taken = await alternate([{ measurements }], {
        rounds,
        warmUp: true,
        signal,
        onProgress: (done, total, name) =>
          onProgress?.(index * total + done, dtypes.length * total, `${dtype} ${name}`),
      });
      for (const task of cached) task.dispose();
      fileBytes[dtype] = (await stat(path)).size;
      for (const [work, seconds] of Object.entries(taken)) samples[`${dtype} ${work}`] = seconds;
      eventLoopLag[dtype] = worstLag();
    }
  } finally {
    await device.synchronize().catch(() => undefined);
    model.dispose();
    await dropTemporary(directory);
  }
  return {
    ...moment,
    parameters: parameterCount(config),
    tasks,
    examples,
    inputTokens: LENGTHS.input,
    instructionTokens: LENGTHS.instruction,
    outputTokens: OUTPUT_TOKENS,
    fileBytes,
    taskBytes,
    dtypes,
    samples,
    eventLoopLag,
  };
}

function measurementsOf(
  engine: Engine,
  cached: readonly Task[],
  path: string,
  { examples, signal }: TaskMeasurementOptions,
  definitions: readonly string[],
): { measurements: Record<TaskWork, () => Promise<number>>; worstLag: () => number } {
  const uniform = uniforms(3);
  const inputs = Array.from({ length: examples }, () =>
    randomTokens(uniform, LENGTHS.input, engine.model.config.vocabSize),
  );
  const first = cached[0] as Task;
  const uncached = definitions[cached.length] as string;
  let lag = 0;
  const requestsOf = (taskOf: (input: number) => Task): Promise<number> =>
    secondsOf(async () => {
      const requests = inputs.map((input, i) => ({ task: taskOf(i), input, maxTokens: OUTPUT_TOKENS }));
      const generated = await engine.generate(requests, { signal });
      checkWork(generated);
    });
  const measurements = {
    compile: () => secondsOf(async () => (await engine.compile({ definition: uncached, signal })).dispose()),
    save: () => secondsOf(() => first.save(path, { signal })),
    load: async () => {
      const load = async (): Promise<void> => (await engine.loadTask(path, { signal })).dispose();
      // The first load would include the garbage collection of the buffers of saving.
      await load();
      return secondsOf(load);
    },
    swap: async () => {
      const seconds = await secondsOf(async () => {
        for (let i = 0; i < SWAPS; i++) {
          const definition = definitions[i % cached.length] as string;
          (await engine.tasks.get({ definition }, { signal })).dispose();
        }
      });
      return seconds / SWAPS;
    },
    single: () =>
      secondsOf(async () => checkWork(await first.generate(inputs, { maxTokens: OUTPUT_TOKENS, signal }))),
    scheduled: () => requestsOf(() => first),
    mixed: async () => {
      const endWatch = watchEventLoopLag();
      const seconds = await requestsOf((input) => cached[input % cached.length] as Task);
      lag = Math.max(lag, endWatch().p99);
      return seconds;
    },
  };
  return { measurements, worstLag: () => lag };
}

const WORDS = ['Name', 'the', 'colour', 'of', 'every', 'fruit', 'in', 'this', 'list', 'and', 'count', 'them'];

/** A definition of about the median instruction's length, at least as long; every number gives another one. */
function definitionOf(tokenizer: Tokenizer, number: number): string {
  let text = `Task ${number}:`;
  for (let i = 0; tokenizer.tokenLength(text) < LENGTHS.instruction; i++)
    text += ` ${WORDS[(i * 7 + number) % WORDS.length]}`;
  return text;
}
