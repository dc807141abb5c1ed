import { HintError } from '../errors.js';

/** The ways tokens are chosen; see {@link DecodingOptions}. */
export const DECODE_STRATEGIES = ['greedy', 't5x-beam1', 'beam', 'sample'] as const;
export type DecodeStrategy = (typeof DECODE_STRATEGIES)[number];

/** How tokens are chosen. */
export interface DecodingOptions {
  /**
   * `greedy`: the most probable token, the lowest id on ties. `beam`: t5x's beam search. `t5x-beam1`: the same with one
   * beam, which is not greedy and is what the paper's SNI numbers are decoded with (method §9.2). `sample`: drawn at
   * random. Default: `beam` where `numBeams` is given, `sample` where `temperature`, `topK` or `topP` is, else `greedy`.
   */
  decode?: DecodeStrategy | undefined;
  /** Hypotheses kept by `beam`, 1 to 64 (default 4). */
  numBeams?: number | undefined;
  /** Of `beam` and `t5x-beam1`: a finished hypothesis of n tokens scores log p / ((5 + n) / 6)^brevityExponent (default 0.6). */
  brevityExponent?: number | undefined;
  /** Of `sample`: logits are divided by it (default 1); 0 is greedy. */
  temperature?: number | undefined;
  /** Of `sample`: draw from the topK most probable tokens (default: from all). */
  topK?: number | undefined;
  /** Of `sample`: draw from the fewest most probable tokens whose probabilities reach topP (default 1: from all). */
  topP?: number | undefined;
  /**
   * Of `sample`: an integer below 2^53 (default 0). The same seed and input give the same tokens, whatever else is in the
   * batch; an input that is given several times is drawn anew each time.
   */
  seed?: number | undefined;
  /** Also give the log-probability of every token under the model, softmax(logits) (default false). */
  logProbs?: boolean | undefined;
}

/** What {@link DecodingOptions} come to. */
export type Decoding =
  | { kind: 'greedy' }
  | { kind: 'beam'; numBeams: number; brevityExponent: number }
  | { kind: 'sample'; temperature: number; topK: number; topP: number; seed: number };

const OPTIONS_OF: Record<DecodeStrategy, readonly (keyof DecodingOptions)[]> = {
  greedy: [],
  't5x-beam1': ['brevityExponent'],
  beam: ['numBeams', 'brevityExponent'],
  sample: ['temperature', 'topK', 'topP', 'seed'],
};

/** Most tokens generated where the caller does not say: what t5x allows for its beam, 128 else. */
export function defaultMaxTokens(options: DecodingOptions): number {
  return strategyOf(options) === 't5x-beam1' ? 256 : 128;
}

/**
 * Checks options and fills in what they leave open.
 *
 * @throws HintError INVALID_ARGUMENT naming the option, its value and what it may be, or what contradicts what
 */
export function resolveDecoding(options: DecodingOptions): Decoding {
  const strategy = strategyOf(options);
  const known = new Set<keyof DecodingOptions>(OPTIONS_OF[strategy]);
  for (const name of Object.values(OPTIONS_OF).flat()) {
    if (options[name] === undefined || known.has(name)) continue;
    throw new HintError(
      'INVALID_ARGUMENT',
      `${name} does not go with ${strategy} decoding, which takes ${[...known].join(', ') || 'no options'}; choose another decode or leave it out.`,
    );
  }
  const { brevityExponent = 0.6 } = options;
  check('brevityExponent', brevityExponent, Number.isFinite(brevityExponent), 'a finite number');
  if (strategy === 'greedy') return { kind: 'greedy' };
  if (strategy === 't5x-beam1') return { kind: 'beam', numBeams: 1, brevityExponent };
  if (strategy === 'beam') {
    const { numBeams = 4 } = options;
    check('numBeams', numBeams, isInteger(numBeams, 1, 64), 'an integer from 1 to 64');
    return { kind: 'beam', numBeams, brevityExponent };
  }
  const { temperature = 1, topK, topP = 1, seed = 0 } = options;
  check('temperature', temperature, temperature >= 0 && temperature < Infinity, 'a number of at least 0');
  check('topK', topK, topK === undefined || isInteger(topK, 1, 2 ** 31 - 1), 'an integer of at least 1');
  check('topP', topP, topP > 0 && topP <= 1, 'a number above 0, up to 1');
  check('seed', seed, isInteger(seed, 0, Number.MAX_SAFE_INTEGER), 'an integer from 0 to 2^53 - 1');
  return { kind: 'sample', temperature, topK: topK ?? 0, topP, seed };
}

function strategyOf(options: DecodingOptions): DecodeStrategy {
  const { decode } = options;
  if (decode !== undefined) {
    if (DECODE_STRATEGIES.includes(decode)) return decode;
    throw new HintError(
      'INVALID_ARGUMENT',
      `The decode "${String(decode)}" is unknown; use ${DECODE_STRATEGIES.join(', ')}.`,
    );
  }
  if (options.numBeams !== undefined) return 'beam';
  const drawn = options.temperature ?? options.topK ?? options.topP;
  return drawn === undefined ? 'greedy' : 'sample';
}

function isInteger(value: number, least: number, most: number): boolean {
  return Number.isSafeInteger(value) && value >= least && value <= most;
}

function check(name: string, value: unknown, holds: boolean, allowed: string): void {
  if (!holds) throw new HintError('INVALID_ARGUMENT', `${name} is ${String(value)}; give ${allowed}.`);
}
