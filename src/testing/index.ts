/**
 * hint-engine/testing: what tests of an application, a family or an op need.
 *
 * @example
 * ```ts
 * import { openTinyEngine } from 'hint-engine/testing';
 *
 * await using engine = await openTinyEngine();
 * const answer = await engine.submit({ task: { definition: 'Name the colour.' }, input: 'A red hat.', maxTokens: 4 });
 * ```
 *
 * @packageDocumentation
 */
export { openTinyEngine, writeTinyModel, type TinyModelOptions } from './tiny-model.js';
export { checkGradients, type GradientCheck, type GradientCheckOptions } from './gradients.js';
export { assertClose, relativeDifference } from './difference.js';
