import { stat } from 'node:fs/promises';
import { z } from 'zod';
import type { PromptFormat } from '../../data/natural-instructions/prompts.js';
import { openSafetensors, type SafetensorsFile, type TensorInfo } from '../../formats/safetensors/file.js';
import { check, listOf } from '../../util/check.js';
import { HintError } from '../../util/errors.js';
import { sha256Hex } from '../../util/hash.js';
import { parseJson } from '../../util/read-file.js';
import { recordOf } from '../../util/record-schema.js';
import { showValue } from '../../util/show-value.js';

/** What a task was compiled from. */
export interface TaskOrigin {
  /** How definition and examples became the instruction. */
  format: PromptFormat;
  /** What the task asks for, in words. */
  definition: string;
  /** Worked examples that the instruction shows, in their order. */
  examples: readonly { input: string; output: string }[];
  /** Token budget of the instruction, or of instruction and input together where they are one text. */
  maxTokens: number;
}

/** How a task was trained on examples after it was compiled. */
export interface TaskTraining {
  /** How many examples there were. */
  readonly examples: number;
  /** Updates that were made, from 1. */
  readonly steps: number;
  /** Examples of a step. */
  readonly batchSize: number;
  /** Of the first step. */
  readonly learningRate: number;
  /** Of the order of the examples. */
  readonly seed: number;
}

/** Files of this version have no keys and values of the instruction, and no seal; they are still read. */
export const FIRST_FORMAT = 'hint-task-1';
export const FORMAT = 'hint-task-2';
/** Files of this version may hold matrices in bf16; they are still read. */
export const ROUNDED_FORMAT = 'hint-task-3';
/** Files of this version hold what the engine that wrote them had in bf16 or int8 as it had it. */
export const NARROW_FORMAT = 'hint-task-4';

/** Longest instruction of a task, in tokens: what is compiled and what a file may claim. */
export const MAX_INSTRUCTION_TOKENS = 65_536;

/** Names of a task file's tensors beside those of the modules. */
export const INSTRUCTION = 'instruction';
export const INSTRUCTION_KEYS = 'instruction_keys';

const metadataSchema = z.strictObject({
  fingerprint: z.string().regex(/^[0-9a-f]{64}$/),
  source: z
    .strictObject({
      format: z.enum(['hint', 'hint-mimic', 'causal', 'tk-instruct', 'no-instruct']),
      definition: z.string(),
      examples: listOf(z.object({ input: z.string(), output: z.string() })),
      maxTokens: z.int().min(1),
    })
    .optional(),
  /** Ids in front of every input; for decoder-only models, the instruction itself. */
  inputPrefix: listOf(z.int().min(0)),
  /** Per kind of module the slots it holds. */
  slots: recordOf(listOf(z.int().min(0))),
  /** What the model's matrices were held in when the instruction's keys and values were computed; absent: not held. */
  keys: z.enum(['f32', 'bf16', 'int8']).optional(),
  /** Absent of a task that is as it was compiled. */
  training: z
    .strictObject({
      examples: z.int().min(1),
      steps: z.int().min(1),
      batchSize: z.int().min(1),
      learningRate: z.number().positive(),
      seed: z.int().min(0),
    })
    .optional(),
});

/** What a task file says about itself; `hint inspect` shows it. */
export type TaskMetadata = z.infer<typeof metadataSchema>;

export const SEAL = 'seal';

/** A hash of all that a file says about itself and of where its tensors lie; not of their values. */
export function sealOf(
  task: string,
  tensors: Iterable<Pick<TensorInfo, 'name' | 'dtype' | 'shape'>>,
): string {
  return sha256Hex(
    task,
    JSON.stringify(Array.from(tensors, ({ name, dtype, shape }) => [name, dtype, shape])),
  );
}

/**
 * Checks that a file's header is the one that was written, where it has a seal: no other check can tell a changed
 * instruction from the one that was compiled.
 *
 * @throws HintError INVALID_CHECKPOINT
 */
export function checkSeal(file: SafetensorsFile): void {
  if (!isSealed(file)) return;
  if (file.metadata.get(SEAL) === sealOf(file.metadata.get('task') ?? '', file.tensors.values())) return;
  throw damaged(
    file.path,
    'what it says about itself was changed after it was written (its seal does not fit)',
  );
}

/** Whether {@link checkSeal} says something of a file: those written before there were seals have none. */
export function isSealed({ metadata }: SafetensorsFile): boolean {
  return metadata.get('format') !== FIRST_FORMAT && metadata.has(SEAL);
}

/**
 * Opens a task file. A folder would be opened as a model, and its errors speak of checkpoints.
 *
 * @throws HintError INVALID_FILE for a folder; NOT_FOUND, IO, INVALID_CHECKPOINT
 */
export async function openTaskFile(path: string): Promise<SafetensorsFile> {
  const status = await stat(path).catch(() => undefined);
  if (status?.isDirectory() === true)
    throw new HintError(
      'INVALID_FILE',
      `${path} is a folder without adapter_config.json; give a task file, or the folder of an adapter of PEFT.`,
    );
  return openSafetensors(path);
}

/**
 * Reads what a task file says about itself, without its values.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_CHECKPOINT (damaged), INVALID_FILE (no task file)
 */
export async function readTaskMetadata(path: string): Promise<TaskMetadata> {
  await using file = await openTaskFile(path);
  const metadata = parseMetadata(file);
  checkSeal(file);
  return metadata;
}

/** @throws HintError INVALID_FILE (no task file), INVALID_CHECKPOINT (damaged) */
export function parseMetadata(file: SafetensorsFile): TaskMetadata {
  const formats = [FIRST_FORMAT, FORMAT, ROUNDED_FORMAT, NARROW_FORMAT];
  if (!formats.includes(file.metadata.get('format') ?? '')) {
    throw new HintError(
      'INVALID_FILE',
      `${file.path} is no task file (its format is ${showValue(file.metadata.get('format') ?? 'not named')}, expected "${formats.join('" or "')}"); make one with "hint compile" or task.save.`,
    );
  }
  const json = parseJson(file.metadata.get('task') ?? '', `${file.path}, in its metadata,`, 'the task');
  const { data, faults } = check(metadataSchema, json);
  if (data) return data;
  const [fault] = faults;
  throw damaged(file.path, `field ${fault.path.join('.') || '(all)'} ${fault.message}`);
}

/** @throws HintError FINGERPRINT_MISMATCH unless the model of that fingerprint wrote the file */
export function checkFingerprint(path: string, metadata: TaskMetadata, fingerprint: string): void {
  if (metadata.fingerprint === fingerprint) return;
  throw new HintError(
    'FINGERPRINT_MISMATCH',
    `${path} was compiled by another model (${metadata.fingerprint.slice(0, 12)}…) than this one (${fingerprint.slice(0, 12)}…); a task only works with the weights that made it: compile it again.`,
  );
}

/** @returns the error of a file whose contents are not what such files hold */
export function damaged(path: string, fault: string): HintError {
  return new HintError(
    'INVALID_CHECKPOINT',
    `${path} is a damaged task file: ${fault}; compile the task again.`,
  );
}
