import { HintError } from '../../util/errors.js';
import { boolean, choice, integer, number, optional, type Members } from '../../util/arguments.js';

/** The ways tokens are chosen; see {@link TokenDecodingOptions}. */
export const DECODE_STRATEGIES = ['greedy', 't5x-beam1', 'beam', 'sample'] as const;
/** A named way of choosing tokens, such as the one that a paper's numbers were made with. */
export type DecodeStrategy = (typeof DECODE_STRATEGIES)[number];

/** How the tokens of an answer are chosen, and how many there may be. */
export interface TokenDecodingOptions {
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
  /** Most tokens generated, end of sequence included (default 128; 256 for `t5x-beam1`). */
  maxTokens?: number | undefined;
}

export const DECODING: Members<TokenDecodingOptions> = {
  decode: optional(choice(...DECODE_STRATEGIES)),
  numBeams: optional(integer(1, 64)),
  brevityExponent: optional(number()),
  temperature: optional(number(0)),
  topK: optional(integer(1, 2 ** 31 - 1)),
  topP: optional(number(0, 1, { above: true })),
  seed: optional(integer(0)),
  logProbs: optional(boolean),
  maxTokens: optional(integer(1, 1 << 20)),
};

/** What {@link TokenDecodingOptions} come to. */
export type Decoding =
  | { kind: 'greedy' }
  | { kind: 'beam'; numBeams: number; brevityExponent: number }
  | { kind: 'sample'; temperature: number; topK: number; topP: number; seed: number };

/** Ways in which each row chooses its next token by itself. */
export type TokenDecoding = Exclude<Decoding, { kind: 'beam' }>;

const OPTIONS_OF: Record<DecodeStrategy, readonly (keyof TokenDecodingOptions)[]> = {
  greedy: [],
  't5x-beam1': ['brevityExponent'],
  beam: ['numBeams', 'brevityExponent'],
  sample: ['temperature', 'topK', 'topP', 'seed'],
};

/** Most tokens generated where the caller does not say: what t5x allows for its beam, 128 else. */
export function defaultMaxTokens(options: TokenDecodingOptions): number {
  return strategyOf(options) === 't5x-beam1' ? 256 : 128;
}

/**
 * Fills in what options leave open.
 *
 * @param options as {@link DECODING} allows
 * @throws HintError INVALID_ARGUMENT naming what contradicts what
 */
export function resolveDecoding(options: TokenDecodingOptions): Decoding {
  const strategy = strategyOf(options);
  const known = new Set<keyof TokenDecodingOptions>(OPTIONS_OF[strategy]);
  for (const name of Object.values(OPTIONS_OF).flat()) {
    if (options[name] === undefined || known.has(name)) continue;
    throw new HintError(
      'INVALID_ARGUMENT',
      `${name} does not go with ${strategy} decoding, which takes ${[...known].join(', ') || 'no options'}; choose another decode or leave it out.`,
    );
  }
  const { brevityExponent = 0.6 } = options;
  if (strategy === 'greedy') return { kind: 'greedy' };
  if (strategy === 't5x-beam1') return { kind: 'beam', numBeams: 1, brevityExponent };
  if (strategy === 'beam') return { kind: 'beam', numBeams: options.numBeams ?? 4, brevityExponent };
  const { temperature = 1, topK = 0, topP = 1, seed = 0 } = options;
  return { kind: 'sample', temperature, topK, topP, seed };
}

function strategyOf(options: TokenDecodingOptions): DecodeStrategy {
  if (options.decode !== undefined) return options.decode;
  if (options.numBeams !== undefined) return 'beam';
  const drawn = options.temperature ?? options.topK ?? options.topP;
  return drawn === undefined ? 'greedy' : 'sample';
}
