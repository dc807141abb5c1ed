import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { readPredictions, type Prediction } from '../../evaluation/prediction-files.js';
import { scoreP3, type P3Prediction } from '../../evaluation/rank-classification.js';
import { scorePredictions } from '../../evaluation/score.js';
import { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { downloadModel, type DownloadPlan } from '../../formats/hub/download.js';
import { Engine } from '../../inference/engine.js';
import { readModelConfig, type ModelConfig } from '../../model/config/config.js';
import { sizedConfig } from '../../model/config/sizes.js';
import { checkWeightDType } from '../../model/weights/inference-weights.js';
import { Device } from '../../tensor/device.js';
import type { WeightDType } from '../../tensor/ops.js';
import { writeFileAtomic } from '../../util/atomic-file.js';
import { createYielder } from '../../util/event-loop-lag.js';
import { HintError } from '../../util/errors.js';
import { sha256Hex } from '../../util/hash.js';
import { takeLock } from '../../util/lock.js';
import type { Notices } from '../../util/notices.js';
import { makeFolder } from '../../util/write-error.js';
import { measureRoofs } from '../../benchmark/estimate/measured-roofs.js';
import { ROOFS, type Roofs } from '../../benchmark/estimate/roofs.js';
import { contentsOf } from '../contents.js';
import { agreementOf, requireCommon, type Agreement } from './agreement.js';
import { checkModel, sizeDifferences } from './check-model.js';
import { estimatedSeconds, namedWork, workOf } from './estimate.js';
import { checkData, exampleIds, loadData, type EvaluationData } from './load-data.js';
import type { PublishedModel } from './models.js';
import { keptPredictions, predictAll } from './predictions.js';

/** What a user says about the evaluation of a published model; everything else is the original's. */
export interface PublishedSettings {
  /** A Super-NaturalInstructions checkout or a P3 directory, as the model needs. */
  readonly data: string;
  /** A folder with the model, which then is not downloaded. */
  readonly model?: string | undefined;
  /** Branch, tag or commit of the download (default main). */
  readonly revision?: string | undefined;
  readonly token?: string | undefined;
  readonly offline?: boolean | undefined;
  /** A tokenizer.json elsewhere than with the model. */
  readonly tokenizer?: string | undefined;
  /** Most examples of each task or template; all that the original takes unless given. */
  readonly limit?: number | undefined;
  /** A file of published predictions to compare with. */
  readonly predictions?: string | undefined;
  readonly batchSize: number;
  readonly dtype: WeightDType;
  readonly device: string;
  readonly threads: number;
  /** Where predictions and reports are written. */
  readonly output: string;
}

/** What the evaluation of a published model tells while it runs. */
export type PublishedEvent =
  | { kind: 'plan'; download: DownloadPlan; seconds: number; roofs: Roofs }
  | { kind: 'downloading'; done: number; total: number; file: string }
  | { kind: 'tokenising'; done: number; total: number }
  | { kind: 'start'; folder: string; examples: number; kept: number; seconds: number; roofs: Roofs }
  /** `secondsLeft`: by the speed of this call so far, where it has one and something is left. */
  | { kind: 'evaluating'; done: number; total: number; secondsLeft?: number };

/** How an evaluation is run. */
export interface RunPublishedOptions {
  /** Ends the evaluation, whose predictions are kept. */
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: PublishedEvent) => void) | undefined;
  /** Gathers what the data have that is ambiguous or repeated. */
  readonly notices?: Notices | undefined;
  /** The rates of the device, for estimates; measured on a CPU and assumed of a GPU unless given. */
  readonly roofs?: (() => Promise<Roofs>) | undefined;
}

/** An evaluation as far as it has been run. */
export interface PublishedResult {
  readonly model: PublishedModel;
  /** Of the download; undefined for a folder. */
  readonly commit: string | undefined;
  /** Of the model that was opened. */
  readonly config: ModelConfig;
  readonly predictions: readonly P3Prediction[];
  readonly templates: EvaluationData['templates'];
  /** Examples of the whole evaluation; fewer predictions where it was stopped. */
  readonly examples: number;
  /** In what the model and the data differ from the named ones. */
  readonly differences: readonly string[];
  readonly agreement: Agreement | undefined;
  /** Where predictions are. */
  readonly folder: string;
}

