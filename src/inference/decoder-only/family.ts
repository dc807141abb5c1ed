import {
  decoderOnlyExampleMultiplyAdds,
  decoderOnlyTaskMultiplyAdds,
} from '../../accounting/decoder-only-flops.js';
import type { DecoderOnlyConfig } from '../../model/decoder-only/config.js';
import type { DecoderOnlyModel } from '../../model/decoder-only/decoder-only-model.js';
import { gpt2Models, optModels } from '../../model/decoder-only/family.js';
import { instructionTokens, promptTokens } from '../../model/decoder-only/prompt.js';
import type { ModelFamily } from '../../model/family.js';
import { HintError } from '../../util/errors.js';
import type { AnsweredExample, Family } from '../contract/family.js';
import { decoderOnlyChoiceLosses } from './choices.js';
import { compileDecoderOnlyTasks, type DecoderOnlyTasks } from './compile.js';
import { DecoderOnlyNetwork } from './network.js';

export const gpt2Family = decoderOnlyFamily(gpt2Models);
export const optFamily = decoderOnlyFamily(optModels);

function decoderOnlyFamily(
  models: ModelFamily<DecoderOnlyModel>,
): Family<DecoderOnlyModel, DecoderOnlyTasks> {
  return {
    ...models,
    prompts: () => ({ formats: ['causal'], reader: 'which is decoder-only (causal)' }),
    readsInstruction: () => true,
    systemOf: () => models.name,
    setWeightDType: ({ device }, dtype) => {
      if (dtype === 'f32' || !device.packsWeights) return;
      throw new HintError(
        'INVALID_ARGUMENT',
        `The dtype ${dtype} is for T5 and HINT on the CPU; decoder-only models run in f32 there, so leave it out.`,
      );
    },
    compile: compileDecoderOnlyTasks,
    // The end-of-sequence id is not fed.
    mostInstructionTokens: ({ config }) => config.maxPositions + 1,
    openNetwork: (model, tasks, inputs, taskIndex) =>
      DecoderOnlyNetwork.open(model, tasks, inputs, taskIndex),
    choiceLosses: decoderOnlyChoiceLosses,
    multiplyAdds: ({ config }, instructions, examples) => multiplyAdds(config, instructions, examples),
  };
}

function multiplyAdds(
  config: DecoderOnlyConfig,
  instructions: readonly Int32Array[],
  examples: readonly AnsweredExample[],
): number {
  let total = 0;
  for (const instruction of instructions)
    total += decoderOnlyTaskMultiplyAdds(config, instructionTokens(config, instruction).length);
  for (const example of examples) {
    const { instruction, input } = promptTokens(config, example.instruction, example.input);
    total += decoderOnlyExampleMultiplyAdds(config, {
      instruction: instruction.length,
      input: input.length,
      output: example.output,
    });
  }
  return total;
}
