import type { DecoderOnlyConfig } from '../model/decoder-only/config.js';

/** Multiply-adds of the layers over `tokens` tokens after `before` others, whose keys and values are cached. */
function layers(config: DecoderOnlyConfig, tokens: number, before: number): number {
  const { dModel: d, dFf, numLayers, embeddingSize } = config;
  const keys = tokens * before + (tokens * (tokens + 1)) / 2;
  const projection = embeddingSize === d ? 0 : tokens * d * embeddingSize;
  return numLayers * (tokens * (4 * d * d + 2 * d * dFf) + 2 * keys * d) + projection;
}

/**
 * Multiply-adds of compiling a task of a decoder-only model: its instruction through every layer, once.
 *
 * @param instruction tokens as fed, OPT's first token included
 */
export function decoderOnlyTaskMultiplyAdds(config: DecoderOnlyConfig, instruction: number): number {
  return layers(config, instruction, 0);
}

/**
 * Multiply-adds of one example after its instruction: the rest of the prompt, and one step per generated token.
 *
 * @param lengths tokens as fed: `input` has at least one
 */
export function decoderOnlyExampleMultiplyAdds(
  config: DecoderOnlyConfig,
  lengths: { readonly instruction: number; readonly input: number; readonly output: number },
): number {
  const { instruction, input, output } = lengths;
  const { dModel, embeddingSize, vocabSize } = config;
  const head = vocabSize * embeddingSize + (embeddingSize === dModel ? 0 : dModel * embeddingSize);
  return layers(config, input - 1 + output, instruction) + output * head;
}
