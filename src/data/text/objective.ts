import { HintError } from '../../util/errors.js';
import type { CounterRng } from '../../util/counter-rng.js';

/**
 * How a segment of text becomes an example (method §4.2, method §4.3). `hint`: the paper's scheme, three
 * consecutive parts for hypernetwork, input and target; `caclm`: the target lies between input and the rest of what
 * the hypernetwork reads; `caclm6`: the same with six parts.
 */
export type TextObjective = 'hint' | 'caclm' | 'caclm6';

/** Every objective, in the order they are listed to users. */
export const TEXT_OBJECTIVES = ['hint', 'caclm', 'caclm6'] as const satisfies readonly TextObjective[];

/**
 * Where the split points of `hint` come from. `independent`: two random words; `faithful`: the original's one word,
 * reduced modulo two ranges.
 */
export type SplitSeeding = 'independent' | 'faithful';

/** The shortest segment that every objective can cut. */
export const MIN_SEGMENT_TOKENS = 16;

/** The parts of a segment, each without its EOS. Input and target may be empty. */
export interface TextParts {
  hyper: Int32Array[];
  input: Int32Array[];
  target: Int32Array[];
}

/**
 * Draws the split points 0 < p1 ≤ p2 ≤ … of a segment.
 *
 * With length L the last one is below L − 2, the one before below L − 3 and so on; for `hint` both are below L − 2, so
 * that at least three tokens are left for the target.
 *
 * @returns two points for `hint`, three for `caclm`, five for `caclm6`
 * @throws HintError `INVALID_ARGUMENT` for a segment of fewer than {@link MIN_SEGMENT_TOKENS} tokens
 */
export function drawSplits(
  objective: TextObjective,
  length: number,
  random: CounterRng,
  seeding: SplitSeeding = 'independent',
): number[] {
  if (!(length >= MIN_SEGMENT_TOKENS))
    throw new HintError(
      'INVALID_ARGUMENT',
      `A segment of ${length} tokens is too short to cut; give segments of at least ${MIN_SEGMENT_TOKENS}.`,
    );
  const end = length - 2;
  if (objective === 'hint' && seeding === 'faithful') {
    const word = random.nextUint32();
    const first = 1 + (word % (end - 1));
    return [first, first + (word % (end - first))];
  }
  const ends = { hint: [end, end], caclm: [end - 2, end - 1, end], caclm6: lastOnes(end, 5) }[objective];
  const points: number[] = [];
  for (const below of ends) {
    const from = points.at(-1) ?? 1;
    points.push(from + random.below(below - from));
  }
  return points;
}

/**
 * Cuts a segment at its split points. Parts of the hypernetwork's text, and of the input of `caclm6`, that are not
 * neighbours have an EOS between them.
 *
 * @param points what {@link drawSplits} gave for this objective
 * @param eos one EOS id
 */
export function cutSegment(
  objective: TextObjective,
  segment: Int32Array,
  points: readonly number[],
  eos: Int32Array,
): TextParts {
  const bounds = [0, ...points, segment.length];
  const part = (i: number): Int32Array => segment.subarray(bounds[i], bounds[i + 1]);
  switch (objective) {
    case 'hint':
      return { hyper: [part(0)], input: [part(1)], target: [part(2)] };
    case 'caclm':
      return { hyper: [part(0), eos, part(3)], input: [part(1)], target: [part(2)] };
    case 'caclm6':
      return {
        hyper: [part(0), eos, part(2), eos, part(5)],
        input: [part(1), eos, part(3)],
        target: [part(4)],
      };
  }
}

/** `count` consecutive numbers up to `end`. */
function lastOnes(end: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => end - count + 1 + i);
}
