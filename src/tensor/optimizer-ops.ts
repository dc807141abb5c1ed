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
  /** Step size; relative to the parameter's own scale with multiplyByParameterScale. */
  learningRate: number;
  /** Weight of the old second moment in this step, 0 to 1. */
  decay: number;
  /** Added to the squared gradient (default 1e-30). */
  epsilon1?: number;
  /** The least scale of a parameter (default 1e-3). */
  epsilon2?: number;
  /** Largest root mean square of an update (default 1). */
  clippingThreshold?: number;
  /** Whether the step size is a share of the parameter's root mean square. */
  multiplyByParameterScale?: boolean;
  /** Factor of the gradient before all else (default 1). */
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
  /** Step size, of the update and of weight decay. */
  learningRate: number;
  /** Weight of the old first moment (default 0.9). */
  beta1?: number;
  /** Weight of the old second moment (default 0.999). */
  beta2?: number;
  /** Added to the root of the second moment (default 1e-8). */
  epsilon?: number;
  /** Share of the parameter that a step of size 1 takes off (default 0). */
  weightDecay?: number;
  /** Number of this update, from 1; corrects the bias of young moments. */
  step: number;
  /** Factor of the gradient before all else (default 1). */
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
