import type { SafetensorsDType, SafetensorsFile } from '../../formats/safetensors/file.js';
import type { AnyModel } from '../../model/family.js';
import type { ExpectedTask, Refuse } from '../contract/family.js';
import { damaged, MAX_INSTRUCTION_TOKENS, type TaskMetadata } from '../contract/task-metadata.js';
import { familyOf } from '../families/registry.js';

/**
 * Checks that a file is a task as this model saves its own, before any of its values is read: a file that holds less,
 * more or something else would give other answers than the task that was saved.
 *
 * @throws HintError INVALID_CHECKPOINT naming what differs
 */
export function checkTaskFits(file: SafetensorsFile, metadata: TaskMetadata, model: AnyModel): void {
  const refuse = (fault: string): never => {
    throw damaged(file.path, fault);
  };
  const { vocabSize } = model.config;
  const family = familyOf(model);
  const {
    slots,
    tensors,
    dtypes = new Map<string, SafetensorsDType[]>(),
  }: ExpectedTask = family.storage?.(model)?.expected(file, metadata, model, refuse) ??
  (family.readsInstruction(model)
    ? expectedOfInstruction(metadata, family.mostInstructionTokens?.(model), refuse)
    : expectedOfInputPrefix(metadata, refuse));
  const { source, inputPrefix } = metadata;
  const { formats } = family.prompts(model);
  if (source && !formats.includes(source.format))
    refuse(`its format is ${source.format}, this model's is ${formats.join(' or ')}`);
  const unknown = inputPrefix.find((id) => id >= vocabSize);
  if (unknown !== undefined)
    refuse(`its inputPrefix has the id ${unknown}, but the model embeds ${vocabSize}`);
  for (const [name, wanted] of slots) {
    const have = metadata.slots[name];
    if (have?.join() !== wanted.join())
      refuse(`its slots of ${name} do not fit the model: [${have?.join(', ') ?? 'none'}], expected [${wanted.join(', ')}]`); // prettier-ignore
  }
  const extra = Object.keys(metadata.slots).find((name) => !slots.has(name));
  if (extra !== undefined) refuse(`it has slots of ${JSON.stringify(extra)}, which this model does not have`);
  for (const [name, shape] of tensors) {
    const info = file.tensors.get(name);
    if (!info) return refuse(`the tensor ${name} is missing`);
    const possible: readonly string[] = dtypes.get(name) ?? ['F32'];
    if (!possible.includes(info.dtype) || info.shape.join() !== shape.join())
      refuse(`the tensor ${name} is ${info.dtype} [${info.shape.join(', ')}], expected ${possible.join(' or ')} [${shape.join(', ')}]`); // prettier-ignore
  }
  const more = [...file.tensors.keys()].find((name) => !tensors.has(name));
  if (more !== undefined) refuse(`it has a tensor ${JSON.stringify(more)}, which no task of this model has`);
}

const NOTHING: ExpectedTask = { slots: new Map(), tensors: new Map() };

/** Of a model that reads the instruction, which the file holds as ids to be run again. */
function expectedOfInstruction(
  { inputPrefix, keys }: TaskMetadata,
  most = MAX_INSTRUCTION_TOKENS,
  refuse: Refuse,
): ExpectedTask {
  if (inputPrefix.length === 0) refuse('it has no instruction (inputPrefix is empty)');
  if (inputPrefix.length > most)
    refuse(`its instruction has ${inputPrefix.length} tokens, the model's limit is ${most}`);
  if (keys !== undefined) refuse('it claims keys and values, which no task of this model has');
  return NOTHING;
}

/** Of a model that reads no instruction apart from the input: the instruction's text, or its ids. */
function expectedOfInputPrefix({ source, inputPrefix, keys }: TaskMetadata, refuse: Refuse): ExpectedTask {
  if (source && inputPrefix.length > 0) refuse('it has an instruction both as text and as ids (inputPrefix)');
  if (inputPrefix.length > MAX_INSTRUCTION_TOKENS)
    refuse(`its inputPrefix has ${inputPrefix.length} tokens, the limit is ${MAX_INSTRUCTION_TOKENS}`);
  if (keys !== undefined) refuse('it claims keys and values, but this model encodes no instruction');
  return NOTHING;
}
