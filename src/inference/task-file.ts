import { z } from 'zod';
import { HintError } from '../errors.js';
import { checkFinite } from '../model/checkpoint.js';
import type { EncodedTasks } from '../model/hint.js';
import { isLanguageModel, type AnyModel } from '../model/open-model.js';
import { adaptationTable, slotCount, type AdaptationName } from '../model/parameter-shapes.js';
import { openSafetensors, writeSafetensors, type SafetensorsFile } from '../model/safetensors.js';
import type { GeneratedTensor } from '../model/task-modules.js';
import * as ops from '../tensor/ops.js';
import type { Tensor } from '../tensor/tensor.js';
import type { TaskSource } from './task.js';

const FORMAT = 'hint-task-1';
const INSTRUCTION = 'instruction';

const metadataSchema = z.object({
  fingerprint: z.string().regex(/^[0-9a-f]{64}$/),
  source: z
    .object({
      format: z.enum(['hint', 'hint-mimic', 'causal', 'tk-instruct', 'no-instruct']),
      definition: z.string(),
      examples: z.array(z.object({ input: z.string(), output: z.string() })),
      maxTokens: z.int().min(1),
    })
    .optional(),
  /** Ids in front of every input; for decoder-only models, the instruction itself. */
  inputPrefix: z.array(z.int().min(0)),
  /** Per kind of module the slots it holds. */
  slots: z.record(z.string(), z.array(z.int().min(0))),
});

/** What a task file says about itself; `hint inspect` shows it. */
export type TaskMetadata = z.infer<typeof metadataSchema>;

/** A task as it goes to disk and comes back. */
export interface StoredTask {
  encoded: EncodedTasks;
  source: TaskSource | undefined;
  inputPrefix: Int32Array;
}

/**
 * Writes a task: its modules and its encoded instruction. The decoder's keys and values follow from these by one
 * product per layer, so the file does not hold them.
 *
 * @throws HintError IO, ABORTED; an existing file stays as it was
 */
export async function saveTaskFile(
  path: string,
  task: StoredTask & { model: AnyModel; fingerprint: string; signal?: AbortSignal },
): Promise<void> {
  const { model, encoded } = task;
  // Modules that no instruction made are the model's own and come back with it.
  const isGenerated = !isLanguageModel(model) && model.hypernetwork?.readsInstruction;
  const modules = isGenerated ? [...encoded.modules] : [];
  const tensors: [string, Tensor][] = modules.map(([name, { tensor }]) => [name, tensor]);
  if (encoded.instructions) tensors.push([INSTRUCTION, encoded.instructions.rows]);
  const metadata: TaskMetadata = {
    fingerprint: task.fingerprint,
    source: task.source && { ...task.source, examples: [...task.source.examples] },
    inputPrefix: [...task.inputPrefix],
    slots: Object.fromEntries(modules.map(([name, { slots }]) => [name, [...slots]])),
  };
  await writeSafetensors(
    path,
    tensors.map(([name, tensor]) => ({
      name,
      dtype: 'F32' as const,
      shape: tensor.shape,
      data: async () => new Uint8Array(await tensor.readBytes()),
    })),
    { format: FORMAT, task: JSON.stringify(metadata) },
    task.signal,
  );
}

/**
 * Reads what a task file says about itself, without its values.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_CHECKPOINT (damaged), INVALID_FILE (no task file)
 */
export async function readTaskMetadata(path: string): Promise<TaskMetadata> {
  await using file = await openSafetensors(path);
  return parseMetadata(file);
}

function parseMetadata(file: SafetensorsFile): TaskMetadata {
  if (file.metadata.get('format') !== FORMAT) {
    throw new HintError(
      'INVALID_FILE',
      `${file.path} is no task file (its format is ${JSON.stringify(file.metadata.get('format') ?? 'not named')}, expected "${FORMAT}"); make one with "hint compile" or task.save.`,
    );
  }
  let json: unknown;
  try {
    json = JSON.parse(file.metadata.get('task') ?? '');
  } catch {
    json = undefined;
  }
  const parsed = metadataSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const fault = parsed.error.issues[0];
  throw damaged(file.path, `field ${fault?.path.join('.') || '(all)'}: ${fault?.message}`);
}

