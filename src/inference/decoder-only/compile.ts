import { concatenate, sequencesOf, type Ragged } from '../../data/batch.js';
import type { DecoderOnlyModel } from '../../model/decoder-only/decoder-only-model.js';
import { instructionTokens } from '../../model/decoder-only/prompt.js';
import type { SharedKeys } from '../../model/t5/attention.js';
import type { CompiledTasks } from '../contract/compiled-tasks.js';
import { runForKeys } from './run-for-keys.js';

/** Tasks of GPT-2 and OPT. */
export interface DecoderOnlyTasks extends CompiledTasks {
  /** Per layer the self-attention keys and values of the instructions' own tokens; none without instructions. */
  readonly shared: readonly SharedKeys[];
}

/** Runs the instructions, once. */
export async function compileDecoderOnlyTasks(
  model: DecoderOnlyModel,
  instructions: Ragged,
): Promise<DecoderOnlyTasks> {
  if (instructions.offsets.length < 2) return { shared: [], tensors: [], bytes: 0, instructionTokens: 0 };
  const { ids, offsets } = concatenate(
    sequencesOf(instructions).map((instruction) => instructionTokens(model.config, instruction)),
  );
  const keys = await runForKeys(model, { ids, offsets }, undefined, undefined);
  const tensors = keys.flatMap(({ key, value }) => [key, value]);
  return {
    shared: keys.map(({ key, value }) => ({ sharedKey: key, sharedValue: value, sharedOffsets: offsets })),
    tensors,
    bytes: tensors.reduce((total, tensor) => total + tensor.bytes, 0),
    instructionTokens: ids.length,
    prompts: instructions,
  };
}
