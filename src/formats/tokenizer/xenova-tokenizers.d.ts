declare module '@xenova/transformers/src/tokenizers.js' {
  /** The part of @xenova/transformers' tokenizer that this engine uses. */
  export class PreTrainedTokenizer {
    constructor(tokenizerJson: object, tokenizerConfig: object);
    readonly all_special_ids: number[];
    readonly added_tokens: { readonly content: string; readonly id: number }[];
    readonly model: { readonly vocab: string[]; readonly scores?: number[]; readonly unk_token_id?: number };
    encode(text: string, pair: null, options: { add_special_tokens: boolean }): number[];
    decode(
      ids: number[],
      options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean },
    ): string;
  }
}
