import { readdir, rename, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { boolean, callback, checked, integer, optional, options as optionsOf, path as pathKind, signal as signalKind } from '../../util/arguments.js'; // prettier-ignore
import { copyFileAtomic, syncFolder, writeFileAtomic } from '../../util/atomic-file.js';
import { HintError } from '../../util/errors.js';
import { takeLock } from '../../util/lock.js';
import { readBytes } from '../../util/read-file.js';
import { ioError, makeFolder } from '../../util/write-error.js';
import { findT5x, openWeights } from '../../formats/checkpoint/open-weights.js';
import { openSafetensors, writeSafetensors } from '../../formats/safetensors/file.js';
import type { WeightFile, WeightForm } from '../../formats/weights/weight-file.js';
import { readConfigFile } from '../config/config-file.js';
import { compareTensors, isFaithful, type ComparedTensor } from './compare.js';
import { planConversion, SHARD_BYTES, type ConversionPlan } from './plan.js';

/** Files beside the weights that tell what their tokens are, and how their model is used; those that are there are copied. */
const COMPANIONS = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'spiece.model',
  'vocab.json',
  'merges.txt',
  'generation_config.json',
];

/** How a checkpoint is converted. */
export interface ConvertOptions {
  /** Largest file of weights in bytes (default 5 GB). */
  shardBytes?: number | undefined;
  /** Compare the result with the source, bit for bit. */
  check?: boolean | undefined;
  /** Ends the conversion, which rejects with ABORTED. */
  signal?: AbortSignal | undefined;
  /** Called with the number of tensors written, and of all. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

const OPTIONS = optionsOf<ConvertOptions>({
  shardBytes: optional(integer(1)),
  check: optional(boolean),
  signal: optional(signalKind),
  onProgress: optional(callback()),
});

/** What a conversion did. */
export interface Conversion {
  /** How the source stores its weights. */
  readonly form: WeightForm;
  /** The directory that was written. */
  readonly destination: string;
  /** Whether the destination was there already, and was only compared. */
  readonly existed: boolean;
  /** Names of the files in the destination, weights first. */
  readonly files: readonly string[];
  /** Bytes of all tensors that were stored. */
  readonly bytes: number;
  /** Files of an earlier run that was ended, which were whole and were kept. */
  readonly kept: number;
  /** Where it was asked for, or the destination was there. */
  readonly tensors?: readonly ComparedTensor[];
}

/**
 * Writes a checkpoint of any published form as a model directory: model.safetensors (in shards with an index above
 * `shardBytes`), config.json, and the tokenizer's files as they are. Every tensor keeps its element type and its bits.
 *
 * The directory takes its name when it is whole. Until then it is called `DESTINATION.converting`; a run that was ended is taken up
 * there: files of weights that hold what they should are kept. A destination that is there is compared, and not written to. One
 * process at a time writes a destination: `DESTINATION.converting.lock` names it.
 *
 * @param source a model directory, one of its files, or a folder of T5X
 * @throws HintError what `openWeights` and reading config.json throw; INVALID_ARGUMENT for a destination that is something
 *   else, or that another process is writing, IO, ABORTED
 */
export async function convertCheckpoint(
  source: string,
  destination: string,
  given: ConvertOptions = {},
): Promise<Conversion> {
  checked(pathKind, source, 'source');
  checked(pathKind, destination, 'destination');
  const options = checked(OPTIONS, given, 'options');
  const { signal } = options;
  await using file = await openWeights(source);
  const folder = await folderOf(source);
  const { config, path: configPath } = await readConfigFile(folder);
  const plan = planConversion(file, config, options.shardBytes ?? SHARD_BYTES);
  const target = resolve(destination);
  if (resolve(folder) === target)
    throw new HintError(
      'INVALID_ARGUMENT',
      `${destination} is the source itself; give the name of a new folder.`,
    );
  const there = await entriesOf(target);
  const common = { form: file.form, destination, bytes: plan.totalBytes };
  if (there.length > 0) {
    const tensors = await compareWith(file, target, plan, options).catch((cause: unknown) => {
      if (!(cause instanceof HintError) || cause.code === 'ABORTED') throw cause;
      throw new HintError(
        'INVALID_ARGUMENT',
        `${destination} is there already and holds no model that can be compared (${cause.message}); give another name, or remove it.`,
        { cause },
      );
    });
    if (options.check !== true && !isFaithful(tensors))
      throw new HintError(
        'INVALID_ARGUMENT',
        `${destination} is there already and does not hold the tensors of ${source}; give another name, or remove it (--check shows what differs).`,
      );
    return { ...common, existed: true, kept: 0, files: there.sort(), tensors };
  }
  await makeFolder(dirname(target));
  const unlock = await takeLock(`${target}.converting.lock`, {
    doing: `converting into ${destination}`,
    instead: 'another destination',
  });
  let written: { files: string[]; kept: number };
  try {
    // Another process may have finished between the first look and the lock.
    if ((await entriesOf(target)).length > 0)
      throw new HintError(
        'INVALID_ARGUMENT',
        `Another process has just written ${destination}; convert again to compare it, or give another destination.`,
      );
    written = await writeModel({ file, plan, folder, configPath, config, target }, options);
  } finally {
    await unlock();
  }
  const tensors = options.check === true ? await compareWith(file, target, plan, { signal }) : undefined;
  return { ...common, existed: false, ...written, ...(tensors ? { tensors } : {}) };
}

/** Writes `TARGET.converting`, or what of it an earlier run has left unwritten, and gives it its name. */
async function writeModel(
  model: { file: WeightFile; plan: ConversionPlan; folder: string; configPath: string; config: unknown; target: string }, // prettier-ignore
  options: ConvertOptions,
): Promise<{ files: string[]; kept: number }> {
  const { file, plan, folder, configPath, config, target } = model;
  const partial = `${target}.converting`;
  await makeFolder(partial);
  const companions = await writeCompanions(folder, configPath, config, partial, options.signal);
  const kept = await writeWeights(file, plan, partial, options);
  const files = [...plan.files.keys(), ...(plan.files.size > 1 ? [INDEX] : []), ...companions];
  await takePlace(partial, target, files);
  return { files, kept };
}

const INDEX = 'model.safetensors.index.json';

/** Where config.json and the tokenizer's files lie. */
async function folderOf(source: string): Promise<string> {
  return (await stat(source)).isDirectory() ? source : dirname(source);
}

async function entriesOf(path: string): Promise<string[]> {
  return readdir(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return [];
    if (cause.code === 'ENOTDIR')
      throw new HintError('INVALID_ARGUMENT', `${path} is a file; give the name of a new folder.`, { cause });
    throw ioError('read', path, cause);
  });
}

