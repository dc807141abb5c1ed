import type { DropoutSite } from '../../tensor/ops.js';

/** The parts of a network that draw their own masks. */
export type DropoutStack = 'encoder' | 'decoder' | 'hyperencoder' | 'hyperdecoder' | 'generator';

/** Places inside a layer, and around a stack. */
export type DropoutPlace =
  | 'embedding'
  | 'attention'
  | 'attention-output'
  | 'cross-attention'
  | 'cross-attention-output'
  | 'hidden'
  | 'feed-forward-output'
  | 'final';

const STACKS: DropoutStack[] = ['encoder', 'decoder', 'hyperencoder', 'hyperdecoder', 'generator'];
const PLACES: DropoutPlace[] = [
  'embedding',
  'attention',
  'attention-output',
  'cross-attention',
  'cross-attention-output',
  'hidden',
  'feed-forward-output',
  'final',
];
const MAX_LAYERS = 1024;

/**
 * Where and how much dropout a forward pass has (method §1.3). A site is a function of stack, layer and place, so
 * that a recomputed layer draws the masks of its first run.
 */
export class DropoutPlan {
  /**
   * @param rate of T5's places
   * @param seed of this forward pass, below 2^53
   * @param generatorRate of the generators' hidden layer; the paper's runs had 0, the released program 0.1 (method §2.5)
   */
  constructor(
    readonly rate: number,
    readonly seed: number,
    readonly generatorRate = 0,
  ) {}

  at(stack: DropoutStack, layer: number, place: DropoutPlace): DropoutSite | undefined {
    const rate = stack === 'generator' ? this.generatorRate : this.rate;
    if (rate === 0) return undefined;
    const site = (STACKS.indexOf(stack) * MAX_LAYERS + layer) * PLACES.length + PLACES.indexOf(place);
    return { rate, seed: this.seed, site };
  }
}

/** No dropout: evaluation, and the original's hypernetwork pretraining. */
export const NO_DROPOUT = new DropoutPlan(0, 0);
