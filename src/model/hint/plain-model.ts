import { buildModel } from './build-model.js';
import type { EncoderDecoderModel } from './encoder-decoder-model.js';

/** The T5 inside a HINT model as a model of its own; it shares the parameters. */
export function plainModel(hintModel: EncoderDecoderModel): EncoderDecoderModel {
  const config = { ...hintModel.config };
  delete config.hint;
  return buildModel(hintModel.device, config, hintModel.parameters);
}
