import { checkTokenIds, concatenate, sequencesOf } from '../../data/batch.js';
import type { DecoderOnlyModel } from '../../model/decoder-only/decoder-only-model.js';
import type { Attend } from '../../model/decoder-only/layer.js';
import { promptTokens } from '../../model/decoder-only/prompt.js';
import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { ChoiceBatch } from '../contract/family.js';
import type { DecoderOnlyTasks } from './compile.js';

/**
 * −log p of every token of every choice given instruction and input, [tokens of all choices], by GPT-2 or OPT. One pass
 * over the inputs, behind their tasks' instructions, and over the choices, behind both: no row is run twice, and keys
 * and values live for one layer only.
 *
 * @throws HintError INVALID_TOKEN, INVALID_DATA for a sequence longer than the model has positions
 */
export function* decoderOnlyChoiceLosses(
  model: DecoderOnlyModel,
  { shared }: DecoderOnlyTasks,
  { inputs, choices, taskOf }: ChoiceBatch,
): Sliced<Tensor> {
  const { config } = model;
  const targets = concatenate(choices.flat());
  checkTokenIds(targets.ids, config.vocabSize);
  const [known] = shared;
  const instructionOffsets = known?.sharedOffsets ?? new Int32Array(inputs.length + 1);
  const instructionBegin = (input: number): number =>
    known ? (instructionOffsets[taskOf[input] as number] as number) : 0;
  const instructionLength = (input: number): number =>
    known ? (instructionOffsets[(taskOf[input] as number) + 1] as number) - instructionBegin(input) : 0;
  // Only whether there is an instruction matters here: it was run when its task was compiled.
  const some = known ? [config.bosTokenId] : [];
  const prompts = concatenate(inputs.map((input) => promptTokens(config, some, input).input));
  // The last token of a choice is predicted, but predicts nothing.
  const fed = concatenate(choices.flat().map((choice) => choice.subarray(0, -1)));
  const [promptRows, fedRows] = [prompts.ids.length, fed.ids.length];
  const inputOfChoice = Int32Array.from(choices.flatMap((own, input) => own.map(() => input)));
  const promptLength = (input: number): number =>
    (prompts.offsets[input + 1] as number) - (prompts.offsets[input] as number);
  const behind = (input: number): number => instructionLength(input) + promptLength(input);

  const predicting = new Int32Array(targets.ids.length);
  inputOfChoice.forEach((input, choice) => {
    const begin = targets.offsets[choice] as number;
    const rows = promptRows + (fed.offsets[choice] as number);
    predicting[begin] = (prompts.offsets[input + 1] as number) - 1;
    for (let at = 1; begin + at < (targets.offsets[choice + 1] as number); at++)
      predicting[begin + at] = rows + at - 1;
  });

  // Where the keys that choices read stand in [instructions; prompts].
  const memory = concatenate(
    inputs.map((_, input) => {
      const own = (prompts.offsets[input] as number) + (known ? (instructionOffsets.at(-1) as number) : 0);
      return Int32Array.from({ length: behind(input) }, (__, i) =>
        i < instructionLength(input) ? instructionBegin(input) + i : own + i - instructionLength(input),
      );
    }),
  );
  const attend: Attend = (q, k, v, layer) => {
    const options = { numHeads: config.numHeads, causal: true };
    const prompt = (tensor: Tensor): Tensor => tensor.narrow(0, promptRows);
    const instruction = shared[layer];
    const read = ops.attention(prompt(q), prompt(k), prompt(v), {
      ...options,
      qOffsets: prompts.offsets,
      kOffsets: prompts.offsets,
      ...(instruction ? { ...instruction, taskIndex: taskOf } : {}),
    });
    if (fedRows === 0) return read;
    const choice = (tensor: Tensor): Tensor => tensor.narrow(promptRows, promptRows + fedRows);
    const remember = (own: Tensor, known: Tensor | undefined): Tensor =>
      known
        ? ops.embedding(model.device.tensor(memory.ids, [memory.ids.length]), ops.concatRows(known, own))
        : own;
    const written = ops.attention(choice(q), choice(k), choice(v), {
      ...options,
      qOffsets: fed.offsets,
      kOffsets: fed.offsets,
      taskIndex: inputOfChoice,
      sharedKey: remember(prompt(k), instruction?.sharedKey),
      sharedValue: remember(prompt(v), instruction?.sharedValue),
      sharedOffsets: memory.offsets,
    });
    return ops.concatRows(read, written);
  };
  const sequences = concatenate([...sequencesOf(prompts), ...sequencesOf(fed)]);
  const first = [
    ...inputs.map((_, input) => instructionLength(input)),
    ...Array.from(inputOfChoice, (input) => behind(input)),
  ];
  const hidden = yield* model.run(model.place(sequences, first), attend);
  return model.targetLosses(hidden, predicting, targets.ids).loss;
}
