import type { EncoderDecoderModel } from '../../model/hint/encoder-decoder-model.js';
import type { DecoderOnlyConfig } from '../../model/decoder-only/config.js';
import { isDecoderOnly, type AnyModel } from '../../model/families/open-model.js';
import { adaptationTable, attentionWidth } from '../../model/modules/adaptations.js';
import { slotsOf } from '../../model/modules/slots.js';
import type { SafetensorsFile } from '../../formats/safetensors/file.js';
import {
  damaged,
  FIRST_FORMAT,
  INSTRUCTION,
  INSTRUCTION_KEYS,
  MAX_INSTRUCTION_TOKENS,
  type TaskMetadata,
} from './task-file.js';

/** What a task's file has to hold for a model, all of it and nothing else. */
interface Expected {
  /** Whose prompts the model is fed. */
  readonly formats: readonly string[];
  /** Per kind of module its slots, in order. */
  readonly slots: ReadonlyMap<string, readonly number[]>;
  readonly tensors: ReadonlyMap<string, readonly number[]>;
}

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
  const { formats, slots, tensors } = isDecoderOnly(model)
    ? expectedOfDecoderOnlyModel(metadata, model.config, refuse)
    : model.hypernetwork?.readsInstruction
      ? expectedOfInstruction(file, metadata, model, refuse)
      : expectedOfPlainModel(metadata, refuse);
  const { source, inputPrefix } = metadata;
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
    if (info.dtype !== 'F32' || info.shape.join() !== shape.join())
      refuse(`the tensor ${name} is ${info.dtype} [${info.shape.join(', ')}], expected F32 [${shape.join(', ')}]`); // prettier-ignore
  }
  const more = [...file.tensors.keys()].find((name) => !tensors.has(name));
  if (more !== undefined) refuse(`it has a tensor ${JSON.stringify(more)}, which no task of this model has`);
}

type Refuse = (fault: string) => never;

/** A decoder-only model's: its instruction, which is run again. */
function expectedOfDecoderOnlyModel(
  { inputPrefix, keys }: TaskMetadata,
  { maxPositions }: DecoderOnlyConfig,
  refuse: Refuse,
): Expected {
  if (inputPrefix.length === 0) refuse('it has no instruction (inputPrefix is empty)');
  // The end-of-sequence id is not fed.
  if (inputPrefix.length > maxPositions + 1)
    refuse(`its instruction has ${inputPrefix.length} tokens, the model has ${maxPositions} positions`);
  if (keys !== undefined) refuse('it claims keys and values, which no task of a decoder-only model has');
  return { formats: ['causal'], slots: new Map(), tensors: new Map() };
}

/** Of a model that reads no instruction apart from the input: the instruction's text, or its ids. */
function expectedOfPlainModel({ source, inputPrefix, keys }: TaskMetadata, refuse: Refuse): Expected {
  if (source && inputPrefix.length > 0) refuse('it has an instruction both as text and as ids (inputPrefix)');
  if (inputPrefix.length > MAX_INSTRUCTION_TOKENS)
    refuse(`its inputPrefix has ${inputPrefix.length} tokens, the limit is ${MAX_INSTRUCTION_TOKENS}`);
  if (keys !== undefined) refuse('it claims keys and values, but this model encodes no instruction');
  return { formats: ['tk-instruct', 'no-instruct'], slots: new Map(), tensors: new Map() };
}

/** Of a hypernetwork that reads the instruction: modules, the encoded instruction, its keys and values. */
function expectedOfInstruction(
  file: SafetensorsFile,
  { source, inputPrefix, keys }: TaskMetadata,
  { config }: EncoderDecoderModel,
  refuse: Refuse,
): Expected {
  const rows = file.tensors.get(INSTRUCTION)?.shape[0] ?? 0;
  const most = Math.min(source?.maxTokens ?? MAX_INSTRUCTION_TOKENS, MAX_INSTRUCTION_TOKENS);
  const table = adaptationTable(config);
  const slots = new Map(table.map(({ name }) => [name as string, slotsOf(config, name)]));
  const tensors = new Map<string, readonly number[]>(
    table.map(({ name, shape }) => [name, [1, slots.get(name)?.length ?? 0, ...shape]]),
  );
  tensors.set(INSTRUCTION, [rows, config.dModel]);
  if (keys !== undefined)
    tensors.set(INSTRUCTION_KEYS, [2 * config.numDecoderLayers, rows, attentionWidth(config)]);
  if (rows < 1) refuse('it has no encoded instruction');
  if (rows > most) refuse(`its encoded instruction has ${rows} tokens, the limit is ${most}`);
  if (inputPrefix.length > 0) refuse('it has ids in front of inputs, but this model reads the instruction');
  const hasFusion = config.hint?.instructionFusion === true;
  const isFirst = file.metadata.get('format') === FIRST_FORMAT;
  if (keys !== undefined && (!hasFusion || isFirst))
    refuse(`it claims keys and values of the instruction, which ${isFirst ? 'files of its version' : 'tasks of this model'} do not have`); // prettier-ignore
  if (keys === undefined && hasFusion && !isFirst)
    refuse('it does not say what its keys and values of the instruction were computed in (keys)');
  return { formats: ['hint', 'hint-mimic'], slots, tensors };
}
