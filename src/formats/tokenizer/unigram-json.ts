/** The special pieces of T5, whose ids are their places: padding 0, end of sequence 1, unknown 2. */
export const T5_SPECIAL_PIECES = ['<pad>', '</s>', '<unk>'] as const;

/**
 * The tokenizer.json of a T5 tokenizer: Unigram over words that begin with ▁, with `</s>` appended.
 *
 * @param pieces with their scores, {@link T5_SPECIAL_PIECES} first
 */
export function unigramTokenizer(pieces: Iterable<readonly [string, number]>): Record<string, unknown> {
  const metaspace = { type: 'Metaspace', replacement: '▁', add_prefix_space: true, prepend_scheme: 'always' };
  const eos = { SpecialToken: { id: '</s>', type_id: 0 } };
  const sequence = (id: string): object => ({ Sequence: { id, type_id: 0 } });
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: T5_SPECIAL_PIECES.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: { type: 'NFKC' },
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'WhitespaceSplit' }, metaspace] },
    post_processor: {
      type: 'TemplateProcessing',
      single: [sequence('A'), eos],
      pair: [sequence('A'), eos, sequence('B'), eos],
      special_tokens: { '</s>': { id: '</s>', ids: [1], tokens: ['</s>'] } },
    },
    decoder: metaspace,
    model: { type: 'Unigram', unk_id: 2, byte_fallback: false, vocab: [...pieces] },
  };
}
