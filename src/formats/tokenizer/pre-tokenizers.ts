import { z } from 'zod';
import { listOf } from '../../util/check.js';
import { bytesAsText } from './byte-alphabet.js';
import { isNumeric, isPunctuation, isWhite, isWordCharacter } from './unicode/characters.js';
import { gpt2Words } from './gpt2-words.js';
import { character, pattern, PartReader } from './part.js';
import {
  BEHAVIORS,
  mapped,
  matchesOf,
  placesOf,
  prepended,
  replaced,
  split,
  type Behavior,
  type Span,
} from './span.js';

/** Cuts a span into those that the model reads one by one. */
export type PreTokenize = (span: Span) => Span[];

const behavior = z.enum(BEHAVIORS as [Behavior, ...Behavior[]]);
const sequence = z.object({ pretokenizers: listOf(z.unknown()) });
const digits = z.object({ individual_digits: z.boolean() });
const punctuation = z.object({ behavior: behavior.default('Isolated') });
const splitFields = z.object({ pattern, behavior, invert: z.boolean() });
const delimiter = z.object({ delimiter: character });
const fixedLength = z.object({ length: z.int().min(1).default(5) });
const byteLevel = z.object({
  add_prefix_space: z.boolean(),
  trim_offsets: z.boolean(),
  use_regex: z.boolean().default(true),
});
/** As the pre-tokenizer and the decoder have it, today and before there were schemes. */
export const metaspace = z
  .object({
    replacement: character,
    add_prefix_space: z.boolean().nullish(),
    prepend_scheme: z.enum(['first', 'never', 'always']).default('always'),
    split: z.boolean().nullish(),
  })
  .transform(({ replacement, add_prefix_space: prefix, prepend_scheme: scheme, split: splits }) => ({
    replacement,
    scheme: prefix === false ? ('never' as const) : scheme,
    splits: splits ?? true,
  }));

/** What a tokenizer.json says of cutting texts. */
export interface PreTokenizer {
  readonly cut: PreTokenize;
  /** Whether a part asks where in the original text a span begins. */
  readonly tracksOrigins: boolean;
}

/**
 * Reads the pre-tokenizer of a tokenizer.json.
 *
 * @throws HintError INVALID_FILE naming a part that there is not here, or a field of it
 */
export function readPreTokenizer(json: unknown, file: string): PreTokenizer {
  if (json === null || json === undefined) return { cut: (span) => [span], tracksOrigins: false };
  return read(json, new PartReader(file, 'pre_tokenizer'));
}

function read(json: unknown, reader: PartReader): PreTokenizer {
  const type = reader.typeOf(json);
  const plain = (cut: PreTokenize): PreTokenizer => ({ cut, tracksOrigins: false });
  switch (type) {
    case 'Sequence': {
      const { pretokenizers } = reader.fields(sequence, json, type);
      const parts = reader.within(() => pretokenizers.map((part) => read(part, reader)));
      const cut = (span: Span): Span[] => parts.reduce((spans, part) => spans.flatMap(part.cut), [span]);
      return { cut, tracksOrigins: parts.some(({ tracksOrigins }) => tracksOrigins) };
    }
    case 'Metaspace': {
      const fields = reader.fields(metaspace, json, type);
      return { cut: (span) => cutMetaspace(span, fields), tracksOrigins: fields.scheme === 'first' };
    }
    case 'WhitespaceSplit':
      return plain((span) => split(span, matchesOf(span.text, isWhite), 'Removed'));
    case 'Whitespace':
      return plain((span) => split(span, wordsAndMarks(span.text), 'Removed', true));
    case 'BertPreTokenizer':
      return plain((span) =>
        split(span, matchesOf(span.text, isWhite), 'Removed').flatMap((word) =>
          split(word, matchesOf(word.text, isPunctuation), 'Isolated'),
        ),
      );
    case 'Punctuation': {
      const fields = reader.fields(punctuation, json, type);
      return plain((span) => split(span, matchesOf(span.text, isPunctuation), fields.behavior));
    }
    case 'Digits': {
      const { individual_digits: single } = reader.fields(digits, json, type);
      return plain((span) =>
        split(span, matchesOf(span.text, isNumeric), single ? 'Isolated' : 'Contiguous'),
      );
    }
    case 'Split': {
      const fields = reader.fields(splitFields, json, type);
      const find = reader.finder(fields.pattern);
      return plain((span) => split(span, find(span.text), fields.behavior, fields.invert));
    }
    case 'CharDelimiterSplit':
    case 'Delimiter': {
      const fields = reader.fields(delimiter, json, type);
      return plain((span) => split(span, placesOf(span.text, fields.delimiter), 'Removed'));
    }
    case 'FixedLength': {
      const { length } = reader.fields(fixedLength, json, type);
      return plain((span) => split(span, chunks(span.text, length), 'Isolated'));
    }
    case 'ByteLevel': {
      const fields = reader.fields(byteLevel, json, type);
      // A UTF-16 unit has up to three bytes.
      reader.grows(3);
      return plain((span) => cutByteLevel(span, fields));
    }
    default:
      return reader.unknown(type);
  }
}

function cutMetaspace(original: Span, { replacement, scheme, splits }: z.output<typeof metaspace>): Span[] {
  let span = replaced(original, placesOf(original.text, ' '), replacement);
  const prepends = scheme === 'always' || (scheme === 'first' && span.from === 0);
  if (prepends && span.text !== '' && !span.text.startsWith(replacement)) span = prepended(span, replacement);
  return splits ? split(span, placesOf(span.text, replacement), 'MergedWithNext') : [span];
}

const EACH = /[^]/gu;

function cutByteLevel(original: Span, fields: z.output<typeof byteLevel>): Span[] {
  const span =
    fields.add_prefix_space && original.text !== '' && !original.text.startsWith(' ')
      ? prepended(original, ' ')
      : original;
  const words = fields.use_regex ? split(span, gpt2Words(span.text), 'Isolated') : [span];
  return words.map((word) => mapped(word, EACH, bytesAsText));
}

/** Pairs of start and end of words, and of runs of what is neither word nor white space. */
function wordsAndMarks(text: string): number[] {
  const matches: number[] = [];
  let kind = 0;
  for (let at = 0; at < text.length;) {
    const code = text.codePointAt(at)!;
    const end = at + (code > 0xffff ? 2 : 1);
    const here = isWordCharacter(code) ? 1 : isWhite(code) ? 0 : 2;
    if (here !== 0 && here === kind) matches[matches.length - 1] = end;
    else if (here !== 0) matches.push(at, end);
    kind = here;
    at = end;
  }
  return matches;
}

function chunks(text: string, length: number): number[] {
  const matches: number[] = [];
  let start = 0;
  let count = 0;
  for (let at = 0; at < text.length;) {
    at += text.codePointAt(at)! > 0xffff ? 2 : 1;
    if (++count % length > 0 && at < text.length) continue;
    matches.push(start, at);
    start = at;
  }
  return matches;
}
