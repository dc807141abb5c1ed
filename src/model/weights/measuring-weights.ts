import * as ops from '../../tensor/ops.js';
import type { Device } from '../../tensor/device.js';
import type { Tensor } from '../../tensor/tensor.js';
import { relativeDifference } from '../../util/relative-difference.js';
import type { ParameterStore } from '../parameters/parameter-store.js';
import { matrixDType } from './packed-weights.js';
import type { Epilogue, Weights } from './weights.js';

/** What int8 does to one product, all else being exact. */
export interface LayerError {
  /** The map, such as encoder.block.0.layer.0.SelfAttention.q. */
  readonly layer: string;
  /** max |a − b| / max |b| of its results, of int8 against f32. */
  readonly difference: number;
  /** The largest |element| of a row over the root mean square of the row: the largest of all rows. */
  readonly outlier: number;
  /** How many rows of the matrix were brought to the median's size (native/math/quantize.h). */
  readonly rescaled: number;
}

interface Product {
  readonly layer: string;
  readonly x: Tensor;
  readonly exact: Tensor;
  readonly quantized: Tensor;
  readonly rowFactor: Tensor | undefined;
}

/**
 * The weights of a model in f32, which beside each product that an engine of int8 quantises compute that of int8, too. Rows go on
 * with the exact one, so that each product's own error is seen.
 */
export class MeasuringWeights implements Weights {
  private readonly products: Product[] = [];

  constructor(
    private readonly device: Device,
    private readonly exact: Weights,
    private readonly parameters: ParameterStore,
  ) {}

  get computeDtype(): ops.FloatDType {
    return this.exact.computeDtype;
  }

  get streamDtype(): ops.FloatDType {
    return this.exact.streamDtype;
  }

  norm(layer: string): Tensor {
    return this.exact.norm(layer);
  }

  bias(layer: string): Tensor {
    return this.exact.bias(layer);
  }

  table(name: string): Tensor {
    return this.exact.table(name);
  }

  gather(ids: Tensor, name: string, dtype?: ops.FloatDType): Tensor {
    return this.exact.gather(ids, name, dtype);
  }

  multiply(x: Tensor, layer: string, epilogue?: Epilogue): Tensor {
    if (matrixDType(`${layer}.weight`, 'int8') === 'int8') this.measure(x, layer);
    return this.exact.multiply(x, layer, epilogue);
  }

  private measure(x: Tensor, layer: string): void {
    const { device } = this;
    device.tidy(() => {
      const matrix = ops.packWeight(this.parameters.stored(`${layer}.weight`), 'int8');
      const kept = [ops.scale(x, 1), this.exact.multiply(x, layer), ops.packedLinear(x, matrix)] as const;
      for (const tensor of [...kept, ...(matrix.rowFactor ? [matrix.rowFactor] : [])]) device.keep(tensor);
      const [copy, exact, quantized] = kept;
      this.products.push({ layer, x: copy, exact, quantized, rowFactor: matrix.rowFactor });
    });
  }

  /** What was measured since the last call, in the order of the products; their memory is given back. */
  async take(): Promise<LayerError[]> {
    const errors: LayerError[] = [];
    for (const { layer, x, exact, quantized, rowFactor } of this.products.splice(0)) {
      const [rows, expected, actual, factors] = await Promise.all([
        x.read(),
        exact.read(),
        quantized.read(),
        rowFactor?.read(),
      ]);
      for (const tensor of [x, exact, quantized, rowFactor]) tensor?.dispose();
      errors.push({
        layer,
        difference: relativeDifference(actual, expected),
        outlier: largestOutlier(rows, x.shape[1] as number),
        rescaled: factors?.filter((factor) => factor !== 1).length ?? 0,
      });
    }
    return errors;
  }
}

function largestOutlier(values: Float32Array, width: number): number {
  let most = 0;
  for (let begin = 0; begin < values.length; begin += width) {
    const row = values.subarray(begin, begin + width);
    const meanSquare = row.reduce((sum, value) => sum + value * value, 0) / width;
    const largest = row.reduce((known, value) => Math.max(known, Math.abs(value)), 0);
    if (meanSquare > 0) most = Math.max(most, largest / Math.sqrt(meanSquare));
  }
  return most;
}
