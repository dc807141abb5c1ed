import { z } from 'zod';
import { listOf } from '../../util/check.js';
import { bytesAsText } from './byte-alphabet.js';
import {
  isControl,
  isMark,
  isNonspacing,
  isUndecomposed,
  isWhite,
  type CharacterSet,
} from './unicode/characters.js';
import { Charsmap } from './charsmap.js';
import { pattern, PartReader } from './part.js';
import { mapped, prepended, replaced, sliceOf, type Span } from './span.js';

/** Turns text into the form whose pieces are in the vocabulary. */
export type Normalize = (span: Span) => Span;

type Form = 'NFC' | 'NFD' | 'NFKC' | 'NFKD';

const EACH = /[^]/gu;
// What normalising may join: a character with the marks behind it, and the parts of a syllable of Hangul.
const CLUSTERS = /(?:[\u1100-\u1112\uac00-\ud7a3][\u1161-\u1175\u11a8-\u11c2]*|[^])\p{M}*/gu;

const strip = z.object({ strip_left: z.boolean(), strip_right: z.boolean() });
const replace = z.object({ pattern, content: z.string() });
// It is put in front of every stretch between added tokens.
const LONGEST_PREFIX = 64;
const prepend = z.object({ prepend: z.string().max(LONGEST_PREFIX) });
const precompiled = z.object({ precompiled_charsmap: z.string().nullable() });
const sequence = z.object({ normalizers: listOf(z.unknown()) });
const bert = z.object({
  clean_text: z.boolean(),
  handle_chinese_chars: z.boolean(),
  strip_accents: z.boolean().nullish(),
  lowercase: z.boolean(),
});

/**
 * Reads the normalizer of a tokenizer.json.
 *
 * @throws HintError INVALID_FILE naming a part that there is not here, or a field of it
 */
export function readNormalizer(json: unknown, file: string): Normalize | undefined {
  if (json === null || json === undefined) return undefined;
  return read(json, new PartReader(file, 'normalizer'));
}

function read(json: unknown, reader: PartReader): Normalize {
  const type = reader.typeOf(json);
  switch (type) {
    case 'Sequence': {
      const { normalizers } = reader.fields(sequence, json, type);
      const parts = reader.within(() => normalizers.map((part) => read(part, reader)));
      return (span) => parts.reduce((current, part) => part(current), span);
    }
    case 'Precompiled': {
      const { precompiled_charsmap: blob } = reader.fields(precompiled, json, type);
      const charsmap = new Charsmap(blob ?? '');
      reader.grows(2);
      return (span) => charsmap.normalizeSpan(span);
    }
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return (span) => composed(span, type);
    case 'Lowercase':
      return lowered;
    case 'StripAccents':
      return without(isMark);
    case 'Strip': {
      const { strip_left: left, strip_right: right } = reader.fields(strip, json, type);
      return (span) => stripped(span, left, right);
    }
    case 'Replace': {
      const fields = reader.fields(replace, json, type);
      reader.growsBy(fields.content, fields.pattern);
      const find = reader.finder(fields.pattern);
      return (span) => (span.text === '' ? span : replaced(span, find(span.text), fields.content));
    }
    case 'Prepend': {
      const fields = reader.fields(prepend, json, type);
      return (span) => (span.text === '' ? span : prepended(span, fields.prepend));
    }
    case 'Nmt':
      return nmt;
    case 'ByteLevel':
      // A UTF-16 unit has up to three bytes.
      reader.grows(3);
      return (span) => mapped(span, EACH, bytesAsText);
    case 'BertNormalizer':
      return readBert(reader.fields(bert, json, type));
    default:
      return reader.unknown(type);
  }
}

function readBert(fields: z.output<typeof bert>): Normalize {
  const parts: Normalize[] = [];
  if (fields.clean_text)
    parts.push(
      without(
        (code) =>
          code === 0 ||
          code === 0xfffd ||
          (isControl(code) && !'\t\n\r'.includes(String.fromCodePoint(code))),
      ),
      (span) => mapped(span, EACH, (text) => (isWhite(text.codePointAt(0)!) ? ' ' : text)),
    );
  if (fields.handle_chinese_chars)
    parts.push((span) =>
      mapped(span, EACH, (text) => (isIdeograph(text.codePointAt(0)!) ? ` ${text} ` : text)),
    );
  if (fields.strip_accents ?? fields.lowercase)
    parts.push((span) => composed(span, 'NFD'), without(isNonspacing));
  if (fields.lowercase) parts.push(lowered);
  return (span) => parts.reduce((current, part) => part(current), span);
}

/** The characters that BERT's tokenizer takes for Chinese ones. */
function isIdeograph(code: number): boolean {
  return (
    (code >= 0x4e00 && code <= 0x9fff) ||
    (code >= 0x3400 && code <= 0x4dbf) ||
    (code >= 0x20000 && code <= 0x2a6df) ||
    (code >= 0x2a700 && code <= 0x2b81f) ||
    (code >= 0x2b920 && code <= 0x2ceaf) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0x2f800 && code <= 0x2fa1f)
  );
}

function composed(span: Span, form: Form): Span {
  // Text of ASCII is in every form.
  if (/^[\0-\x7f]*$/.test(span.text)) return span;
  if (!span.origins && form === 'NFC') return { ...span, text: span.text.normalize(form) };
  return mapped(span, CLUSTERS, (cluster) => {
    if (/^[\0-\x7f]$/.test(cluster)) return cluster;
    for (const part of cluster)
      if (isUndecomposed(part.codePointAt(0)!))
        return [...cluster]
          .map((one) => (isUndecomposed(one.codePointAt(0)!) ? one : one.normalize(form)))
          .join('');
    return cluster.normalize(form);
  });
}

/** Lower case character by character, as Rust has it: a sigma at the end of a word is one like any other. */
function lowered(span: Span): Span {
  if (!span.origins) return { ...span, text: span.text.replaceAll('Σ', 'σ').toLowerCase() };
  return mapped(span, EACH, (text) => (text === 'Σ' ? 'σ' : text.toLowerCase()));
}

function without(drops: CharacterSet): Normalize {
  return (span) => {
    if (/^[\x20-\x7e]*$/.test(span.text)) return span;
    return mapped(span, EACH, (text) => (drops(text.codePointAt(0)!) ? '' : text));
  };
}

function stripped(span: Span, left: boolean, right: boolean): Span {
  const { text } = span;
  let start = 0;
  let end = text.length;
  // All white space is in the basic plane.
  if (left) while (start < end && isWhite(text.charCodeAt(start))) start++;
  if (right) while (end > start && isWhite(text.charCodeAt(end - 1))) end--;
  return { ...sliceOf(span, start, end), from: span.from };
}

const NMT_SPACES = new Set([
  0x1680, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x2028, 0x2029, 0x2581, 0xfeff, 0xfffd,
]);

function nmt(span: Span): Span {
  return mapped(span, EACH, (text) => {
    const code = text.codePointAt(0)!;
    if (code === 9 || code === 10 || code === 12 || code === 13 || NMT_SPACES.has(code)) return ' ';
    return (code > 0 && code < 0x20) || code === 0x7f || code === 0x8f || code === 0x9f ? '' : text;
  });
}
