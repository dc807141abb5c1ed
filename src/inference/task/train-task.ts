import { buildBatch, type TokenizedExample } from '../../data/batch.js';
import { MixedTaskSampler, splitByTokens } from '../../data/sampling.js';
import type { AnyModel } from '../../model/family.js';
import type { Device } from '../../tensor/device.js';
import { momentShapes } from '../../tensor/moments.js';
import * as ops from '../../tensor/ops.js';
import { adamw } from '../../tensor/optimizer-ops.js';
import type { Sliced } from '../../tensor/slices.js';
import { Gradients, Tape } from '../../tensor/tape.js';
import type { Tensor } from '../../tensor/tensor.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { settled, disposeTasks, type CompiledTasks } from '../contract/compiled-tasks.js';
import type { TaskTraining } from '../contract/task-metadata.js';
import type { TaskTuning } from '../contract/task-tuning.js';
import { familyOf } from '../families/registry.js';

/** How {@link trainCompiledTask} trains. */
export interface TaskTrainingRun extends Omit<TaskTraining, 'examples'> {
  /** Most tokens of inputs and outputs computed at once. */
  readonly tokenBudget: number;
  readonly signal: AbortSignal;
  readonly onStep?: ((progress: TaskTrainingProgress) => void) | undefined;
}

/** What {@link Task.train} tells after each step. */
export interface TaskTrainingProgress {
  /** Steps taken, from 1. */
  readonly step: number;
  /** Updates that there will be in all. */
  readonly steps: number;
  /** Mean −log p of an output token of the step's examples, before its update. */
  readonly loss: number;
}

/** Examples of one task, whose instruction is read already. */
export function trainingExamples(
  inputs: readonly Int32Array[],
  outputs: readonly Int32Array[],
): TokenizedExample[] {
  const instruction = new Int32Array(0);
  return inputs.map((input, index) => ({
    id: String(index),
    task: '',
    instruction,
    input,
    target: outputs[index] as Int32Array,
    references: [],
  }));
}

interface Trained {
  readonly parameter: Tensor;
  readonly moments: { first: Tensor; second: Tensor };
}

/**
 * Trains what one instruction has become on examples, with AdamW at a rate that falls to 0 in a straight line. The model and
 * the task that it starts from stay as they are.
 *
 * @param examples inputs as the model reads them
 * @returns a task of its own
 * @throws HintError NOT_SUPPORTED, NUMERIC when the loss is no finite number, INVALID_TOKEN, OUT_OF_MEMORY, ABORTED
 */
export async function trainCompiledTask(
  model: AnyModel,
  task: CompiledTasks,
  examples: readonly TokenizedExample[],
  run: TaskTrainingRun,
): Promise<CompiledTasks> {
  const { tuning, title } = familyOf(model);
  if (!tuning) {
    throw new HintError(
      'NOT_SUPPORTED',
      `Tasks of ${title} have no modules of their own to train; train a model with "hint train".`,
    );
  }
  const { device } = model;
  const parameters = await device.inSlices(device.tidied(tuning.parameters(model, task)));
  let trained: Trained[] = [];
  let gradients: Gradients | undefined;
  try {
    trained = startMoments(device, parameters);
    gradients = new Gradients(device);
    const sampler = new MixedTaskSampler(examples.length, run.seed);
    for (let step = 1; step <= run.steps; step++) {
      throwIfAborted(run.signal);
      const drawn = Array.from(sampler.next(run.batchSize), (index) => examples[index] as TokenizedExample);
      const loss = await takeStep({ model, task, tuning, parameters, trained, gradients }, drawn, step, run);
      if (!Number.isFinite(loss)) {
        throw new HintError(
          'NUMERIC',
          `The loss of step ${step} is ${loss}; lower learningRate (${run.learningRate}).`,
        );
      }
      run.onStep?.({ step, steps: run.steps, loss });
    }
    const tuned = await tuning.tuned(model, task, parameters);
    await settled(tuned, run.signal).catch((error: unknown) => {
      disposeTasks(tuned);
      throw error;
    });
    return tuned;
  } finally {
    gradients?.dispose();
    for (const parameter of parameters.values()) parameter.dispose();
    for (const { moments } of trained) for (const tensor of Object.values(moments)) tensor.dispose();
  }
}

function startMoments(device: Device, parameters: ReadonlyMap<string, Tensor>): Trained[] {
  return device.tidy(() =>
    [...parameters.values()].map((parameter) => {
      const { first, second } = momentShapes('adamw', parameter.shape) as {
        first: readonly number[];
        second: readonly number[];
      };
      return { parameter, moments: { first: device.full(first, 0), second: device.full(second, 0) } };
    }),
  );
}

interface Training {
  readonly model: AnyModel;
  readonly task: CompiledTasks;
  readonly tuning: TaskTuning;
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly trained: readonly Trained[];
  readonly gradients: Gradients;
}

/** @returns the mean loss of the examples' output tokens before the update */
async function takeStep(
  training: Training,
  examples: readonly TokenizedExample[],
  step: number,
  { tokenBudget, learningRate, steps }: TaskTrainingRun,
): Promise<number> {
  const { model, trained, gradients } = training;
  const { device } = model;
  const tokens = examples.reduce((total, { target }) => total + target.length, 0);
  const sums: Tensor[] = [];
  try {
    for (const microbatch of splitByTokens(examples, tokenBudget))
      sums.push(await device.inSlices(device.tidied(addGradients(training, microbatch))));
    const rate = (learningRate * (steps - step + 1)) / steps;
    await device.inSlices(
      update(trained, gradients, { learningRate: rate, step, gradientScale: 1 / tokens }),
    );
    gradients.reset();
    const values = await Promise.all(sums.map((sum) => sum.item()));
    return values.reduce((total, value) => total + value, 0) / tokens;
  } finally {
    for (const sum of sums) sum.dispose();
  }
}

/** @returns the sum of the losses */
function* addGradients(
  { model, task, tuning, parameters, gradients }: Training,
  examples: readonly TokenizedExample[],
): Sliced<Tensor> {
  const tape = new Tape(model.device, parameters.values());
  const losses = tuning.losses(model, task, parameters, buildBatch(examples));
  const sum = yield* tape.recording(summed(losses));
  yield* tape.backwardSliced([sum], gradients);
  return sum;
}

function* summed(losses: Sliced<Tensor>): Sliced<Tensor> {
  return ops.sum(yield* losses);
}

function* update(
  trained: readonly Trained[],
  gradients: Gradients,
  attributes: { learningRate: number; step: number; gradientScale: number },
): Sliced<void> {
  for (const { parameter, moments } of trained) {
    const gradient = gradients.get(parameter);
    // What no layer reads has none, and stays as it is.
    if (gradient) adamw(parameter, gradient, moments, attributes);
    yield;
  }
}