/**
 * Evaluates a released model as its original does: downloads it unless a folder is given, shows it the data, and keeps each batch of predictions.
 * A later call with the same model, data and settings goes on with what is kept.
 *
 * Below the output, `published/ID/predictions.jsonl` has the predictions. The id is a hash of all that they depend on: the model's
 * commit or files, the tokens of the examples, dtype and kind of device.
 *
 * @returns also where the signal ended it after the first prediction
 * @throws HintError what is wrong with device, data, predictions or a given tokenizer before anything is downloaded; as downloadModel, Engine.open and
 *   evaluateModel; NOT_SUPPORTED for a model of another kind; ABORTED before the first prediction
 */
export async function runPublished(
  model: PublishedModel,
  settings: PublishedSettings,
  options: RunPublishedOptions = {},
): Promise<PublishedResult> {
  const { signal, onEvent, notices } = options;
  checkDevice(settings);
  await checkData(model, settings.data);
  const published =
    settings.predictions === undefined ? undefined : await readPredictions(settings.predictions, signal);
  if (published) {
    const { data: given, limit } = settings;
    await requireCommon(exampleIds(model, { directory: given, limit, signal }), published);
  }
  if (settings.tokenizer !== undefined) await Tokenizer.load(settings.tokenizer);
  const rates = once(options.roofs ?? (() => roofsOf(settings, signal ?? new AbortController().signal)));
  const { folder: directory, commit } = await modelOf(model, settings, rates, options);
  await checkModel(model, directory);
  const { device, threads, dtype, tokenizer: words, batchSize } = settings;
  const given = words === undefined ? {} : { tokenizer: words };
  await using engine = await Engine.open(directory, { device, threads, dtype, signal, ...given });
  const { tokenizer } = engine;
  if (!tokenizer)
    throw new HintError(
      'NOT_FOUND',
      `${directory} has no tokenizer (tokenizer.json or spiece.model); copy the model's there or give --tokenizer.`,
    );
  const config = await readModelConfig(directory);
  const data = await loadData(model, {
    directory: settings.data,
    tokenizer,
    limit: settings.limit,
    cacheDirectory: join(resolve(settings.output), 'tokens'),
    notices,
    signal,
    onProgress: (done, total) => onEvent?.({ kind: 'tokenising', done, total }),
  });
  const identity = [
    commit ?? (await contentsOf(directory, 'the model')),
    await digestOf(data),
    dtype,
    device.replace(/:.*/, ''),
    words === undefined ? '' : await contentsOf(words, 'the tokenizer'),
  ];
  const id = `${model.name}-${sha256Hex(...identity).slice(0, 12)}`;
  const folder = join(resolve(settings.output), 'published', id);
  await makeFolder(folder);
  const unlock = await takeLock(join(folder, 'lock.json'), {
    doing: `evaluating ${model.name} in ${folder}`,
    instead: 'another output directory',
  });
  try {
    const file = join(folder, 'predictions.jsonl');
    const kept = (await keptPredictions(file, data, signal)).size;
    const total = data.examples.length;
    if (kept < total) {
      const roofs = await rates();
      const left = { ...workOf(data.examples), examples: total - kept };
      const seconds = estimatedSeconds(config, left, { roofs, dtype, batchSize });
      onEvent?.({ kind: 'start', folder, examples: total, kept, seconds, roofs });
    }
    await writeFileAtomic(join(folder, 'evaluation.json'), `${JSON.stringify(describe(model, settings, commit), null, 2)}\n`); // prettier-ignore
    const predictions = await predicted({ model: engine.model, tokenizer }, data, {
      file,
      batchSize,
      signal,
      onProgress: timed(kept, (event) => onEvent?.(event)),
    });
    return {
      model,
      commit,
      config,
      predictions,
      templates: data.templates,
      examples: total,
      differences: [...sizeDifferences(model, config), ...data.differences],
      agreement: published && agreementOf(predictions, published, (some) => scoreOf(some, data.templates)),
      folder,
    };
  } finally {
    await unlock();
  }
}

