import type { FloatDType } from '../../tensor/ops.js';
import type { ActivationMemory, BatchShape } from '../memory/activation-memory.js';
import { runsLayersAgain, type BackwardPlan } from '../memory/backward-plan.js';
import { allocatedBytes } from '../memory/kept-by-layers.js';
import type { DecoderOnlyConfig } from './config.js';

/** The same as `activationMemory` for a decoder-only model, which has no modules to make again. */
export function decoderOnlyActivationMemory(
  { dModel: d, dFf, numHeads, numLayers }: DecoderOnlyConfig,
  dtype: FloatDType,
  { input, target, repeatedInstruction }: BatchShape,
  backward: BackwardPlan,
): ActivationMemory {
  const recompute = runsLayersAgain(backward);
  const rows = input + target + repeatedInstruction;
  const of = (columns: number, count = rows): number =>
    allocatedBytes(count * columns * (dtype === 'bf16' ? 2 : 4));
  const wide = (columns: number): number => allocatedBytes(rows * columns * 4);
  const norm = wide(d) + of(d) + 2 * wide(1);
  const layer = 2 * norm + 4 * of(d) + wide(numHeads) + 2 * of(dFf);
  const stream = wide(d) + of(d);
  const stack = norm + (recompute ? numLayers * stream : numLayers * layer + wide(d));
  const layers = stack + of(d, target);
  const passing = (recompute ? layer : 0) + wide(d) + of(dFf) - norm;
  return { layers, modules: 0, generators: 0, passing, peak: layers + passing };
}
