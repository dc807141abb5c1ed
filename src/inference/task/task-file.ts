import { toInt8InPieces, writeSafetensors, type TensorToWrite } from '../../formats/safetensors/file.js';
import { inFileOrder } from '../../formats/safetensors/writer.js';
import type { AnyModel } from '../../model/family.js';
import { cast, type WeightDType } from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import { HintError } from '../../util/errors.js';
import type { CompiledTasks } from '../contract/compiled-tasks.js';
import type { StoredTask } from '../contract/family.js';
import {
  FORMAT,
  NARROW_FORMAT,
  SEAL,
  sealOf,
  type TaskMetadata,
  type TaskOrigin,
  type TaskTraining,
} from '../contract/task-metadata.js';
import { familyOf } from '../families/registry.js';

/** What goes into a task's file. */
interface TaskToSave {
  model: AnyModel;
  fingerprint: string;
  compiled: CompiledTasks;
  origin: TaskOrigin | undefined;
  inputPrefix: Int32Array;
  training?: TaskTraining | undefined;
  signal?: AbortSignal;
}

/**
 * Writes a task: what its family stores of it, and what says which model it belongs to and what it was compiled from.
 *
 * @throws HintError IO, ABORTED; NOT_SUPPORTED for an adapter of PEFT; an existing file stays as it was
 */
export async function saveTaskFile(path: string, task: TaskToSave): Promise<void> {
  const { model, compiled } = task;
  if (compiled.readFrom !== undefined)
    throw new HintError(
      'NOT_SUPPORTED',
      `This task was read from the adapter of PEFT in ${compiled.readFrom}, which a task file does not hold; copy that folder instead.`,
    );
  const stored = await familyOf(model).storage?.(model)?.stored(model, compiled);
  try {
    await write(path, task, stored);
  } finally {
    stored?.release?.();
  }
}

async function write(path: string, task: TaskToSave, stored: StoredTask | undefined): Promise<void> {
  const metadata: TaskMetadata = {
    fingerprint: task.fingerprint,
    source: task.origin && {
      ...task.origin,
      examples: task.origin.examples.map(({ input, output }) => ({ input, output })),
    },
    inputPrefix: [...task.inputPrefix],
    slots: Object.fromEntries(Object.entries(stored?.slots ?? {}).map(([name, slots]) => [name, [...slots]])),
    ...(stored?.keys ? { keys: stored.keys } : {}),
    ...(task.training ? { training: task.training } : {}),
  };
  const written = (stored?.tensors ?? []).map(({ name, shape, parts, dtype = 'f32' }): TensorToWrite => ({
    name,
    dtype: STORED_AS[dtype],
    shape,
    data: () => bytesOf(parts, dtype),
  }));
  const format = written.some(({ dtype }) => dtype !== 'F32') ? NARROW_FORMAT : FORMAT;
  const text = JSON.stringify(metadata);
  // As they lie in the file.
  const header = { format, task: text, [SEAL]: sealOf(text, inFileOrder(written)) };
  await writeSafetensors(path, written, header, task.signal);
}

const STORED_AS = { f32: 'F32', bf16: 'BF16', int8: 'I8' } as const;

async function bytesOf(tensors: readonly Tensor[], dtype: WeightDType): Promise<Uint8Array> {
  const [first, ...others] = await Promise.all(tensors.map((tensor) => valuesOf(tensor, dtype)));
  return others.length === 0 && first ? first : Buffer.concat([...(first ? [first] : []), ...others]);
}

async function valuesOf(tensor: Tensor, dtype: WeightDType): Promise<Uint8Array> {
  const { device } = tensor;
  if (dtype === 'int8') return toInt8InPieces(await tensor.read());
  const values = tensor.dtype === dtype ? tensor : device.tidy(() => device.keep(cast(tensor, dtype)));
  return new Uint8Array(
    await values.readBytes().finally(() => {
      if (values !== tensor) values.dispose();
    }),
  );
}
