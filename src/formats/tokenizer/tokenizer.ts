import { HintError } from '../../util/errors.js';
import {
  boolean,
  checked,
  checkedIfGiven,
  integer,
  integerOrAll,
  optional,
  options as optionsOf,
  path as pathKind,
  text as textKind,
  where,
  type Kind,
} from '../../util/arguments.js';
import { withinSeconds } from '../../util/limits.js';
import { readTokenizerFile } from './files.js';
import { Unigram } from './models/unigram.js';
import { Pipeline } from './pipeline.js';

/** Options of {@link Tokenizer.encode}. */
export interface EncodeOptions {
  /** Append the end-of-sequence id (default true). */
  addEos?: boolean;
  /**
   * Put the special tokens around the text that the file's post-processor says, and no others, whatever `addEos` says (default
   * false): what the tokenizers package gives. T5's post-processor appends the end-of-sequence id and does nothing else.
   */
  addSpecialTokens?: boolean;
  /** Keep at most this many ids: a plain right cut after EOS was appended, which loses the EOS of a longer text. */
  maxLength?: number;
}

/** Options of {@link Tokenizer.decode}. */
export interface DecodeOptions {
  /** Leave out `<pad>`, `</s>`, `<unk>` and the sentinels (default true). */
  skipSpecialTokens?: boolean;
  /** Hugging Face's clean-up: no space before punctuation and English contractions (default false). */
  cleanUp?: boolean;
}

const LENGTH = integer(0);
const ENCODING = optionsOf<EncodeOptions>({
  addEos: optional(boolean),
  addSpecialTokens: optional(boolean),
  maxLength: optional(integerOrAll(0)),
});
const DECODING = optionsOf<DecodeOptions>({
  skipSpecialTokens: optional(boolean),
  cleanUp: optional(boolean),
});
const IDS: Kind<Int32Array | readonly number[]> = where(
  'an Int32Array or an array of token ids, which are integers',
  (value) =>
    value instanceof Int32Array || (Array.isArray(value) && Array.from(value).every(Number.isInteger)),
);

/**
 * A tokenizer from a Hugging Face `tokenizer.json` or the older files that it replaced, with the ids and texts of the tokenizers package. Files in T5's own shape
 * stand for a SentencePiece model and have its ids (method §7.4): combining marks and U+0085 follow SentencePiece, ties of equal
 * score follow the Rust tokenizers, and the names of special tokens inside text become their single id, as there.
 *
 * What begins a sequence of OPT is the model's business: no token is put in front.
 */
export class Tokenizer {
  /** The file this was read from, as an absolute path: a tokenizer.json, a spiece.model or a vocab.json. */
  readonly file: string;
  /** SHA-256 of that file, or of the tokenizer.json that stands for it, 64 hexadecimal digits: names the mapping from text to ids. */
  readonly fingerprint: string;
  /**
   * Names what texts become, for keys of caches: the fingerprint, with a mark where version 0.1.0 left parts of the file out and
   * gave other ids.
   */
  readonly idsKey: string;
  /** Number of ids, special ones included; the model's embedding may have more rows. */
  readonly vocabSize: number;
  /** Token that ends a sequence. */
  readonly eosId: number;
  /** Token that decoding begins with, and that fills what is padded elsewhere. */
  readonly padId: number;
  /** Token of text that the vocabulary lacks. */
  readonly unkId: number;

  private readonly pipeline: Pipeline;

  private constructor(
    file: string,
    fingerprint: string,
    json: unknown,
    private readonly cleansUp: boolean,
  ) {
    this.file = file;
    this.fingerprint = fingerprint;
    this.pipeline = new Pipeline(json, file);
    this.idsKey = this.pipeline.keepsIds ? fingerprint : `${fingerprint}+parts`;
    const { model, added } = this.pipeline;
    let most = -1;
    for (const ids of [model.ids, added.ids]) for (const id of ids.values()) most = Math.max(most, id);
    this.vocabSize = most + 1;
    const known = (name: string): number | undefined => added.ids.get(name) ?? model.ids.get(name);
    if (model instanceof Unigram) {
      this.eosId = this.idOf('</s>');
      this.padId = this.idOf('<pad>');
      this.unkId = model.unknownId;
    } else {
      // OPT ends sequences with </s>, GPT-2 with its one special token.
      this.eosId = known('</s>') ?? known('<|endoftext|>') ?? this.idOf('<|endoftext|>');
      this.padId = known('<pad>') ?? this.eosId;
      this.unkId = known('<unk>') ?? this.eosId;
    }
  }

