import type { TokenizedExample } from '../../data/batch.js';
import { loadP3Evaluation } from '../../data/p3/evaluation.js';
import type { P3Template } from '../../data/p3/format.js';
import { HintError } from '../../util/errors.js';
import type { LabelledDataConfig } from '../config/data-config.js';
import type { ValidationSettings } from '../config/validation-config.js';
import {
  loadExamples,
  openSource,
  type Context,
  type ExampleSettings,
  type PrepareOptions,
} from '../sources/data-sources.js';
import { PoolSource, poolFingerprint, type ExampleSource } from '../sources/example-source.js';
import { holdOut } from './held-out.js';

/** Examples that a run is validated on. */
export interface ValidationExamples {
  readonly examples: readonly TokenizedExample[];
  /** Of P3, by task name. */
  readonly templates?: ReadonlyMap<string, P3Template>;
  /** Names the content. */
  readonly fingerprint: string;
}

/** What a run draws its examples from, and what it is validated on. */
export interface RunData {
  readonly source: ExampleSource;
  readonly validation?: ValidationExamples | undefined;
}

/**
 * Opens the training data of a run, and beside them what it is validated on: a dataset of its own, or the part of the
 * training data that is held out.
 *
 * @throws HintError INVALID_DATA when nothing is left to validate on, or to train on; as openSource
 */
export async function openRunData(
  settings: ExampleSettings,
  validation: ValidationSettings | undefined,
  { system, tokenizer, ...options }: Omit<Context, 'seed'>,
): Promise<RunData> {
  const open = (): Promise<ExampleSource> => openSource(settings, system, tokenizer, options);
  if (!validation) return { source: await open() };
  const context: Context = { ...options, system, tokenizer, seed: settings.seed };
  const { set } = validation;
  if (set.kind === 'fraction') {
    const { data, seed } = settings;
    if (data.kind !== 'sni' && data.kind !== 'own')
      throw new HintError('INTERNAL', `Nothing can be held out of data of the kind ${data.kind}.`);
    const { training, heldOut } = holdOut(await loadExamples(data, context), set);
    return {
      source: await PoolSource.of(training, seed, options.signal),
      validation: await toValidate({ examples: heldOut }, validation, options),
    };
  }
  // Before the training data, which may be far larger: what is wrong with the smaller set shows at once.
  const loaded = await toValidate(await load(set.data, context), validation, options);
  return { source: await open(), validation: loaded };
}

type Loaded = Omit<ValidationExamples, 'fingerprint'>;

async function load(data: LabelledDataConfig, context: Context): Promise<Loaded> {
  if (data.kind !== 'p3') return { examples: await loadExamples(data, context) };
  const { system, tokenizer, seed, notices, signal, onProgress } = context;
  const { form, shots, directory, split, datasets, cache } = data;
  const { maxInstructionTokens, maxInputTokens, maxTargetTokens } = data;
  return loadP3Evaluation({
    ...{ directory, split, datasets, maxInstructionTokens, maxInputTokens, maxTargetTokens },
    setting: system.p3Setting({ form, shots }),
    tokenizer,
    seed,
    cacheDirectory: cache,
    notices,
    signal,
    onProgress: ({ filesDone, filesTotal }) => onProgress?.(filesDone, filesTotal),
  });
}

/** At most so many examples of each task as the settings say. */
async function toValidate(
  { examples: all, templates }: Loaded,
  { instancesPerTask = Infinity, metric }: ValidationSettings,
  { signal }: PrepareOptions,
): Promise<ValidationExamples> {
  const seen = new Map<string, number>();
  const examples = all.filter(({ task }) => {
    const number = (seen.get(task) ?? 0) + 1;
    seen.set(task, number);
    return number <= instancesPerTask;
  });
  if (examples.length === 0)
    throw new HintError('INVALID_DATA', 'There are 0 examples to validate on; at least 1 is needed.');
  if (metric === 'accuracy' && !examples.some(({ choices }) => choices !== undefined))
    throw new HintError(
      'INVALID_DATA',
      'No example to validate on has answer choices, so that there is no accuracy; set validation.metric to loss, or name other datasets.',
    );
  return {
    examples,
    ...(templates ? { templates } : {}),
    fingerprint: await poolFingerprint(examples, signal),
  };
}
