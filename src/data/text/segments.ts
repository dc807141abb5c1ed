import { concatenate, type Ragged } from '../batch.js';
import { CounterRng } from '../../util/counter-rng.js';
import { fnv1a32 } from '../../util/hash.js';
import { cutSegment, drawSplits, type SplitSeeding, type TextObjective } from './objective.js';

/** How tokens become examples (method §4.1 to method §4.3); all of it decides what an example is. */
export interface SegmentSettings {
  /** What is cut from a segment, and what is to be predicted. */
  objective: TextObjective;
  /** Where the split points of `hint` come from. */
  splits: SplitSeeding;
  /** Tokens per segment, 512 in the paper. */
  segmentTokens: number;
  /** A longer document gives one random chunk of so many tokens, 65,536 in the original. */
  maxDocumentTokens: number;
  /**
   * What is left over of a group. `drop`: nothing is made of it; `pad`: it is cut as if it were padded to
   * `segmentTokens`, as the original does, whose zeros attention and loss pass over; they are left out here.
   */
  lastSegment: 'drop' | 'pad';
  /** Integer from 0, from which split points and chunks are drawn. */
  seed: number;
}

/** The random numbers of one group of documents: a function of seed, pass and group. */
export function groupRandom(seed: number, epoch: number, group: number): CounterRng {
  return new CounterRng(seed, fnv1a32(`text ${epoch}`), group);
}

/**
 * The piece of a document that is kept: a document longer than `maxTokens` gives a random one of its consecutive
 * pieces of that length, the last of which may be shorter.
 */
export function chooseChunk(document: Int32Array, maxTokens: number, random: CounterRng): Int32Array {
  if (document.length <= maxTokens) return document;
  const begin = maxTokens * random.below(Math.ceil(document.length / maxTokens));
  return document.subarray(begin, begin + maxTokens);
}

/**
 * Concatenates the documents of a group, each with an EOS behind it, and cuts the result into consecutive segments.
 *
 * @param documents token ids without special tokens
 * @returns the segments; with `lastSegment: pad` the last may be shorter
 */
export function cutIntoSegments(
  documents: readonly Int32Array[],
  settings: SegmentSettings,
  eosId: number,
  random: CounterRng,
): Int32Array[] {
  const eos = Int32Array.of(eosId);
  const chunks = documents.map((document) => chooseChunk(document, settings.maxDocumentTokens, random));
  const { ids } = concatenate(chunks.flatMap((chunk) => [chunk, eos]));
  const { segmentTokens } = settings;
  const whole = Math.floor(ids.length / segmentTokens);
  const count = settings.lastSegment === 'drop' ? whole : Math.ceil(ids.length / segmentTokens);
  return Array.from({ length: count }, (_, i) => ids.subarray(i * segmentTokens, (i + 1) * segmentTokens));
}

/**
 * Cuts every segment into hypernetwork text, input and target.
 *
 * @returns three sequences per segment, in this order, each ending in EOS. A hypernetwork text or an input that would
 *   exceed `segmentTokens` by its EOS signs (not with `hint`) is cut there, as the original's feature lengths do.
 */
export function cutIntoExamples(
  segments: readonly Int32Array[],
  settings: SegmentSettings,
  eosId: number,
  random: CounterRng,
): Ragged {
  const { objective, segmentTokens, splits } = settings;
  const eos = Int32Array.of(eosId);
  const features = segments.flatMap((segment) => {
    // Points behind the end of a short last segment fall into its padding: subarray leaves that out.
    const points = drawSplits(objective, segmentTokens, random, splits);
    const { hyper, input, target } = cutSegment(objective, segment, points, eos);
    return [hyper, input, target].map((parts) => {
      const { ids } = concatenate([...parts, eos]);
      return ids.subarray(0, segmentTokens);
    });
  });
  return concatenate(features);
}
