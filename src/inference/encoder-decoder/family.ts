import { exampleMultiplyAdds, taskMultiplyAdds } from '../../accounting/flops.js';
import type { ModelConfig } from '../../model/config/config.js';
import { t5Models } from '../../model/families/t5.js';
import { plainModel } from '../../model/hint/plain-model.js';
import type { EncoderDecoderModel } from '../../model/hint/encoder-decoder-model.js';
import { adaptationTable, sizeOf } from '../../model/modules/adaptations.js';
import { slotCount } from '../../model/modules/slots.js';
import { ELEMENT_BYTES } from '../../tensor/tensor.js';
import type { AnsweredExample, Family, JointDecoding } from '../contract/family.js';
import { taskOfAdapter } from './adapter.js';
import { choiceLosses } from './choices.js';
import { compileHintTasks, regenerateTasks, type HintTasks } from './compile.js';
import { embedInputs, embedInstruction } from './embed.js';
import { EncoderDecoderNetwork } from './network.js';
import { hintStorage } from './task-storage.js';
import { hintTuning } from './tuning.js';

const readsInstruction = ({ hypernetwork }: EncoderDecoderModel): boolean =>
  hypernetwork?.readsInstruction === true;

const joint: JointDecoding<EncoderDecoderModel, HintTasks, EncoderDecoderNetwork> = {
  open: (model, parts) => EncoderDecoderNetwork.openJointly(model, parts),
  logits: (model, token, parts) => EncoderDecoderNetwork.jointLogits(model, token, parts),
};

/** T5 v1.1 and HINT. */
export const t5Family: Family<EncoderDecoderModel, HintTasks> = {
  ...t5Models,
  prompts: (model) =>
    readsInstruction(model)
      ? {
          formats: ['hint', 'hint-mimic'],
          reader: 'whose hypernetwork reads the instruction (hint, hint-mimic)',
        }
      : {
          formats: ['tk-instruct', 'no-instruct'],
          reader: 'which has no hypernetwork that reads instructions (tk-instruct, no-instruct)',
        },
  readsInstruction,
  systemOf: (model) => (readsInstruction(model) ? 'hint' : 'tk-instruct'),
  setWeightDType: (model, dtype) => {
    model.inferenceDType = dtype;
  },
  prepare: (model) => model.prepareInference(),
  compile: compileHintTasks,
  regenerate: regenerateTasks,
  valuesPerTask: ({ config }) =>
    adaptationTable(config).reduce((total, { shape }) => total + sizeOf(shape), 0) * slotCount(config),
  taskOfAdapter,
  // Learned modules belong to the model; opening the model brings them back.
  storage: (model) => (readsInstruction(model) ? hintStorage : undefined),
  openNetwork: (model, tasks, inputs, taskIndex, limits) =>
    EncoderDecoderNetwork.open(model, tasks, inputs, taskIndex, limits),
  keptPerToken: ({ config, t5 }) =>
    2 * config.numDecoderLayers * config.numHeads * config.dKv * ELEMENT_BYTES[t5.computeDtype],
  plainTwin: (model) => {
    if (!readsInstruction(model)) return undefined;
    const plain = plainModel(model);
    plain.inferenceDType = model.inferenceDType;
    return { model: plain, release: () => plain.releaseInference() };
  },
  joint,
  choiceLosses,
  embedder: { inputs: embedInputs, instruction: embedInstruction },
  tuning: hintTuning,
  multiplyAdds: ({ config }, instructions, examples) => multiplyAdds(config, instructions, examples),
};

/** Each instruction once; modules that need none are made once too. */
function multiplyAdds(
  config: ModelConfig,
  instructions: readonly Int32Array[],
  examples: readonly AnsweredExample[],
): number {
  const compiled = instructions.length > 0 ? instructions.map(({ length }) => length) : [0];
  const tasks = compiled.reduce((total, length) => total + taskMultiplyAdds(config, length).total, 0);
  return examples.reduce((total, { instruction, input, output }) => {
    const lengths = {
      instruction: instruction.length,
      input: input.length,
      output,
      instructionInInput: false,
    };
    return total + exampleMultiplyAdds(config, lengths).total;
  }, tasks);
}