async function compareWith(
  file: WeightFile,
  target: string,
  plan: ConversionPlan,
  options: Pick<ConvertOptions, 'signal' | 'onProgress'>,
): Promise<ComparedTensor[]> {
  await using written = await openSafetensors(target);
  return await compareTensors(file, written, plan.leftOut, options);
}

/** @returns the names of what was written */
async function writeCompanions(
  folder: string,
  configPath: string,
  config: unknown,
  partial: string,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const names = await readdir(folder);
  // The tokenizer of a T5X checkpoint lies beside its folder, if anywhere.
  const inner =
    (await findT5x(folder)) === folder ? await readdir(dirname(resolve(folder))).catch(() => []) : [];
  const written = ['config.json'];
  if (basename(configPath) === 'config.json') await copyFileAtomic(configPath, join(partial, 'config.json'));
  else await writeFileAtomic(join(partial, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
  for (const name of COMPANIONS) {
    const from = names.includes(name) ? folder : inner.includes(name) ? dirname(resolve(folder)) : undefined;
    if (from === undefined) continue;
    await writeFileAtomic(
      join(partial, name),
      await readBytes(join(from, name), 'the tokenizer', signal),
      signal,
    );
    written.push(name);
  }
  return written;
}

/** @returns how many files of an earlier run were kept */
async function writeWeights(
  file: WeightFile,
  plan: ConversionPlan,
  partial: string,
  { signal, onProgress }: Pick<ConvertOptions, 'signal' | 'onProgress'>,
): Promise<number> {
  let kept = 0;
  let done = 0;
  const total = file.tensors.size - plan.leftOut.size;
  for (const [name, names] of plan.files) {
    const path = join(partial, name);
    if (await isWhole(file, names, path, signal)) {
      kept++;
      done += names.length;
      continue;
    }
    const tensors = names.map((tensor) => {
      const { dtype = '', shape = [] } = file.tensors.get(tensor) ?? {};
      return {
        name: tensor,
        dtype,
        shape,
        data: async () => {
          onProgress?.(++done, total);
          return file.read(tensor, signal);
        },
      };
    });
    await writeSafetensors(path, tensors, { ...Object.fromEntries(file.metadata), format: 'pt' }, signal);
  }
  if (plan.files.size > 1) {
    const map = [...plan.files].flatMap(([name, names]) =>
      names.map((tensor): [string, string] => [tensor, name]),
    );
    const index = { metadata: { total_size: plan.totalBytes }, weight_map: Object.fromEntries(map.sort()) };
    await writeFileAtomic(join(partial, INDEX), `${JSON.stringify(index, null, 2)}\n`);
  }
  return kept;
}

/** Whether a file that an earlier run left has all tensors that it should have, bit for bit, and no others. */
async function isWhole(
  file: WeightFile,
  names: readonly string[],
  path: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const written = await openSafetensors(path).catch(() => undefined);
  if (written === undefined) return false;
  await using held = written;
  if (held.tensors.size !== names.length) return false;
  const rows = await compareTensors(file, held, new Map(), { signal });
  return rows.every(
    ({ name, outcome }) => outcome === 'same' || (outcome === 'missing' && !names.includes(name)),
  );
}

/** Gives the folder its name, with nothing in it but what belongs there. */
async function takePlace(partial: string, target: string, files: readonly string[]): Promise<void> {
  const others = (await readdir(partial)).filter((name) => !files.includes(name) && !name.startsWith('.'));
  if (others.length > 0)
    throw new HintError(
      'INVALID_ARGUMENT',
      `${partial} also holds ${others.slice(0, 3).join(', ')}, which this conversion did not write; remove the folder and start again.`,
    );
  try {
    await syncFolder(partial);
    await rename(partial, target);
    await syncFolder(dirname(target));
  } catch (cause) {
    throw ioError('write', target, cause);
  }
}