/** RougeL of generated predictions, mean accuracy of ranked ones, times 100. */
export function scoreOf(
  predictions: readonly (Prediction & Partial<P3Prediction>)[],
  templates: EvaluationData['templates'],
): number {
  return templates ? (scoreP3(predictions, templates).average ?? 0) : scorePredictions(predictions).rougeL;
}

/** All predictions; of an evaluation that was stopped those that are kept, if there are any. */
async function predicted(...given: Parameters<typeof predictAll>): Promise<P3Prediction[]> {
  const [, data, { file, signal }] = given;
  try {
    return await predictAll(...given);
  } catch (error) {
    if (!signal?.aborted) throw error;
    const kept = await keptPredictions(file, data);
    if (kept.size === 0) throw error;
    return data.examples.flatMap(({ id }) => kept.get(id) ?? []);
  }
}

async function modelOf(
  model: PublishedModel,
  settings: PublishedSettings,
  rates: () => Promise<Roofs>,
  { signal, onEvent }: RunPublishedOptions,
): Promise<{ folder: string; commit: string | undefined }> {
  const { model: folder, revision, token, offline, limit, dtype, batchSize } = settings;
  if (folder !== undefined) return { folder, commit: undefined };
  return downloadModel(model.repository, {
    revision,
    token,
    offline,
    signal,
    onPlan: async (download) => {
      if (settings.tokenizer === undefined) requireTokenizer(model, download);
      if (download.missingBytes === 0) return;
      const roofs = await rates();
      const work = namedWork(model.data, limit);
      const seconds = estimatedSeconds(sizedConfig(model.size), work, { roofs, dtype, batchSize });
      onEvent?.({ kind: 'plan', download, seconds, roofs });
    },
    onProgress: (done, total, file) => onEvent?.({ kind: 'downloading', done, total, file }),
  });
}

/** @throws HintError NOT_FOUND where a download would bring a model that cannot be given any text */
function requireTokenizer({ repository }: PublishedModel, { files }: DownloadPlan): void {
  if (files.some(({ path }) => path === 'tokenizer.json' || path === 'spiece.model')) return;
  throw new HintError(
    'NOT_FOUND',
    `${repository} has no tokenizer (tokenizer.json or spiece.model); give --tokenizer with that of a T5, such as google/t5-v1_1-base.`,
  );
}

/** @throws HintError what Device throws for a device that is not here, NOT_SUPPORTED for a dtype that it has no products in */
function checkDevice({ device, threads, dtype }: PublishedSettings): void {
  using opened = new Device({ device, threads });
  checkWeightDType(opened, dtype);
}

function roofsOf({ device, threads }: PublishedSettings, signal: AbortSignal): Promise<Roofs> {
  return device === 'cpu' ? measureRoofs(threads, signal) : Promise.resolve(ROOFS['h200'] as Roofs);
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}

/** Stands for the examples as the model sees them. */
async function digestOf({ examples }: EvaluationData): Promise<string> {
  const breathe = createYielder();
  const bytes = (ids: Int32Array): Uint8Array => new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength);
  let digest = '';
  for (const { id, input, choices } of examples) {
    const pause = breathe();
    if (pause) await pause;
    digest = sha256Hex(digest, id, bytes(input), ...(choices ?? []).map(({ ids }) => bytes(ids)));
  }
  return digest;
}

/** What a folder's predictions are of, for people. */
function describe(
  { name, repository, protocol }: PublishedModel,
  { model, data, limit, dtype, device }: PublishedSettings,
  commit: string | undefined,
): object {
  return { name, repository, commit, model, data, limit, dtype, device, protocol };
}

function timed(kept: number, tell: (event: PublishedEvent) => void): (done: number, total: number) => void {
  const began = performance.now();
  return (done, total) => {
    const seconds = (performance.now() - began) / 1000;
    const left =
      done > kept && done < total ? { secondsLeft: (seconds / (done - kept)) * (total - done) } : {};
    tell({ kind: 'evaluating', done, total, ...left });
  };
}
