import type { DecoderOnlyConfig } from './config.js';

type Tokens = Int32Array | readonly number[];

/**
 * The tokens that a decoder-only model is fed before its answer. The data layer ends every feature with the
 * end-of-sequence id; here the text goes on, so it is left out. OPT's sequences begin with their first token (`</s>`).
 *
 * @param instruction empty where the input holds everything
 * @returns `instruction` can be run once for all inputs of its task; `input` has at least one token, the one from
 *   which the first token of the answer is predicted
 */
export function promptTokens(
  config: DecoderOnlyConfig,
  instruction: Tokens,
  input: Tokens,
): { instruction: Int32Array; input: Int32Array } {
  const own = withoutEos(config, input);
  const alone = instruction.length === 0;
  // Something must be fed for the first token of the answer to be predicted from.
  const needsStart = own.length === 0 || (alone && config.prependBos);
  return {
    instruction: alone ? new Int32Array(0) : instructionTokens(config, instruction),
    input: needsStart ? Int32Array.of(config.bosTokenId, ...own) : own,
  };
}

/** The tokens of an instruction as they are fed. */
export function instructionTokens(config: DecoderOnlyConfig, instruction: Tokens): Int32Array {
  const own = withoutEos(config, instruction);
  return config.prependBos || own.length === 0 ? Int32Array.of(config.bosTokenId, ...own) : own;
}

function withoutEos({ eosTokenId }: DecoderOnlyConfig, tokens: Tokens): Int32Array {
  const all = Int32Array.from(tokens);
  return all.at(-1) === eosTokenId ? all.subarray(0, -1) : all;
}
