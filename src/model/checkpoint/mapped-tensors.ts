import type { Device } from '../../tensor/device.js';
import { MappedFile } from '../../tensor/mapped-file.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { WeightFile } from '../../formats/weights/weight-file.js';

const DTYPES = { F32: { dtype: 'f32', bytes: 4 }, BF16: { dtype: 'bf16', bytes: 2 } } as const;

/** The tensors of an open checkpoint, used where they lie in its files. */
export class MappedTensors {
  private readonly files = new Map<number, MappedFile | undefined>();

  constructor(
    private readonly device: Device,
    private readonly file: WeightFile,
  ) {}

  /**
   * A tensor as the file holds it, f32 or bf16; its maker disposes it. Undefined where it has to be read and converted:
   * another dtype, a file system without mapping, bytes that do not lie as their dtype must, or not row by row.
   */
  tensor(name: string): Tensor | undefined {
    const info = this.file.tensors.get(name);
    if (info?.dtype !== 'F32' && info?.dtype !== 'BF16') return undefined;
    const { dtype, bytes } = DTYPES[info.dtype];
    const place = this.file.locate(name);
    if (place === undefined || place.position % bytes !== 0) return undefined;
    const { descriptor, position } = place;
    if (!this.files.has(descriptor)) this.files.set(descriptor, MappedFile.open(descriptor));
    return this.files.get(descriptor)?.tensor(this.device, dtype, info.shape, position);
  }
}
