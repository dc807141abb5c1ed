import type { TaskCost } from '../accounting/break-even.js';
import { familyOf } from '../inference/families/registry.js';
import type { AnyModel } from '../model/family.js';
import { plainModel } from '../model/hint/plain-model.js';
import { sizeOf } from '../model/modules/adaptations.js';
import type { ComparedSystem } from './break-even-run.js';
import type { MeasuredModels } from './latency-measurements.js';
import type { DecoderDescription, LatencyCase, LatencyPoint, LatencySystem } from './latency-run.js';
import { OUTPUT_TOKENS, sniLengths } from './lengths.js';

/** The model of this engine that a system is, or has the shape of. */
function modelOf({ own, decoder }: MeasuredModels, system: LatencySystem): AnyModel | undefined {
  if (system === 'hint') return own;
  return system === 'decoder' ? decoder : plainModel(own);
}

/** FLOPs of one example, and of what is done once a task. */
export function flopsOf(
  models: MeasuredModels,
  { system, inputTokens, instructionTokens }: Omit<LatencyCase, 'dtype'>,
): Pick<LatencyPoint, 'flopsPerExample' | 'flopsPerTask'> {
  const model = modelOf(models, system);
  if (!model) return {};
  // Counts depend on lengths alone; the id ends no sequence.
  const tokens = (length: number): Int32Array => new Int32Array(length).fill(1);
  const instruction = tokens(instructionTokens ?? 0);
  const example = { instruction, input: tokens(inputTokens), output: OUTPUT_TOKENS };
  const { multiplyAdds } = familyOf(model);
  const instructions = instructionTokens === undefined ? [] : [instruction];
  const once = 2 * multiplyAdds(model, instructions, []);
  return {
    flopsPerExample: 2 * multiplyAdds(model, instructions, [example]) - once,
    ...(instructionTokens !== undefined && { flopsPerTask: once }),
  };
}

/** The decoder-only model as results keep it. */
export function describeDecoder(model: AnyModel): DecoderDescription {
  const values = model.parameters.storedEntries().map(([, { shape }]) => sizeOf(shape));
  return { parameters: values.reduce((sum, one) => sum + one, 0), config: model.configFile() };
}

/** FLOPs of a system at the lengths of so many shots; undefined for a model that was not measured. */
export function countedCost(
  models: MeasuredModels,
  system: ComparedSystem,
  shots: number,
): TaskCost | undefined {
  const { input, instruction, full } = sniLengths(shots);
  const lengths =
    system === 't5' ? { inputTokens: full } : { inputTokens: input, instructionTokens: instruction };
  const { flopsPerExample, flopsPerTask = 0 } = flopsOf(models, { system, ...lengths });
  return flopsPerExample === undefined ? undefined : { once: flopsPerTask, each: flopsPerExample };
}