/** @throws HintError FINGERPRINT_MISMATCH unless the model of that fingerprint wrote the file */
export function checkFingerprint(path: string, metadata: TaskMetadata, fingerprint: string): void {
  if (metadata.fingerprint === fingerprint) return;
  throw new HintError(
    'FINGERPRINT_MISMATCH',
    `${path} was compiled by another model (${metadata.fingerprint.slice(0, 12)}…) than this one (${fingerprint.slice(0, 12)}…); a task only works with the weights that made it: compile it again.`,
  );
}

/**
 * Reads a task compiled by this very model.
 *
 * @param fingerprint of `model`
 * @throws HintError FINGERPRINT_MISMATCH for a task of another model; NOT_FOUND, IO, INVALID_FILE, INVALID_CHECKPOINT, ABORTED
 */
export async function loadTaskFile(
  path: string,
  model: AnyModel,
  fingerprint: string,
  signal?: AbortSignal,
): Promise<StoredTask> {
  await using file = await openSafetensors(path);
  const metadata = parseMetadata(file);
  checkFingerprint(path, metadata, fingerprint);
  const { source, inputPrefix } = metadata;
  const made: Tensor[] = [];
  try {
    const encoded = await readEncoded(file, metadata, model, made, signal);
    return { encoded, source, inputPrefix: Int32Array.from(inputPrefix) };
  } catch (error) {
    for (const tensor of made) tensor.dispose();
    throw error;
  }
}

async function readEncoded(
  file: SafetensorsFile,
  metadata: TaskMetadata,
  model: AnyModel,
  made: Tensor[],
  signal: AbortSignal | undefined,
): Promise<EncodedTasks> {
  if (isLanguageModel(model)) return { instructions: undefined, modules: new Map() };
  const { config, device } = model;
  if (!model.hypernetwork?.readsInstruction) {
    const none = { ids: new Int32Array(), offsets: Int32Array.of(0) };
    return device.inSlices(device.tidied(model.encodeTasks(none)));
  }
  const names = new Map<Tensor, string>();
  using norm = device.keep(device.full([1], 0));
  const read = async (name: string, shape: readonly number[]): Promise<Tensor> => {
    const info = file.tensors.get(name);
    if (!info) throw damaged(file.path, `the tensor ${name} is missing`);
    if (info.dtype !== 'F32' || info.shape.join() !== shape.join()) {
      throw damaged(
        file.path,
        `the tensor ${name} is ${info.dtype} [${info.shape.join(', ')}], expected F32 [${shape.join(', ')}]`,
      );
    }
    const tensor = device.keep(device.tensor(null, shape, 'f32'));
    made.push(tensor);
    let at = 0;
    for await (const piece of file.pieces(name, signal)) {
      device.write(tensor, piece, at);
      at += piece.length;
    }
    ops.addSquareNorm(tensor, norm);
    names.set(tensor, name);
    return tensor;
  };
  const modules = new Map<AdaptationName, GeneratedTensor>();
  for (const { name, shape } of adaptationTable(config)) {
    const slots = metadata.slots[name];
    if (!slots || slots.some((slot) => slot >= slotCount(config)))
      throw damaged(file.path, `its slots of ${name} do not fit the model`);
    modules.set(name, { tensor: await read(name, [1, slots.length, ...shape]), slots });
  }
  const rows = file.tensors.get(INSTRUCTION)?.shape[0] ?? 0;
  if (rows < 1) throw damaged(file.path, 'it has no encoded instruction');
  const instruction = await read(INSTRUCTION, [rows, config.dModel]);
  if (!Number.isFinite(await norm.item())) {
    for (const [tensor, name] of names)
      await checkFinite(await tensor.read(), `The tensor ${name} of ${file.path}`, signal);
  }
  return { modules, instructions: { rows: instruction, offsets: Int32Array.of(0, rows) } };
}

function damaged(path: string, fault: string): HintError {
  return new HintError(
    'INVALID_CHECKPOINT',
    `${path} is a damaged task file: ${fault}; compile the task again.`,
  );
}
