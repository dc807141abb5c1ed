import { z } from 'zod';
import { listOf } from '../../util/check.js';
import { textAsBytes } from './byte-alphabet.js';
import { character, pattern, PartReader } from './part.js';
import { metaspace } from './pre-tokenizers.js';
import { replaced, spanOf } from './span.js';

/** Turns pieces into texts, which are joined at the end. */
export type Decode = (pieces: string[]) => string[];

const sequence = z.object({ decoders: listOf(z.unknown()) });
const replace = z.object({ pattern, content: z.string() });
const strip = z.object({ content: character, start: z.int().min(0), stop: z.int().min(0) });
const wordPiece = z.object({ prefix: z.string().default('##'), cleanup: z.boolean().default(true) });
const bpe = z.object({ suffix: z.string().min(1).default('</w>') });
const ctc = z.object({
  pad_token: z.string().default('<pad>'),
  word_delimiter_token: z.string().min(1).default('|'),
  cleanup: z.boolean().default(true),
});

const REPLACEMENT = '\ufffd';

/**
 * Reads the decoder of a tokenizer.json; without one, pieces are joined by spaces.
 *
 * @throws HintError INVALID_FILE naming a part that there is not here, or a field of it
 */
export function readDecoder(json: unknown, file: string): (pieces: string[]) => string {
  if (json === null || json === undefined) return (pieces) => pieces.join(' ');
  const decode = read(json, new PartReader(file, 'decoder'));
  return (pieces) => decode(pieces).join('');
}

function read(json: unknown, reader: PartReader): Decode {
  const type = reader.typeOf(json);
  switch (type) {
    case 'Sequence': {
      const { decoders } = reader.fields(sequence, json, type);
      const parts = reader.within(() => decoders.map((part) => read(part, reader)));
      return (pieces) => parts.reduce((current, part) => part(current), pieces);
    }
    case 'Metaspace': {
      const { replacement, scheme } = reader.fields(metaspace, json, type);
      const first = scheme === 'never' ? ' ' : '';
      return (pieces) => pieces.map((piece, i) => piece.replaceAll(replacement, i === 0 ? first : ' '));
    }
    case 'ByteLevel':
      return byteLevel;
    case 'ByteFallback':
      return byteFallback;
    case 'Fuse':
      return (pieces) => [pieces.join('')];
    case 'Replace': {
      const fields = reader.fields(replace, json, type);
      reader.growsBy(fields.content, fields.pattern);
      const find = reader.finder(fields.pattern);
      return (pieces) =>
        pieces.map((piece) =>
          piece === '' ? '' : replaced(spanOf(piece, false), find(piece), fields.content).text,
        );
    }
    case 'Strip': {
      const fields = reader.fields(strip, json, type);
      return (pieces) => pieces.map((piece) => stripped(piece, fields));
    }
    case 'WordPiece': {
      const fields = reader.fields(wordPiece, json, type);
      return (pieces) => pieces.map((piece, i) => wordPieceText(piece, i, fields));
    }
    case 'BPEDecoder': {
      const { suffix } = reader.fields(bpe, json, type);
      return (pieces) =>
        pieces.map((piece, i) => piece.replaceAll(suffix, i === pieces.length - 1 ? '' : ' '));
    }
    case 'CTC': {
      const fields = reader.fields(ctc, json, type);
      return (pieces) => ctcTexts(pieces, fields);
    }
    default:
      return reader.unknown(type);
  }
}

function byteLevel(pieces: string[]): string[] {
  const bytes: Uint8Array[] = [];
  for (const piece of pieces) bytes.push(Uint8Array.from(textAsBytes(piece) ?? Buffer.from(piece, 'utf8')));
  return [lossy(Buffer.concat(bytes))];
}

function lossy(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
}

function byteFallback(pieces: string[]): string[] {
  const texts: string[] = [];
  let bytes: number[] = [];
  const flush = (): void => {
    if (bytes.length === 0) return;
    texts.push(exact(Uint8Array.from(bytes)) ?? REPLACEMENT.repeat(bytes.length));
    bytes = [];
  };
  for (const piece of pieces) {
    const byte = /^<0x([0-9a-fA-F]{2}|\+[0-9a-fA-F])>$/.exec(piece);
    if (byte) {
      bytes.push(parseInt(byte[1]!, 16));
      continue;
    }
    flush();
    texts.push(piece);
  }
  flush();
  return texts;
}

function exact(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function stripped(piece: string, { content, start, stop }: z.output<typeof strip>): string {
  const characters = [...piece];
  let first = 0;
  while (first < start && characters[first] === content) first++;
  let last = characters.length;
  while (characters.length - last < stop && last > first && characters[last - 1] === content) last--;
  return characters.slice(first, last).join('');
}

function wordPieceText(
  piece: string,
  place: number,
  { prefix, cleanup }: z.output<typeof wordPiece>,
): string {
  const text = place === 0 ? piece : piece.startsWith(prefix) ? piece.slice(prefix.length) : ` ${piece}`;
  return cleanup ? cleaned(text) : text;
}

function cleaned(text: string): string {
  return text
    .replaceAll(' .', '.')
    .replaceAll(' ?', '?')
    .replaceAll(' !', '!')
    .replaceAll(' ,', ',')
    .replaceAll(" ' ", "'")
    .replaceAll(" n't", "n't")
    .replaceAll(" 'm", "'m")
    .replaceAll(' do not', " don't")
    .replaceAll(" 's", "'s")
    .replaceAll(" 've", "'ve")
    .replaceAll(" 're", "'re");
}

function ctcTexts(pieces: string[], fields: z.output<typeof ctc>): string[] {
  const texts: string[] = [];
  pieces.forEach((piece, i) => {
    if (piece === pieces[i - 1]) return;
    const text = piece.replaceAll(fields.pad_token, '');
    const result = fields.cleanup ? cleaned(text).replaceAll(fields.word_delimiter_token, ' ') : text;
    if (result !== '') texts.push(result);
  });
  return texts;
}
