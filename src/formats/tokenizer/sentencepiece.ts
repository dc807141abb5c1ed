import { HintError } from '../../util/errors.js';
import { checkBytes, VALUE_BYTES } from '../../util/limits.js';
import { showValue } from '../../util/show-value.js';
import { decodeText } from '../../util/read-file.js';
import { fieldsOf, type MessageName } from '../protobuf/fields.js';

// Kinds of pieces.
const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const BYTE = 6;

const KINDS = ['', 'unigram', 'BPE', 'word', 'character'];
const UNIGRAM = 1;

const SENTINELS = 100;
// The character that stands for a space.
const SPACE = '\u2581';
const SPACE_INSIDE = /[^\u2581]\u2581/;
const PAD = '<pad>';
const END = '</s>';

interface Piece {
  readonly text: string;
  readonly score: number;
  readonly kind: number;
}

interface SentencePieceModel {
  readonly pieces: readonly Piece[];
  readonly kind: number;
  readonly byteFallback: boolean;
  readonly charsmap: Uint8Array;
  readonly addsDummyPrefix: boolean;
  readonly removesExtraSpaces: boolean;
  readonly escapesSpaces: boolean;
  readonly spaceIsSuffix: boolean;
  readonly splitsAtSpaces: boolean;
}

/**
 * The tokenizer.json that stands for a `spiece.model` of T5, as transformers writes it: with its sentinels, of which
 * `<extra_id_0>` has the last id.
 *
 * @param sentinels how many there are, unless the model has some already
 * @throws HintError INVALID_FILE for what is no SentencePiece model, and for one of a kind that is not supported, by its name
 */
export function tokenizerOfSentencePiece(bytes: Uint8Array, file: string, sentinels = SENTINELS): object {
  const model = readModel(bytes, file);
  checkModel(model, file);
  const pieces = model.pieces.map(({ text, score }): [string, number] => [text, score]);
  const known = new Set(pieces.map(([text]) => text));
  const hasSentinels = known.has('<extra_id_0>');
  for (let i = sentinels - 1; i >= 0 && !hasSentinels; i--) pieces.push([`<extra_id_${i}>`, 0]);
  const unknownId = model.pieces.findIndex(({ kind }) => kind === UNKNOWN);
  const endId = pieces.findIndex(([text]) => text === END);
  const missing = [PAD, END].find((text) => !known.has(text));
  if (missing !== undefined)
    throw new HintError(
      'INVALID_FILE',
      `${file} has no piece ${missing}, which T5's tokenizers have; give the spiece.model of a T5 model.`,
    );
  if (unknownId < 0)
    throw new HintError(
      'INVALID_FILE',
      `${file} has no piece for unknown text; give the spiece.model of a T5 model.`,
    );
  const added = pieces.flatMap(([content], id) => {
    const kind = model.pieces[id]?.kind ?? CONTROL;
    if (kind === NORMAL) return [];
    const special = kind !== USER_DEFINED || /^<extra_id_\d+>$/.test(content);
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });
  const metaspace = { type: 'Metaspace', replacement: SPACE, prepend_scheme: 'always', split: true };
  const end = { SpecialToken: { id: END, type_id: 0 } };
  const text = { Sequence: { id: 'A', type_id: 0 } };
  const pair = { Sequence: { id: 'B', type_id: 0 } };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    ...(model.charsmap.length > 0
      ? {
          normalizer: {
            type: 'Precompiled',
            precompiled_charsmap: Buffer.from(model.charsmap).toString('base64'),
          },
          pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'WhitespaceSplit' }, metaspace] },
        }
      : { normalizer: SINGLE_SPACES, pre_tokenizer: metaspace }),
    post_processor: {
      type: 'TemplateProcessing',
      single: [text, end],
      pair: [text, end, pair, end],
      special_tokens: { [END]: { id: END, ids: [endId], tokens: [END] } },
    },
    decoder: metaspace,
    model: { type: 'Unigram', unk_id: unknownId, vocab: pieces, byte_fallback: false },
  };
}

