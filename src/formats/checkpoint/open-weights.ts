import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { checked, path as pathKind } from '../../util/arguments.js';
import { HintError } from '../../util/errors.js';
import { openFlaxFile, openFlaxShards } from '../flax/flax.js';
import { openSafetensorsFile, openSafetensorsShards } from '../safetensors/file.js';
import { openT5x, T5X_INDEX } from '../t5x/t5x.js';
import { openTorchLegacy } from '../torch/legacy.js';
import { openTorchZip } from '../torch/zip.js';
import { readError } from '../../util/read-error.js';
import { sniff, wrongName, type FileKind } from '../weights/first-bytes.js';
import { openSharded } from '../weights/shards.js';
import type { WeightFile } from '../weights/weight-file.js';

/** How the files of a form are named, and what opens one. */
interface FormFiles {
  readonly ending: string;
  readonly kinds: readonly FileKind[];
  readonly openFile: (path: string, kind: FileKind) => Promise<WeightFile>;
  readonly openIndex: (path: string) => Promise<WeightFile>;
}

const SAFETENSORS: FormFiles = {
  ending: '.safetensors',
  // What begins like nothing else is told what is wrong with it as one.
  kinds: ['safetensors', 'unknown', 'msgpack'],
  openFile: openSafetensorsFile,
  openIndex: openSafetensorsShards,
};

const openTorch = (path: string, kind: FileKind): Promise<WeightFile> =>
  kind === 'torch-legacy' ? openTorchLegacy(path) : openTorchZip(path);

const TORCH: FormFiles = {
  ending: '.bin',
  kinds: ['torch-zip', 'torch-legacy'],
  openFile: openTorch,
  openIndex: (path) =>
    openSharded(path, { form: 'torch', ending: '.bin', open: (shard) => openAs(TORCH, shard) }),
};

const FLAX: FormFiles = {
  ending: '.msgpack',
  kinds: ['msgpack'],
  openFile: openFlaxFile,
  openIndex: (path) => openFlaxShards(path, (shard) => openAs(FLAX, shard)),
};

/** In the order in which a folder is looked through; the first that is there is opened. */
const FILES: readonly (readonly [name: string, form: FormFiles, isIndex: boolean])[] = [
  ['model.safetensors', SAFETENSORS, false],
  ['model.safetensors.index.json', SAFETENSORS, true],
  ['pytorch_model.bin', TORCH, false],
  ['pytorch_model.bin.index.json', TORCH, true],
  ['flax_model.msgpack', FLAX, false],
  ['flax_model.msgpack.index.json', FLAX, true],
];

/** Opens a file that its name says to be of a form, if its first bytes do not say otherwise. */
async function openAs(form: FormFiles, path: string): Promise<WeightFile> {
  const kind = await sniff(path);
  if (!form.kinds.includes(kind)) throw kind === 'unknown' ? unknownKind(path) : wrongName(path, kind);
  return form.openFile(path, kind);
}

/** Opens a file of any name by its first bytes. */
async function openAny(path: string): Promise<WeightFile> {
  if (basename(path) === T5X_INDEX) return openIndexed(dirname(path));
  const index = FILES.find(([, { ending }, isIndex]) => isIndex && path.endsWith(`${ending}.index.json`));
  if (index) return index[1].openIndex(path);
  const named = FILES.find(([, { ending }]) => path.endsWith(ending));
  if (named) return openAs(named[1], path);
  const kind = await sniff(path);
  const form = FILES.find(([, { kinds }]) => kind !== 'unknown' && kinds.includes(kind));
  if (form) return form[1].openFile(path, kind);
  throw unknownKind(path);
}

function unknownKind(path: string): HintError {
  return new HintError(
    'INVALID_CHECKPOINT',
    `${path} does not begin like weights in a form that is read (safetensors, PyTorch, Flax msgpack); it may be damaged: download it again, or give another file.`,
  );
}

/**
 * Opens a checkpoint of any published form: a model directory, one of its files, or the index of its shards. Of several
 * forms in a folder, safetensors comes first, then PyTorch's .bin,
 * Flax's msgpack, and a folder checkpoint_N of T5X, the highest N of several. Headers are read and checked completely; values are read on
 * demand, so a checkpoint may be larger than memory.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_JSON, INVALID_CHECKPOINT, NOT_SUPPORTED or LIMIT_EXCEEDED, saying what is wrong
 *   with which file
 */
export async function openWeights(path: string): Promise<WeightFile> {
  checked(pathKind, path, 'path');
  const status = await stat(path).catch((cause: unknown) => {
    throw readError(path, cause);
  });
  if (!status.isDirectory()) return openAny(path);
  const names = await readdir(path).catch((cause: unknown) => {
    throw readError(path, cause);
  });
  const found = FILES.find(([name]) => names.includes(name));
  if (found === undefined) {
    const t5x = t5xFolder(path, names);
    if (t5x === undefined) throw noWeights(path, names);
    return openIndexed(t5x);
  }
  const [name, form, isIndex] = found;
  return isIndex ? form.openIndex(join(path, name)) : openAs(form, join(path, name));
}

async function openIndexed(folder: string): Promise<WeightFile> {
  const path = join(folder, T5X_INDEX);
  const kind = await sniff(path);
  if (kind !== 'msgpack') throw kind === 'unknown' ? unknownKind(path) : wrongName(path, kind);
  return openT5x(folder);
}

/** The folder of a T5X checkpoint: this one, or the latest of those in it. */
function t5xFolder(path: string, names: readonly string[]): string | undefined {
  if (names.includes(T5X_INDEX)) return path;
  const steps = names.flatMap((name) => /^checkpoint_(\d{1,15})$/.exec(name)?.[1] ?? []);
  const [latest] = steps.sort((a, b) => Number(b) - Number(a));
  return latest === undefined ? undefined : join(path, `checkpoint_${latest}`);
}

/**
 * The folder of the T5X checkpoint that {@link openWeights} would open in a folder; undefined where it opens another form, or
 * none.
 *
 * @throws HintError NOT_FOUND, IO
 */
export async function findT5x(path: string): Promise<string | undefined> {
  const names = await readdir(path).catch((cause: unknown) => {
    throw readError(path, cause);
  });
  return FILES.some(([name]) => names.includes(name)) ? undefined : t5xFolder(path, names);
}

function noWeights(path: string, names: readonly string[]): HintError {
  const shard = names.find((name) => /-\d{5}-of-\d{5}\.(safetensors|bin|msgpack)$/.test(name));
  const other = names.find((name) => /\.(h5|gguf|onnx|ot|tflite|ckpt\.index)$/.test(name));
  const what = shard
    ? `only shards such as ${basename(shard)}, without the .index.json that says what is in which; download that too`
    : `${other ? `${other}, which is not read, and ` : ''}no weights in a form that is read (${FILES.map(([name]) => name).join(', ')}, checkpoint_N of T5X); download one of these`;
  return new HintError('NOT_FOUND', `${path} holds ${what}.`);
}
