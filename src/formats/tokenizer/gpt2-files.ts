import { z } from 'zod';
import { HintError } from '../../util/errors.js';
import { check } from '../../util/check.js';
import { isPlainObject, recordOf } from '../../util/record-schema.js';
import { showValue } from '../../util/show-value.js';
import { id } from './models/read.js';

const CLASSES = ['GPT2Tokenizer', 'GPT2TokenizerFast', 'OPTTokenizer'];
const ROLES = ['bos_token', 'eos_token', 'unk_token', 'pad_token'] as const;
const DEFAULT = '<|endoftext|>';

/** What stands beside `vocab.json`; a file that there is not is undefined. */
export interface Gpt2Files {
  readonly vocabulary: unknown;
  /** The text of `merges.txt`. */
  readonly merges: string;
  readonly config: unknown;
  readonly specialTokensMap: unknown;
  readonly addedTokens: unknown;
}

interface Token {
  readonly content: string;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly single_word: boolean;
  readonly normalized: boolean;
  readonly special: boolean;
}

/**
 * The tokenizer.json that stands for the older files of GPT-2 and OPT, as transformers writes it.
 *
 * @param file the path of `vocab.json`, for errors
 * @throws HintError INVALID_FILE
 */
export function tokenizerOfGpt2Files(files: Gpt2Files, file: string): object {
  const { data: vocab, faults } = check(recordOf(id), files.vocabulary);
  if (faults) {
    const [issue] = faults;
    throw new HintError(
      'INVALID_FILE',
      `${file} is no vocabulary: ${issue.path.join('.') || 'the whole file'} ${issue.message}. Fetch it again.`,
    );
  }
  const config = isPlainObject(files.config) ? files.config : {};
  const special = isPlainObject(files.specialTokensMap) ? files.specialTokensMap : {};
  const kind = config.tokenizer_class;
  if (kind !== undefined && kind !== null && !(typeof kind === 'string' && CLASSES.includes(kind)))
    throw new HintError(
      'INVALID_FILE',
      `${file} belongs to a ${showValue(kind)}, of which only a tokenizer.json is read; save the tokenizer with transformers, which writes one.`,
    );
  const merges = files.merges
    .split('\n')
    .map((line) => line.replace(/\r$/, ''))
    .filter((line) => line !== '' && !line.startsWith('#version'))
    .map((line) => line.split(' '));
  const wrong = merges.findIndex((pair) => pair.length !== 2);
  if (wrong >= 0)
    throw new HintError(
      'INVALID_FILE',
      `The merge ${showValue(merges[wrong]!.join(' '))} in the merges.txt beside ${file} is no pair; fetch it again.`,
    );
  const prefix = config.add_prefix_space === true;
  const begins =
    config.add_bos_token === true ? (nameOf(special.bos_token ?? config.bos_token) ?? DEFAULT) : undefined;
  const added = addedTokens(vocab, config, special, files.addedTokens, file);
  const byteLevel = { type: 'ByteLevel', add_prefix_space: prefix, trim_offsets: true, use_regex: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor:
      begins === undefined ? { ...byteLevel, trim_offsets: false } : beginning(begins, vocab, added, file),
    decoder: { ...byteLevel, add_prefix_space: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges,
    },
  };
}

function beginning(
  token: string,
  vocab: Record<string, number>,
  added: readonly { id: number; content: string }[],
  file: string,
): object {
  const known = added.find(({ content }) => content === token)?.id ?? vocab[token];
  if (known === undefined)
    throw new HintError(
      'INVALID_FILE',
      `${file} has no piece ${showValue(token)}, which begins a text; fetch it again.`,
    );
  const first = { SpecialToken: { id: token, type_id: 0 } };
  const single = [first, { Sequence: { id: 'A', type_id: 0 } }];
  return {
    type: 'TemplateProcessing',
    single,
    pair: [...single, first, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { [token]: { id: token, ids: [known], tokens: [token] } },
  };
}

function addedTokens(
  vocab: Record<string, number>,
  config: Record<string, unknown>,
  special: Record<string, unknown>,
  more: unknown,
  file: string,
): ({ id: number } & Token)[] {
  const tokens = new Map<string, Token>();
  const ids = new Map<string, number>();
  const add = (given: unknown, isSpecial: boolean): void => {
    const content = nameOf(given);
    if (content === undefined || content === '') return;
    const flags = isPlainObject(given) ? given : {};
    tokens.set(content, {
      content,
      lstrip: flags.lstrip === true,
      rstrip: flags.rstrip === true,
      single_word: flags.single_word === true,
      normalized: isPlainObject(given) && !isSpecial ? flags.normalized !== false : !isSpecial,
      special: isSpecial,
    });
  };
  if (isPlainObject(more))
    for (const [content, given] of Object.entries(more)) {
      add(content, false);
      ids.set(content, checkedId(given, content, file));
    }
  if (isPlainObject(config.added_tokens_decoder))
    for (const [number, token] of Object.entries(config.added_tokens_decoder)) {
      add(token, isPlainObject(token) && token.special === true);
      const content = nameOf(token);
      if (content !== undefined) ids.set(content, checkedId(Number(number), content, file));
    }
  for (const role of ROLES) {
    const given = special[role] ?? config[role] ?? (role === 'pad_token' ? undefined : DEFAULT);
    // GPT-2's own token is in its vocabulary; other vocabularies do not get it unasked.
    const isAsked = special[role] !== undefined || config[role] !== undefined;
    if (isAsked || Object.hasOwn(vocab, DEFAULT)) add(given, true);
  }
  const others = special.additional_special_tokens ?? config.additional_special_tokens;
  if (Array.isArray(others)) for (const token of others) add(token, true);
  let next = Object.keys(vocab).length;
  const placed = [...tokens.values()].map((token) => ({
    id: vocab[token.content] ?? ids.get(token.content) ?? -1,
    ...token,
  }));
  const taken = new Set(placed.map((token) => token.id));
  const all = placed.map((token) => {
    if (token.id >= 0) return token;
    while (taken.has(next)) next++;
    return { ...token, id: next++ };
  });
  return all.sort((a, b) => a.id - b.id);
}

function checkedId(given: unknown, content: string, file: string): number {
  const { data, faults } = check(id as z.ZodType<number>, given);
  if (!faults) return data;
  throw new HintError(
    'INVALID_FILE',
    `A file beside ${file} gives ${showValue(content)} the id ${showValue(given)}, which is none; fetch it again.`,
  );
}

function nameOf(token: unknown): string | undefined {
  if (typeof token === 'string') return token;
  return isPlainObject(token) && typeof token.content === 'string' ? token.content : undefined;
}