/** SentencePiece's own handling of spaces where the model maps no characters: no other white space counts. */
const SINGLE_SPACES = {
  type: 'Sequence',
  normalizers: [
    { type: 'Replace', pattern: { Regex: '\\A +| +\\z' }, content: '' },
    { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' },
  ],
};

function checkModel(model: SentencePieceModel, file: string): void {
  const refuse = (what: string): never => {
    throw new HintError(
      'INVALID_FILE',
      `${file} is a SentencePiece model ${what}, which is not supported; give the tokenizer.json of the model instead.`,
    );
  };
  if (model.kind !== UNIGRAM) refuse(`of type ${KINDS[model.kind] ?? `number ${model.kind}`}`);
  if (model.byteFallback || model.pieces.some(({ kind }) => kind === BYTE)) refuse('with byte fallback');
  if (!model.addsDummyPrefix) refuse('that puts no space before a text (add_dummy_prefix is false)');
  if (!model.removesExtraSpaces) refuse('that keeps runs of spaces (remove_extra_whitespaces is false)');
  if (!model.escapesSpaces) refuse('that leaves spaces as they are (escape_whitespaces is false)');
  if (model.spaceIsSuffix) refuse('that puts spaces behind words (treat_whitespace_as_suffix)');
  const across = model.pieces.find(({ text }) => SPACE_INSIDE.test(text));
  if (across && !model.splitsAtSpaces)
    refuse(
      `with pieces of several words, such as ${showValue(across.text)} (split_by_whitespace is false at training)`,
    );
  const spaced = model.pieces.find(({ text, kind }) => kind === USER_DEFINED && text.includes(SPACE));
  if (spaced) refuse(`with the user-defined piece ${showValue(spaced.text)}, in which there is a space`);
  const odd = model.pieces.find(({ kind }) => ![NORMAL, UNKNOWN, CONTROL, USER_DEFINED].includes(kind));
  if (odd) refuse(`with the piece ${showValue(odd.text)} of kind ${odd.kind}`);
}

function nameOf(file: string): MessageName {
  return { where: file, what: 'SentencePiece model' };
}

function readModel(bytes: Uint8Array, file: string): SentencePieceModel {
  const pieces: Piece[] = [];
  const trainer = new Map<number, number>();
  const normalizer = new Map<number, number>();
  let charsmap: Uint8Array = new Uint8Array(0);
  for (const { number, value } of fieldsOf(bytes, nameOf(file))) {
    if (typeof value === 'number') continue;
    if (number === 1) {
      pieces.push(readPiece(value, file));
      checkBytes(file, 'its pieces are', pieces.length, 4 * VALUE_BYTES);
    } else if (number === 2) {
      for (const field of fieldsOf(value, nameOf(file)))
        if (typeof field.value === 'number') trainer.set(field.number, field.value);
    } else if (number === 3) {
      for (const field of fieldsOf(value, nameOf(file)))
        if (typeof field.value === 'number') normalizer.set(field.number, field.value);
        else if (field.number === 2) charsmap = field.value;
    }
  }
  if (pieces.length === 0)
    throw new HintError(
      'INVALID_FILE',
      `${file} is no SentencePiece model: it has no pieces; fetch it again.`,
    );
  // What a file does not say has the default of SentencePiece's own definition.
  return {
    pieces,
    kind: trainer.get(3) ?? UNIGRAM,
    byteFallback: trainer.get(35) === 1,
    spaceIsSuffix: trainer.get(24) === 1,
    splitsAtSpaces: trainer.get(22) !== 0,
    charsmap,
    addsDummyPrefix: normalizer.get(3) !== 0,
    removesExtraSpaces: normalizer.get(4) !== 0,
    escapesSpaces: normalizer.get(5) !== 0,
  };
}

function readPiece(message: Uint8Array, file: string): Piece {
  let text = '';
  let score = 0;
  let kind = NORMAL;
  for (const { number, value } of fieldsOf(message, nameOf(file))) {
    if (number === 1 && typeof value !== 'number') text = decodeText(value, `A piece of ${file}`);
    else if (number === 2 && typeof value === 'number') score = value;
    else if (number === 3 && typeof value === 'number') kind = value;
  }
  if (!Number.isFinite(score))
    throw new HintError(
      'INVALID_FILE',
      `${file} gives the piece ${showValue(text)} the score ${score}; fetch it again.`,
    );
  return { text, score, kind };
}
