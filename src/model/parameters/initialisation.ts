import { HintError } from '../../util/errors.js';
import type { ModelConfig } from '../config/config.js';
import { parameterShapes } from './parameter-shapes.js';

/** How a parameter starts (method §1.4, method §2.3 to method §2.5). */
export interface Initialisation {
  readonly kind: 'normal' | 'truncated-normal' | 'uniform' | 'constant';
  /**
   * Standard deviation of the resulting values ('normal', 'truncated-normal': cut at two sigma of a normal whose sigma
   * is scale / {@link TRUNCATED_NORMAL_DEVIATION}), largest magnitude ('uniform') or the value ('constant').
   */
  readonly scale: number;
}

/** Standard deviation of a standard normal distribution cut at ±2. */
export const TRUNCATED_NORMAL_DEVIATION = 0.87962566103423978;

const normal = (variance: number): Initialisation => ({ kind: 'normal', scale: Math.sqrt(variance) });
const truncated = (fanIn: number): Initialisation => ({
  kind: 'truncated-normal',
  scale: Math.sqrt(1 / fanIn),
});

/**
 * Learned (not generated) modules, for which the original has no initialiser: they start without effect where a zero
 * factor allows it, and prefixes at the scale of a component embedding.
 */
function staticInitialisation(name: string, shape: readonly number[], dModel: number): Initialisation {
  if (name.startsWith('peft.prefix')) return normal(1 / dModel);
  if (name === 'peft.adapter_down' || name.endsWith('_a')) return truncated(shape[1]!);
  return { kind: 'constant', scale: 0 };
}

/**
 * How parameter `name` of the model is initialised when it is not loaded.
 *
 * @throws HintError INVALID_ARGUMENT if the model has no such parameter
 */
export function initialisation(config: ModelConfig, name: string): Initialisation {
  const shape = parameterShapes(config).get(name);
  if (shape === undefined) {
    throw new HintError('INVALID_ARGUMENT', `The model has no parameter ${JSON.stringify(name)}.`);
  }
  return initialisationOf(config, name, shape);
}

/** {@link initialisation} of every parameter, in the order of {@link parameterShapes}. */
export function initialisations(config: ModelConfig): Map<string, Initialisation> {
  const shapes = [...parameterShapes(config)];
  return new Map(shapes.map(([name, shape]) => [name, initialisationOf(config, name, shape)]));
}

function initialisationOf(config: ModelConfig, name: string, shape: readonly number[]): Initialisation {
  const { dModel, dKv } = config;
  if (name.startsWith('peft.')) return staticInitialisation(name, shape, dModel);
  if (name.endsWith('layer_norm.weight')) return { kind: 'constant', scale: 1 };
  if (name === 'shared.weight') return normal(1);
  if (name === 'hypernetwork.embedding.weight') return normal(1 / dModel);
  if (name.endsWith('relative_attention_bias.weight')) {
    return { kind: 'uniform', scale: Math.sqrt(6 / (shape[0]! + shape[1]!)) };
  }
  // The missing 1/sqrt(d_kv) of the attention scores is made up for here.
  if (name.endsWith('.q.weight')) return normal(1 / (dModel * dKv));
  if (/\.[kvo]\.weight$/.test(name)) return normal(1 / shape[1]!);
  return truncated(shape[1]!);
}
