import type { SafetensorsFile } from '../../formats/safetensors/file.js';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import type { AnyModel } from '../../model/family.js';
import { HintError } from '../../util/errors.js';
import type { CompiledTasks } from '../contract/compiled-tasks.js';
import {
  checkFingerprint,
  checkSeal,
  damaged,
  isSealed,
  openTaskFile,
  parseMetadata,
  type TaskMetadata,
  type TaskOrigin,
  type TaskTraining,
} from '../contract/task-metadata.js';
import { familyOf } from '../families/registry.js';
import { checkTaskFits } from './task-fit.js';
import { instructionIds, originKey } from './task-origin.js';

/** A task that came back from its file. */
export interface LoadedTask {
  /** Absent where the file does not hold what was compiled: that is to be made again, of `inputPrefix` where it is read. */
  compiled: CompiledTasks | undefined;
  origin: TaskOrigin | undefined;
  inputPrefix: Int32Array;
  /** Of a task that was trained after it was compiled. */
  training: TaskTraining | undefined;
}

/** Options of {@link loadTaskFile}. */
export interface LoadTaskOptions {
  /** The model's, with which files without a seal are checked to hold the instruction they name. */
  tokenizer?: Tokenizer | undefined;
  /** What the task must have been compiled from. */
  origin?: TaskOrigin | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Reads a task compiled by this very model; its tensors are the caller's. They may stay in the file: it must not be
 * written to in place or made shorter while the task is in use. Replacing it (by renaming) is harmless.
 *
 * @param fingerprint of `model`
 * @throws HintError FINGERPRINT_MISMATCH for a task of another model; NOT_FOUND, IO, INVALID_FILE, INVALID_CHECKPOINT, ABORTED
 */
export async function loadTaskFile(
  path: string,
  model: AnyModel,
  fingerprint: string,
  { tokenizer, origin, signal }: LoadTaskOptions = {},
): Promise<LoadedTask> {
  await using file = await openTaskFile(path);
  const metadata = parseMetadata(file);
  checkFingerprint(path, metadata, fingerprint);
  checkTaskFits(file, metadata, model);
  checkSeal(file);
  // A trained task is another one than what its instruction is compiled to.
  const { source: own } = metadata;
  if (origin && (metadata.training || !own || originKey(own) !== originKey(origin)))
    throw new HintError('INVALID_FILE', `${path} holds another task than it did; compile the task again.`);
  if (!isSealed(file)) checkSource(file, metadata, model, tokenizer);
  const compiled = await familyOf(model).storage?.(model)?.read(file, metadata, model, signal);
  const { training } = metadata;
  return { compiled, origin: own, inputPrefix: Int32Array.from(metadata.inputPrefix), training };
}

/**
 * Checks that what a file was compiled from has as many tokens as the instruction that it holds, or the same where the ids
 * are there: the task cache finds a task by it.
 *
 * @throws HintError INVALID_CHECKPOINT
 */
function checkSource(
  file: SafetensorsFile,
  { source, inputPrefix }: TaskMetadata,
  model: AnyModel,
  tokenizer: Tokenizer | undefined,
): void {
  const family = familyOf(model);
  if (!source || !tokenizer || !family.readsInstruction(model)) return;
  let ids: Int32Array | undefined;
  try {
    ids = instructionIds(tokenizer, source);
  } catch (cause) {
    throw damaged(file.path, `what it was compiled from cannot be compiled (${(cause as Error).message})`);
  }
  const storage = family.storage?.(model);
  const fits = storage ? storage.fits(file, ids) : ids?.join() === inputPrefix.join();
  if (!fits) throw damaged(file.path, 'the instruction it holds is not the one it says it was compiled from');
}
