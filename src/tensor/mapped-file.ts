import { deviceOf, type Device } from './device.js';
import { asHintError, guarded, native, type DType, type NativeFile } from './native.js';
import { shapeOf } from './shape.js';
import { Tensor, tensorOf } from './tensor.js';

/**
 * A file's bytes as memory, for tensors that are used where they lie: read when they are touched, given back by the
 * system when it needs the room, copied when they are first written. Where the file is made
 * shorter while a tensor of it is in use, what is computed from it fails with INVALID_FILE; it must not be written to in
 * place; replacing it by renaming is harmless.
 */
export class MappedFile {
  private constructor(private readonly handle: NativeFile) {}

  /** @returns undefined where the file behind the descriptor, which may be closed after, cannot be mapped */
  static open(descriptor: number): MappedFile | undefined {
    const handle = guarded(() => native().mapFile(descriptor));
    return handle ? new MappedFile(handle) : undefined;
  }

  /**
   * A tensor of the bytes from `position` on. No scope adopts it: its maker disposes it.
   *
   * @throws HintError INVALID_ARGUMENT when `device` is none, INVALID_FILE beyond the end of the file, INVALID_SHAPE at no multiple of the element's size, NOT_SUPPORTED
   *   on devices that do not compute in host memory
   */
  tensor(device: Device, dtype: DType, shape: readonly number[], position: number): Tensor {
    const owner = deviceOf(device).handle;
    const sides = shapeOf(shape);
    const handle = guarded(() => native().mapTensor(owner, this.handle, dtype, sides, position));
    return new Tensor(device, handle, sides, dtype);
  }
}

/** Enqueues letting go of a mapped tensor's pages, which are read again when they are touched; others are not touched. */
export function releasePages(tensor: Tensor): void {
  const { device, handle } = tensorOf(tensor, 'tensor');
  guarded(() => native().releasePages(device.handle, handle));
}

/** Index of an f32 or bf16 tensor's first value that is no finite number; -1 where all are. */
export async function firstNonFinite(tensor: Tensor): Promise<number> {
  try {
    const { device, handle } = tensorOf(tensor, 'tensor');
    return await native().firstNonFinite(device.handle, handle);
  } catch (error) {
    throw asHintError(error);
  }
}
