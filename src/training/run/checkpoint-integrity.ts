import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { HintError } from '../../util/errors.js';
import { checkFinite } from '../../model/checkpoint/checkpoint.js';
import { checkModelConfig } from '../../model/families/open-model.js';
import { openSafetensors, toFloat32InPieces } from '../../formats/safetensors/file.js';
import { writeFileAtomic } from '../../util/atomic-file.js';
import { check } from '../../util/check.js';
import { hashFile } from '../../util/hash-file.js';
import { parseJson, readText } from '../../util/read-file.js';
import { readError } from '../../util/read-error.js';
import { VALIDATION_METRICS } from '../config/validation-config.js';
import type { TrainerState } from '../step/trainer-arguments.js';
import type { ValidationState } from '../validation/best.js';
import { haveMoments, holdsMoments, MOMENTS_FILE } from './moment-files.js';

/** state.json of a checkpoint. */
export interface CheckpointState extends TrainerState {
  /** That of the examples' source: a resumed run that would draw others is refused. */
  fingerprint: string;
  /** How far its validation has come; absent where the run is not validated, or not yet. */
  validation?: ValidationState | undefined;
}

const STATE_FILE = 'state.json';
/** What every checkpoint has beside its state and its moments. */
const FILES = ['config.json', 'model.safetensors'];

const counters = { step: z.int().min(0), tokens: z.int().min(0) };
const recordSchema = z.object({ bytes: z.int().min(0), sha256: z.string().regex(/^[0-9a-f]{64}$/) });

type FileRecord = z.infer<typeof recordSchema>;

const validationState = z.strictObject({
  metric: z.enum(VALIDATION_METRICS),
  fingerprint: z.string(),
  step: z.int().min(1),
  bestStep: z.int().min(1),
  bestScore: z.number(),
  sinceBest: z.int().min(0),
});

const checkedState = z.strictObject({
  version: z.literal(3),
  ...counters,
  source: z.json(),
  fingerprint: z.string(),
  files: z
    .record(z.string(), recordSchema)
    .refine((files) => firstMissing(Object.keys(files)) === undefined, 'a file is not listed'),
  /** SHA-256 of the JSON of all other fields. */
  checksum: z.string(),
});

// What runs wrote before states had checksums; strict, so that no damage makes one of these of a newer state.
const stateSchema = z.union([
  checkedState,
  // Of runs that are validated.
  checkedState.extend({ version: z.literal(4), validation: validationState }),
  z.strictObject({ version: z.literal(2), ...counters, source: z.json(), fingerprint: z.string() }),
  // While examples came from a pool in memory only.
  z
    .strictObject({ version: z.literal(1), ...counters, sampler: z.json(), pool: z.string() })
    .transform(({ sampler, pool, ...rest }) => ({ ...rest, source: sampler, fingerprint: pool })),
]);

/**
 * Writes the state of a checkpoint whose other files are there, last, with the size and SHA-256 of each of them.
 *
 * @throws HintError IO
 */
export async function writeState(directory: string, state: CheckpointState): Promise<void> {
  const files: Record<string, FileRecord> = {};
  for (const name of (await readdir(directory)).sort()) files[name] = await hashFile(join(directory, name));
  const { step, tokens, source, fingerprint, validation } = state;
  const shared = { step, tokens, source, fingerprint };
  const content = validation
    ? { version: 4, ...shared, validation, files }
    : { version: 3, ...shared, files };
  await writeFileAtomic(join(directory, STATE_FILE), withChecksum(content));
}

/**
 * The state of a checkpoint that is as it was written: nothing missing, cut off or changed, the configuration readable,
 * every weight and moment finite. Of a checkpoint without checksums, as earlier versions wrote them, values that were
 * changed to other finite ones are not noticed.
 *
 * @throws HintError INVALID_CHECKPOINT, NOT_FOUND, INVALID_JSON, INVALID_CONFIG, IO: how it is damaged; ABORTED
 */
export async function readIntactState(
  directory: string,
  step: number,
  signal?: AbortSignal,
): Promise<CheckpointState> {
  const names = await readdir(directory).catch((cause: unknown) => {
    throw readError(directory, cause);
  });
  const missing = names.includes(STATE_FILE) ? firstMissing(names) : STATE_FILE;
  if (missing !== undefined) throw damaged(`${missing} is missing`);
  const state = await readState(directory);
  if (state.step !== step) throw damaged(`${STATE_FILE} is that of step ${state.step}`);
  if ('files' in state) {
    for (const [name, record] of Object.entries(state.files)) {
      const found = await hashFile(join(directory, name), signal);
      if (found.bytes !== record.bytes)
        throw damaged(`${name} has ${found.bytes} bytes, ${record.bytes} were written`);
      if (found.sha256 !== record.sha256)
        throw damaged(`${name} is not what was written (its SHA-256 differs)`);
    }
  }
  await checkModelConfig(directory);
  for (const name of names.filter((one) => one === 'model.safetensors' || holdsMoments(one)))
    await checkTensors(join(directory, name), signal);
  const { tokens, source, fingerprint } = state;
  const validation = 'validation' in state ? { validation: state.validation } : {};
  return { step, tokens, source, fingerprint, ...validation };
}

/** A file that a checkpoint of these files lacks. */
function firstMissing(names: readonly string[]): string | undefined {
  return FILES.find((name) => !names.includes(name)) ?? (haveMoments(names) ? undefined : MOMENTS_FILE);
}

async function readState(directory: string): Promise<z.infer<typeof stateSchema>> {
  const file = join(directory, STATE_FILE);
  const text = await readText(file, 'the state');
  let json: unknown;
  try {
    json = parseJson(text, file, 'the state');
  } catch (cause) {
    throw damaged(`${STATE_FILE} is not valid JSON, or is nested too deeply`, cause);
  }
  const { data: state, faults } = check(stateSchema, json);
  if (faults) throw damaged(`${STATE_FILE} does not hold the state of a checkpoint`);
  if ('checksum' in state) {
    const content = { ...(json as Record<string, unknown>) };
    delete content.checksum;
    if (text !== withChecksum(content)) throw damaged(`${STATE_FILE} is not what was written`);
  }
  return state;
}

/** The text of a state, its own checksum last. */
function withChecksum(content: object): string {
  const checksum = createHash('sha256').update(JSON.stringify(content)).digest('hex');
  return `${JSON.stringify({ ...content, checksum }, null, 2)}\n`;
}

/** @throws HintError INVALID_CHECKPOINT naming the file's fault or the first value that is no finite number */
async function checkTensors(path: string, signal: AbortSignal | undefined): Promise<void> {
  await using file = await openSafetensors(path);
  for (const [name, { dtype }] of file.tensors) {
    const what = `The tensor ${name} of ${path}`;
    const values = await toFloat32InPieces(await file.read(name, signal), dtype, what);
    await checkFinite(values, what, signal);
  }
}

function damaged(fault: string, cause?: unknown): HintError {
  return new HintError('INVALID_CHECKPOINT', `${fault}.`, { cause });
}
