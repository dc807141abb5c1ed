import { z } from 'zod';

const id = z.int().min(0);
// Each is compared with every token that is generated.
const MOST = 64;
const NULL =
  'null names no token that ends a sequence, and neither does generation_config.json or special_tokens_map.json; give its id, such as 1 in the vocabularies of T5';

/** The field eos_token_id: an id, or several of which each ends a sequence. */
export const eosTokenIds = z.union([id, z.array(id).min(1).max(MOST)], {
  error: ({ input }) => (input === null ? NULL : `must be a token id, or a list of 1 to ${MOST} token ids`),
});

/** Tokens that end a sequence. */
export interface EndTokens {
  readonly eosTokenId: number;
  readonly moreEosTokenIds?: readonly number[];
}

/** The first of several is the one that inputs and targets end with. */
export function endsFromFile(ids: number | readonly number[]): EndTokens {
  const [eosTokenId, ...more] = new Set([ids].flat());
  return { eosTokenId: eosTokenId as number, ...(more.length > 0 && { moreEosTokenIds: more }) };
}

export function endsToFile({ eosTokenId, moreEosTokenIds }: EndTokens): number | readonly number[] {
  return moreEosTokenIds ? [eosTokenId, ...moreEosTokenIds] : eosTokenId;
}
