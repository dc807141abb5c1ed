import { objectOf, run } from './run-op.js';
import type { Tensor } from './tensor.js';

/**
 * How optimizers round what they have computed in f32 to values that bf16 can hold. The parameter may be stored as bf16,
 * to which `none` rounds to the nearest all the same, or as f32.
 */
export interface ParameterRounding {
  /** `stochastic`: up or down with probabilities that keep the expectation; draws are functions of what follows. */
  rounding?: 'none' | 'nearest' | 'stochastic';
  /** Integer from 0 to 2^53 − 1. */
  roundingSeed?: number;
  /** Of the update; unsigned 32-bit integer, as the next. */
  roundingStep?: number;
  /** Names the parameter. */
  roundingStream?: number;
}

export interface AdafactorAttributes extends ParameterRounding {
  learningRate: number;
  decay: number;
  epsilon1?: number;
  epsilon2?: number;
  clippingThreshold?: number;
  multiplyByParameterScale?: boolean;
  gradientScale?: number;
}

/** One Adafactor update in place (method §5.1). Either row and column moments or a full one. */
export function adafactor(
  parameter: Tensor,
  gradient: Tensor,
  moments: { row?: Tensor; column?: Tensor; full?: Tensor },
  attributes: AdafactorAttributes,
): void {
  const { row, column, full } = objectOf(moments, 'moments');
  run(
    'adafactor',
    { parameter, gradient, rowMoment: row, columnMoment: column, fullMoment: full },
    { ...attributes },
  );
}

export interface AdamWAttributes extends ParameterRounding {
  learningRate: number;
  beta1?: number;
  beta2?: number;
  epsilon?: number;
  weightDecay?: number;
  step: number;
  gradientScale?: number;
}

/** One AdamW update in place. */
export function adamw(
  parameter: Tensor,
  gradient: Tensor,
  moments: { first: Tensor; second: Tensor },
  attributes: AdamWAttributes,
): void {
  const { first, second } = objectOf(moments, 'moments');
  run('adamw', { parameter, gradient, firstMoment: first, secondMoment: second }, { ...attributes });
}
