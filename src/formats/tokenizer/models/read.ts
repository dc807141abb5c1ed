import { z } from 'zod';
import { HintError } from '../../../util/errors.js';
import { check, listOf } from '../../../util/check.js';
import { checkBytes } from '../../../util/limits.js';
import { isPlainObject, recordOf } from '../../../util/record-schema.js';
import { showValue } from '../../../util/show-value.js';
import { Bpe } from './bpe.js';
import type { Model } from './model.js';
import { Unigram } from './unigram.js';
import { WordLevel, WordPiece } from './words.js';

/** Far above any vocabulary; ids are places in arrays. */
export const id = z
  .int()
  .min(0)
  .max(2 ** 24 - 1);
// Units of UTF-16. Every piece is looked for at every place of a word; SentencePiece makes none above 16 unless asked to.
const LONGEST_PIECE = 1024;
// Bytes that the trie of pieces holds for each unit.
const TRIE_BYTES = 64;
// A word takes time by the square of its length.
const LONGEST_WORD = 1000;

const words = z.object({ vocab: recordOf(id), unk_token: z.string() });
const schemas = {
  Unigram: z.object({
    unk_id: id.nullish(),
    vocab: listOf(z.tuple([z.string().max(LONGEST_PIECE), z.number()])),
    byte_fallback: z.boolean().nullish(),
  }),
  BPE: z.object({
    vocab: recordOf(id),
    merges: listOf(z.union([z.string(), z.tuple([z.string(), z.string()])])),
    dropout: z.number().nullish(),
    unk_token: z.string().nullish(),
    continuing_subword_prefix: z.string().nullish(),
    end_of_word_suffix: z.string().nullish(),
    fuse_unk: z.boolean().nullish(),
    byte_fallback: z.boolean().nullish(),
    ignore_merges: z.boolean().nullish(),
  }),
  WordPiece: words.extend({
    continuing_subword_prefix: z.string().default('##'),
    max_input_chars_per_word: z.int().min(0).max(LONGEST_WORD).default(100),
  }),
  WordLevel: words,
};

/** How T5's own tokenizers are read: SentencePiece finds no piece of their added tokens in a text. */
export interface ModelSetting {
  readonly leavesOut: ReadonlySet<string>;
}

/**
 * Reads the model of a tokenizer.json.
 *
 * @throws HintError INVALID_FILE naming a model that there is not here, or a field of it
 */
export function readModel(json: unknown, file: string, { leavesOut }: ModelSetting): Model {
  const given = isPlainObject(json) ? json : {};
  // Older files have no type.
  const type = given.type ?? ('merges' in given ? 'BPE' : given.type);
  switch (type) {
    case 'Unigram':
      return readUnigram(fields(schemas.Unigram, json, file), file, leavesOut);
    case 'BPE':
      return readBpe(fields(schemas.BPE, json, file), file);
    case 'WordPiece': {
      const { vocab, unk_token, continuing_subword_prefix, max_input_chars_per_word } = fields(schemas.WordPiece, json, file); // prettier-ignore
      return new WordPiece(toMap(vocab), unk_token, continuing_subword_prefix, max_input_chars_per_word);
    }
    case 'WordLevel': {
      const { vocab, unk_token } = fields(schemas.WordLevel, json, file);
      return new WordLevel(toMap(vocab), unk_token);
    }
    default:
      throw new HintError(
        'INVALID_FILE',
        `${file} is no tokenizer that can be read: field model.type is ${showValue(type)}; it must be Unigram, BPE, WordPiece or WordLevel. Give a tokenizer.json of such a kind.`,
      );
  }
}

function readUnigram(
  { unk_id: unknown, vocab, byte_fallback: byteFallback }: z.output<typeof schemas.Unigram>,
  file: string,
  leavesOut: ReadonlySet<string>,
): Unigram {
  if (unknown !== undefined && unknown !== null && unknown >= vocab.length)
    throw new HintError(
      'INVALID_FILE',
      `${file} has ${vocab.length} pieces, and the piece for unknown text is number ${unknown} (unk_id) of them; fetch it again.`,
    );
  const units = vocab.reduce((sum, [piece]) => sum + piece.length, 0);
  checkBytes(file, 'its pieces have', units, TRIE_BYTES);
  const isMatched = (piece: number): boolean => !leavesOut.has(vocab[piece]![0]);
  const pieces = vocab.map(([piece, score]): [string, number] => [piece, asRustReads(score)]);
  return new Unigram(pieces, unknown ?? -1, isMatched, byteFallback ?? false);
}

/**
 * A number as the tokenizers package reads it from JSON, which may be a neighbour of the nearest double: its digits as a whole
 * number, divided by a power of ten. It decides between ways to cut a text that have the same score but for rounding.
 */
function asRustReads(number: number): number {
  const parts = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(number));
  if (!parts) return number;
  const [, sign, whole, fraction = '', exponent = '0'] = parts;
  const digits = Number(BigInt(whole! + fraction));
  const power = Number(exponent) - fraction.length;
  if (Math.abs(power) > 308) return number;
  // A literal is the nearest double of a power of ten, which Math.pow need not give.
  const ten = Number(`1e${Math.abs(power)}`);
  const value = power < 0 ? digits / ten : digits * ten;
  return sign === '-' ? -value : value;
}

function readBpe(json: z.output<typeof schemas.BPE>, file: string): Bpe {
  if (json.dropout)
    throw new HintError(
      'INVALID_FILE',
      `${file} has a dropout of ${json.dropout} in its model, with which a text has other ids each time; set "dropout" to null in it.`,
    );
  const refuse = (merge: string): never => {
    throw new HintError(
      'INVALID_FILE',
      `${file} has the merge ${showValue(merge)}, whose pieces are not all in its vocabulary; fetch it again.`,
    );
  };
  const pairs = json.merges.flatMap((merge): [string, string][] => {
    if (typeof merge !== 'string') return [merge];
    if (merge.startsWith('#version')) return [];
    const [left, right, ...more] = merge.split(' ');
    return left === undefined || right === undefined || more.length > 0 ? refuse(merge) : [[left, right]];
  });
  const vocabulary = toMap(json.vocab);
  const unknown = json.unk_token ?? undefined;
  if (unknown !== undefined && !vocabulary.has(unknown) && unknown !== '')
    throw new HintError(
      'INVALID_FILE',
      `${file} has ${showValue(unknown)} for unknown text (unk_token), and its vocabulary does not; fetch it again.`,
    );
  return new Bpe(
    {
      vocabulary,
      merges: pairs,
      unknown,
      continuingPrefix: json.continuing_subword_prefix ?? '',
      endSuffix: json.end_of_word_suffix ?? '',
      fusesUnknown: json.fuse_unk ?? false,
      byteFallback: json.byte_fallback ?? false,
      ignoresMerges: json.ignore_merges ?? false,
    },
    refuse,
  );
}

function toMap(vocabulary: Record<string, number>): Map<string, number> {
  return new Map(Object.entries(vocabulary));
}

function fields<Schema extends z.ZodType>(schema: Schema, json: unknown, file: string): z.output<Schema> {
  const { data, faults } = check(schema, json);
  if (!faults) return data;
  const [issue] = faults;
  throw new HintError(
    'INVALID_FILE',
    `${file}: field ${['model', ...issue.path].join('.')} ${issue.message}. Fetch it again.`,
  );
}
