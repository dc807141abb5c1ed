import type { LowRankChange, PeftAdapter } from '../../formats/peft/adapter.js';
import { HintError } from '../../util/errors.js';
import { showValue } from '../../util/show-value.js';
import type { ModelConfig } from '../config/config.js';
import type { AdaptationName } from './adaptation-name.js';
import { attentionWidth } from './adaptations.js';
import { decoderSlot, slotCount } from './slots.js';

const PROJECTIONS = ['q', 'k', 'v', 'o'] as const;
type Projection = (typeof PROJECTIONS)[number];

/** Values of one kind of module for every slot of the model, [1, slots, ...shape]. */
export interface ModuleValues {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/**
 * The LoRA of a T5 that an adapter of PEFT holds. All slots of a projection have the rank of the largest; what an adapter
 * does not change has factors of 0. A layer divides its LoRA by the rank (method §2.8), so that factors are multiplied
 * with it here.
 *
 * @throws HintError NOT_SUPPORTED for changes of other matrices than those of attention, INVALID_CHECKPOINT for those that the
 *   model does not have
 */
export function modulesOfAdapter(
  config: ModelConfig,
  { path, changes }: PeftAdapter,
): Map<AdaptationName, ModuleValues> {
  const placed = changes.map((change) => ({ change, ...placeOf(config, path, change) }));
  const modules = new Map<AdaptationName, ModuleValues>();
  for (const projection of PROJECTIONS) {
    const own = placed.filter((one) => one.projection === projection);
    if (own.length === 0) continue;
    const rank = own.reduce((most, { change }) => Math.max(most, change.rank), 0);
    const { inputs, outputs } = sizesOf(config, projection);
    const slots = slotCount(config);
    const a = new Float32Array(slots * inputs * rank);
    const b = new Float32Array(slots * rank * outputs);
    for (const { change, slot } of own) {
      transposeInto(a.subarray(slot * inputs * rank), change.down, change.rank, inputs, rank, 1);
      transposeInto(
        b.subarray(slot * rank * outputs),
        change.up,
        outputs,
        change.rank,
        outputs,
        change.scale * rank,
      );
    }
    modules.set(`lora_${projection}_a`, { shape: [1, slots, inputs, rank], values: a });
    modules.set(`lora_${projection}_b`, { shape: [1, slots, rank, outputs], values: b });
  }
  return modules;
}

function sizesOf(config: ModelConfig, projection: Projection): { inputs: number; outputs: number } {
  const [d, width] = [config.dModel, attentionWidth(config)];
  return projection === 'o' ? { inputs: width, outputs: d } : { inputs: d, outputs: width };
}

/** Where a change acts. */
function placeOf(
  config: ModelConfig,
  path: string,
  { module, inputs, outputs }: LowRankChange,
): { slot: number; projection: Projection } {
  const [, stack, block, name] =
    /^(encoder|decoder)\.block\.(\d{1,6})\.(layer\.0\.SelfAttention|layer\.1\.EncDecAttention)\.[qkvo]$/.exec(
      module,
    ) ?? [];
  const isCross = name === 'layer.1.EncDecAttention';
  if (stack === undefined || (isCross && stack === 'encoder'))
    throw new HintError(
      'NOT_SUPPORTED',
      `${path} changes ${showValue(module)}; of a T5, LoRA of the matrices q, k, v and o of its attention is read: train the adapter with target_modules ["q", "k", "v", "o"] or some of them.`,
    );
  const layer = Number(block);
  const layers = stack === 'encoder' ? config.numLayers : config.numDecoderLayers;
  const projection = module.slice(-1) as Projection;
  const size = sizesOf(config, projection);
  if (layer >= layers || inputs !== size.inputs || outputs !== size.outputs)
    throw new HintError(
      'INVALID_CHECKPOINT',
      `${path} changes ${showValue(module)} from ${inputs} to ${outputs} values, but the ${stack} of this model has ${layers} layers, and its matrices ${projection} go from ${size.inputs} to ${size.outputs}; open the model that the adapter was trained with.`,
    );
  return { slot: stack === 'encoder' ? layer : decoderSlot(config, layer) + (isCross ? 1 : 0), projection };
}

/** Writes the transpose of a matrix [rows, columns], times `factor`, as [columns, rows] with `stride` between its rows. */
function transposeInto(
  target: Float32Array,
  values: Float32Array,
  rows: number,
  columns: number,
  stride: number,
  factor: number,
): void {
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      target[column * stride + row] = factor * (values[row * columns + column] as number);
}
