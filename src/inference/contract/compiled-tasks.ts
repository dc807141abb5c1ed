import type { Ragged } from '../../data/batch.js';
import type { EncodedInstructions } from '../../model/hint/hypernetwork.js';
import type { Tensor } from '../../tensor/tensor.js';
import { abortable } from '../../util/abortable.js';

/** Everything about some tasks that does not depend on the input (method §9.1). Each family adds what it reads. */
export interface CompiledTasks {
  /** Every tensor that they own. */
  readonly tensors: readonly Tensor[];
  /** Bytes that they take on their device. */
  readonly bytes: number;
  /** Tokens of all instructions that were read apart from inputs. */
  readonly instructionTokens: number;
  /** Of a family that can make all the rest again from it (`Family.regenerate`), where that saves memory. */
  readonly encodedInstructions?: EncodedInstructions | undefined;
  /**
   * The instructions as they were given, where a task file holds these in place of what was made of them: needed of a
   * family without `Family.storage`.
   */
  readonly prompts?: Ragged | undefined;
  /** The folder that a task was read from which no task file can hold. */
  readonly readFrom?: string | undefined;
}

/**
 * Waits until tasks are there, so that what goes wrong is told now and not to their first input.
 *
 * @throws what making them failed with; ABORTED
 */
export async function settled({ tensors }: CompiledTasks, signal: AbortSignal | undefined): Promise<void> {
  // Of several windows of one tensor, one tells.
  const wholes = new Map(tensors.map((tensor) => [tensor.base?.tensor ?? tensor, tensor]));
  await abortable(Promise.all([...wholes.values()].map(readFirstValue)), signal);
}

async function readFirstValue(tensor: Tensor): Promise<void> {
  const { device, size } = tensor;
  using value = device.tidy(() => tensor.reshape([size]).narrow(0, Math.min(1, size)));
  await value.readBytes();
}

/** Gives the memory of tasks back once the work that uses it has run. */
export function disposeTasks({ tensors }: CompiledTasks): void {
  for (const tensor of tensors) tensor.dispose();
}