  /**
   * Loads a tokenizer. Touches no network.
   *
   * @param path a `tokenizer.json`, a `spiece.model` of T5, a `vocab.json` with its `merges.txt` beside it, or a folder that holds
   *   one of them
   * @throws HintError `NOT_FOUND`, `INVALID_JSON`, `INVALID_FILE` (a field is missing or damaged, or there is a part that is
   *   not supported, which the error names)
   */
  static async load(path: string): Promise<Tokenizer> {
    checked(pathKind, path, 'path');
    const { file, fingerprint, json, cleansUp } = await readTokenizerFile(path);
    // Building the tables of a large vocabulary takes seconds.
    return withinSeconds(file, () => new Tokenizer(file, fingerprint, json, cleansUp));
  }

  /**
   * The token ids of a text. In T5's tokenizers, white space at either end is dropped and runs of it count as one space. An empty
   * text gives [EOS] (or nothing without `addEos`).
   *
   * @throws HintError `INVALID_ARGUMENT` for what is no text, and for options that there are not
   */
  encode(text: string, options?: EncodeOptions): Int32Array {
    checked(textKind, text, 'text');
    const given = checkedIfGiven(ENCODING, options, 'options') ?? {};
    const { addEos = true, addSpecialTokens = false, maxLength = Infinity } = given;
    let ids = this.pipeline.encode(text);
    if (addSpecialTokens) ids = this.pipeline.withSpecialTokens(ids);
    else if (addEos) ids.push(this.eosId);
    if (ids.length > maxLength) ids.length = maxLength;
    return new Int32Array(ids);
  }

  /**
   * The text of the first `maxTokens` ids (EOS counted), special tokens left out: for prompts that do not fit.
   *
   * @throws HintError `INVALID_ARGUMENT`
   */
  truncate(text: string, maxTokens: number): string {
    checked(LENGTH, maxTokens, 'maxTokens');
    return this.decode(this.encode(text, { maxLength: maxTokens }), { cleanUp: true });
  }

  /** The number of tokens of a text, EOS included. */
  tokenLength(text: string): number {
    return this.encode(text).length;
  }

  /**
   * The text of token ids. Ids outside the vocabulary read as `<unk>` (the embedding of T5 has 28 rows more than
   * its tokenizer).
   *
   * @throws HintError `INVALID_ARGUMENT` for ids that are no integers, and for options that there are not
   */
  decode(ids: Int32Array | readonly number[], options?: DecodeOptions): string {
    checked(IDS, ids, 'ids');
    return this.decodeIds(ids, checkedIfGiven(DECODING, options, 'options') ?? {});
  }

  private decodeIds(ids: Int32Array | readonly number[], options: DecodeOptions): string {
    const known = Array.from(ids, (id) => (id >= 0 && id < this.vocabSize ? id : this.unkId));
    const text = this.pipeline.decode(known, options.skipSpecialTokens ?? true);
    return options.cleanUp ? cleanUp(text) : text;
  }

  /**
   * The text of a prediction as the metrics read it (method §7.5): cut at the first EOS, special ids and
   * unknowns left out, spaces cleaned up.
   *
   * @throws HintError `INVALID_ARGUMENT` for ids that are no integers
   */
  decodePrediction(ids: Int32Array | readonly number[]): string {
    checked(IDS, ids, 'ids');
    const end = ids.indexOf(this.eosId);
    return this.decodeIds(end < 0 ? ids : ids.slice(0, end), { skipSpecialTokens: true, cleanUp: true });
  }

  /**
   * The text of a generated answer, as transformers gives it: cut at the first EOS, without special ids and unknowns. Spaces in
   * front of punctuation stay, unless the `tokenizer_config.json` beside the tokenizer says `clean_up_tokenization_spaces`.
   *
   * @throws HintError `INVALID_ARGUMENT` for ids that are no integers
   */
  decodeAnswer(ids: Int32Array | readonly number[]): string {
    checked(IDS, ids, 'ids');
    const end = ids.indexOf(this.eosId);
    return this.decodeIds(end < 0 ? ids : ids.slice(0, end), {
      skipSpecialTokens: true,
      cleanUp: this.cleansUp,
    });
  }

  private idOf(name: string): number {
    const id = this.pipeline.added.ids.get(name);
    if (id === undefined)
      throw new HintError(
        'INVALID_FILE',
        `${this.file} has no special token ${name}; it belongs in added_tokens.`,
      );
    return id;
  }
}

/** Hugging Face's clean-up of decoded texts. */
function cleanUp(text: string): string {
  return text
    .replace(/ \./g, '.')
    .replace(/ \?/g, '?')
    .replace(/ !/g, '!')
    .replace(/ ,/g, ',')
    .replace(/ ' /g, "'")
    .replace(/ n't/g, "n't")
    .replace(/ 'm/g, "'m")
    .replace(/ 's/g, "'s")
    .replace(/ 've/g, "'ve")
    .replace(/ 're/g, "'re");
}
