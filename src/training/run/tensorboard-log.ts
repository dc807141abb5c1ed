import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { scalarRecord, versionRecord, type ScalarEvent } from '../../formats/tensorboard/event-file.js';
import { appendBytes, writeFileAtomically } from '../../util/atomic-file.js';
import { makeFolder } from '../../util/write-error.js';
import type { MetricsLine, ValidationLine } from './metrics-log.js';

const OWN = /^events\.out\.tfevents\.\d+\.hint$/;

/**
 * The curves of a run as TensorBoard reads them: one event file, made anew of metrics.jsonl when the run is begun or gone on
 * with, so that no step stands in it twice.
 */
export class TensorBoardLog {
  private constructor(private readonly path: string) {}

  /**
   * Begins the log with what the run has so far.
   *
   * @param folder for TensorBoard's `--logdir`; event files of others in it stay
   * @throws HintError IO
   */
  static async begin(
    folder: string,
    steps: readonly MetricsLine[],
    validations: readonly ValidationLine[],
  ): Promise<TensorBoardLog> {
    await makeFolder(folder);
    const before = (await readdir(folder)).filter((name) => OWN.test(name));
    // Readers go from file to file in the order of the names, which begin with a time.
    const last = Math.max(0, ...before.map((name) => Number(name.split('.')[3])));
    const now = Math.max(Math.floor(Date.now() / 1000), last + 1);
    const log = new TensorBoardLog(join(folder, `events.out.tfevents.${String(now).padStart(10, '0')}.hint`));
    const events = [...steps.map(stepEvent), ...validations.map(validationEvent)];
    events.sort((a, b) => a.step - b.step);
    await writeFileAtomically(log.path, async (append) => {
      await append(versionRecord(Date.now()));
      for (const event of events) await append(scalarRecord(event));
    });
    for (const name of before) await rm(join(folder, name), { force: true });
    return log;
  }

  /** Adds a logged step. @throws HintError IO */
  addStep(line: MetricsLine): Promise<void> {
    return appendBytes(this.path, scalarRecord(stepEvent(line)));
  }

  /** Adds a validation. @throws HintError IO */
  addValidation(line: ValidationLine): Promise<void> {
    return appendBytes(this.path, scalarRecord(validationEvent(line)));
  }
}

function stepEvent(line: MetricsLine): ScalarEvent {
  const { step, time, loss, total, learningRate, gradientNorm } = line;
  const { tokensPerSecond, examplesPerSecond, bytesInUse, peakBytes } = line;
  return {
    step,
    time: millisecondsOf(time),
    scalars: finite({
      'train/loss': loss,
      'train/total': total,
      'train/learning_rate': learningRate,
      'train/gradient_norm': gradientNorm,
      'speed/tokens_per_second': tokensPerSecond,
      'speed/examples_per_second': examplesPerSecond,
      'memory/bytes_in_use': bytesInUse,
      'memory/peak_bytes': peakBytes,
    }),
  };
}

function validationEvent({ step, time, validation }: ValidationLine): ScalarEvent {
  const { loss, rougeL, exactMatch, accuracy, perTask } = validation;
  const all = Object.entries({ loss, rougeL, exactMatch, accuracy }).map(([name, value]) => [
    `validation/${name}`,
    value,
  ]);
  const tasks = Object.entries(perTask).flatMap(([task, scores]) =>
    (['loss', 'rougeL', 'exactMatch', 'accuracy'] as const).map((name) => [
      `validation_${name}/${task}`,
      scores[name],
    ]),
  );
  const scalars = Object.fromEntries([...all, ...tasks]) as Record<string, unknown>;
  return { step, time: millisecondsOf(time), scalars: finite(scalars) };
}

/** Those that are numbers: lines come from a file. */
function finite(values: Record<string, unknown>): Record<string, number> {
  const numbers = Object.entries(values).filter(
    (entry): entry is [string, number] => typeof entry[1] === 'number' && Number.isFinite(entry[1]),
  );
  return Object.fromEntries(numbers);
}

function millisecondsOf(time: string): number {
  const milliseconds = Date.parse(time);
  return Number.isFinite(milliseconds) ? milliseconds : 0;
}
