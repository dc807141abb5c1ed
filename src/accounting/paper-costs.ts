/**
 * The cost formulas of the HINT paper (method §9.3), which count parameters per token. They reproduce the paper's
 * relative numbers; flops.ts counts what a model really computes.
 */

/** Median token counts of a dataset, and how often a task is run. */
export interface PaperLengths {
  /** t: tokens of the instruction with its few-shot examples. */
  readonly instruction: number;
  /** i: tokens of one input without the instruction. */
  readonly input: number;
  /** o: tokens of one output. */
  readonly output: number;
  /** n: inputs per task. */
  readonly examples: number;
}

/** N n (t + i + o): an encoder-decoder that reads the instruction with every input, N parameters. */
export function paperFlopsWithInstruction(parameters: number, lengths: PaperLengths): number {
  return parameters * lengths.examples * (lengths.instruction + lengths.input + lengths.output);
}

/** t (N + N') + n (N + A) (i + o): N parameters of the model, N' of the hypernetwork, A generated ones. */
export function paperFlopsHint(
  parameters: { readonly model: number; readonly hypernetwork: number; readonly generated: number },
  lengths: PaperLengths,
): number {
  return (
    lengths.instruction * (parameters.model + parameters.hypernetwork) +
    lengths.examples * (parameters.model + parameters.generated) * (lengths.input + lengths.output)
  );
}

/** The sizes of a model that determine the paper's generated modules: adapters of 512 and prefixes of 30. */
export interface PaperShape {
  /** d: model width. */
  readonly width: number;
  /** h k: width of all attention heads together. */
  readonly attentionWidth: number;
  readonly encoderLayers: number;
  readonly decoderLayers: number;
}

/** A = l (1024 d + 60 h k): generated parameters that every token passes through, l layers in both stacks together. */
export function paperGeneratedParameters(shape: PaperShape): number {
  return layersOf(shape) * (1024 * shape.width + 60 * shape.attentionWidth);
}

/** l 60 h k: the prefixes alone, as HyperTune generates them. */
export function paperGeneratedPrefixes(shape: PaperShape): number {
  return layersOf(shape) * 60 * shape.attentionWidth;
}

/**
 * G = κ M d², once per task: M = 1024 (Le + Ld) + 60 (Le + 2 Ld) vectors, each through κ matrices of d × d (one of the
 * component attention and two of the generator when κ is 3).
 */
export function paperGenerationFlops(shape: PaperShape, kappa = 3): number {
  const { encoderLayers, decoderLayers, width } = shape;
  const vectors = 1024 * (encoderLayers + decoderLayers) + 60 * (encoderLayers + 2 * decoderLayers);
  return kappa * vectors * width * width;
}

function layersOf({ encoderLayers, decoderLayers }: PaperShape): number {
  return encoderLayers + decoderLayers;
}

/** 2 N per token, the instruction's keys and values being computed once: a decoder-only model. */
export function paperFlopsDecoderOnly(parameters: number, lengths: PaperLengths): number {
  return 2 * parameters * (lengths.instruction + lengths.examples * (lengths.input + lengths.output));
}

/** d s + 1024 l d + 60 l h k: values kept for a compiled task of s instruction tokens, l layers, h heads of width k. */
export function paperMemoryHint(model: {
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly headWidth: number;
  readonly instruction: number;
}): number {
  const { width, layers, heads, headWidth, instruction } = model;
  return width * instruction + 1024 * layers * width + 60 * layers * heads * headWidth;
}

/** 2 l h k s: values of a decoder-only model's key/value cache over s instruction tokens. */
export function paperMemoryDecoderOnly(model: {
  readonly layers: number;
  readonly heads: number;
  readonly headWidth: number;
  readonly instruction: number;
}): number {
  return 2 * model.layers * model.heads * model.headWidth * model.instruction;
}
