import { HintError } from '../../util/errors.js';
import { sameTensor } from '../../formats/weights/compare.js';
import type { WeightFile } from '../../formats/weights/weight-file.js';

/** What a family makes of the tensors of a file that it does not read. */
export interface UnusedRule {
  /** Names that are read, or that the configuration promises. */
  readonly used: ReadonlySet<string>;
  /** Copies that some programs write, with the table that they must be equal to. */
  readonly copies: ReadonlyMap<string, string>;
  /** Names of buffers and the like that no function is made of. */
  readonly idle: readonly RegExp[];
  /** Names within the model that the family computes: what is there and not known changes the function. */
  readonly inside: RegExp;
}

/**
 * Refuses a checkpoint that holds more of a model than its configuration says: it would open, and compute something else
 * than where it comes from. Tensors outside the model (a head for another purpose, say) are left aside.
 *
 * @throws HintError NOT_SUPPORTED for a second table that differs, INVALID_CHECKPOINT naming another tensor, IO, ABORTED
 */
export async function checkUnusedTensors(
  file: WeightFile,
  rule: UnusedRule,
  signal?: AbortSignal,
): Promise<void> {
  for (const name of file.tensors.keys()) {
    if (rule.used.has(name) || rule.idle.some((pattern) => pattern.test(name))) continue;
    const table = rule.copies.get(name);
    if (table === undefined) {
      if (rule.inside.test(name)) throw unexpected(file, name);
    } else if (!(await sameTensor({ file, name }, { file, name: table }, signal))) {
      throw new HintError(
        'NOT_SUPPORTED',
        `${file.path} has the embedding table ${name}, which differs from ${table}; models with two tables are not computed here.`,
      );
    }
  }
}

function unexpected({ path }: WeightFile, name: string): HintError {
  return new HintError(
    'INVALID_CHECKPOINT',
    `${path} has the tensor ${JSON.stringify(name)}, which a model of its config.json does not have, so that it would compute something else without it; check config.json (model_type, the numbers of layers), or take it out of the file.`,
  );
}

// Old files have a table that no layer reads.
const T5_IDLE = [
  /^decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight$/,
  /(^|\.)(position_ids|inv_freq)$/,
  // Whether a head that is stored is the table is another rule's matter.
  /^lm_head\.weight$/,
];

/**
 * The rule for T5.
 *
 * @param names of all parameters, those of a hypernetwork that is not taken over included
 * @param table the name under which the file has the token embeddings
 */
export function t5Rule(names: Iterable<string>, table: string): UnusedRule {
  const copies = ['shared.weight', 'encoder.embed_tokens.weight', 'decoder.embed_tokens.weight'];
  return {
    used: new Set([...names].filter((name) => name !== 'shared.weight').concat(table)),
    copies: new Map(copies.map((name) => [name, table])),
    idle: T5_IDLE,
    inside: /^(shared|encoder|decoder|lm_head|hypernetwork\.(?!embedding\.weight$)|peft)[._]?/,
  };
}

// Masks that were stored as buffers, and the number of a file's format.
const DECODER_ONLY_IDLE = [/\.attn\.(bias|masked_bias)$/, /(^|\.)(position_ids|inv_freq|version)$/];

/**
 * The rule for GPT-2 and OPT.
 *
 * @param names that are read from the file
 * @param prefixes under which a family's names occur
 */
export function decoderOnlyRule(names: Iterable<string>, prefixes: readonly string[]): UnusedRule {
  const begins = prefixes.filter((prefix) => prefix !== '').map((prefix) => prefix.replaceAll('.', '\\.'));
  const own =
    '(h\\.|wte\\.|wpe\\.|ln_f\\.|layers\\.|embed_tokens\\.|embed_positions\\.|project_(in|out)\\.|final_layer_norm\\.)';
  return {
    used: new Set(names),
    copies: new Map(),
    idle: [...DECODER_ONLY_IDLE, /^lm_head\.weight$/],
    inside: new RegExp(`^(${[...begins, own].join('|')})`),
  };
}
