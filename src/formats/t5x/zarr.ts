import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import { z } from 'zod';
import { check } from '../../util/check.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { openRegularFile } from '../../util/open-input.js';
import { createYielder } from '../../util/event-loop-lag.js';
import { checkBytes } from '../../util/limits.js';
import { readJson } from '../../util/read-file.js';
import { showValue } from '../../util/show-value.js';
import { orientation } from '../msgpack/arrays.js';
import { readError } from '../../util/read-error.js';
import { allocate } from '../weights/byte-file.js';
import { DTYPE_BYTES, elementCount, type SafetensorsDType } from '../weights/dtypes.js';
import { copyStrided, rowMajor } from '../weights/strided.js';
import { invalidWeights, type TensorReader } from '../weights/weight-file.js';

const ZARR_ARRAY = 'zarr array';

const DTYPES: Readonly<Record<string, SafetensorsDType>> = {
  '<f4': 'F32',
  '<f2': 'F16',
  bfloat16: 'BF16',
  '<f8': 'F64',
  '<i8': 'I64',
  '<i4': 'I32',
  '<i2': 'I16',
  '|i1': 'I8',
  '<u8': 'U64',
  '<u4': 'U32',
  '<u2': 'U16',
  '|u1': 'U8',
  '|b1': 'BOOL',
};

const MAX_RANK = 32;
// A chunk is a file; no array is cut into as many.
const MOST_CHUNKS = 1_000_000;

const sizes = (least: number) => z.array(z.int().min(least)).max(MAX_RANK);

const arraySchema = z.object({
  zarr_format: z.literal(2),
  shape: sizes(0),
  chunks: sizes(1),
  dtype: z.string(),
  compressor: z.object({ id: z.string() }).nullable(),
  filters: z.array(z.unknown()).nullish(),
  fill_value: z.unknown(),
  order: z.enum(['C', 'F']).default('C'),
  dimension_separator: z.enum(['.', '/']).default('.'),
});

type Unpack = (bytes: Uint8Array, options: { maxOutputLength: number }) => Promise<Buffer>;

const UNPACK: Readonly<Record<string, Unpack>> = { gzip: promisify(gunzip), zlib: promisify(inflate) };

interface ZarrArray {
  readonly directory: string;
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly chunks: readonly number[];
  readonly unpack: Unpack | undefined;
  /** Whether a chunk that is not there is zeros. */
  readonly hasFill: boolean;
  readonly order: 'C' | 'F';
  readonly separator: string;
}

async function readArray(directory: string): Promise<ZarrArray> {
  const path = join(directory, '.zarray');
  const json = await readJson(path, 'the description of an array of the checkpoint').catch(
    (cause: unknown) => {
      if (!(cause instanceof HintError && cause.code === 'NOT_FOUND')) throw cause;
      throw new HintError(
        'NOT_FOUND',
        `${path} does not exist, but the checkpoint says that the array is there; download the whole folder again.`,
        { cause },
      );
    },
  );
  const { data, faults } = check(arraySchema, json);
  if (faults)
    throw invalidWeights(
      path,
      ZARR_ARRAY,
      `its ${faults[0]?.path.join('.') || 'description'} is not what zarr 2 has there`,
    );
  const dtype = Object.hasOwn(DTYPES, data.dtype) ? DTYPES[data.dtype] : undefined;
  const refuse = (what: string): HintError => new HintError('NOT_SUPPORTED', `${path} ${what}.`);
  if (dtype === undefined)
    throw refuse(
      `has the dtype ${showValue(data.dtype)}; ${Object.keys(DTYPES).join(', ')} are read (big-endian numbers are not)`,
    );
  const unpack = data.compressor === null ? undefined : Object.hasOwn(UNPACK, data.compressor.id) ? UNPACK[data.compressor.id] : null; // prettier-ignore
  if (unpack === null)
    throw refuse(
      `has the compressor ${showValue(data.compressor?.id)}; gzip and zlib are read, as T5X writes`,
    );
  if (data.filters?.length) throw refuse('has filters; arrays without are read, as T5X writes them');
  const fill = data.fill_value ?? null;
  if (fill !== null && fill !== 0) throw refuse(`has the fill_value ${showValue(fill)}; 0 and null are read`);
  const { shape, chunks } = data;
  const count = elementCount(shape);
  const chunkCount = elementCount(chunks);
  if (count === undefined || chunkCount === undefined || chunks.length !== shape.length)
    throw invalidWeights(
      path,
      ZARR_ARRAY,
      `it has the shape ${showValue(shape)} in chunks of ${showValue(chunks)}`,
    );
  const width = DTYPE_BYTES[dtype];
  // The last chunk of an axis is written whole; a chunk larger than the array on all axes is nobody's.
  if (chunkCount > 2 ** chunks.length * Math.max(1, count))
    checkBytes(path, 'its chunks unpack to', chunkCount * width);
  const total = shape.reduce((product, size, i) => product * Math.ceil(size / (chunks[i] as number)), 1);
  if (total > MOST_CHUNKS)
    throw new HintError(
      'LIMIT_EXCEEDED',
      `${path} cuts the array into ${total} chunks, the limit is ${MOST_CHUNKS}; write it with larger chunks.`,
    );
  return {
    directory,
    dtype,
    shape,
    chunks,
    unpack,
    hasFill: fill === 0,
    order: data.order,
    separator: data.dimension_separator,
  };
}

/** The values of one chunk; undefined where it is not there and stands for zeros. */
async function readChunk(
  array: ZarrArray,
  key: string,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | undefined> {
  const path = join(array.directory, key);
  const expected = (elementCount(array.chunks) as number) * DTYPE_BYTES[array.dtype];
  throwIfAborted(signal);
  let packed: Buffer;
  try {
    // What is longer than its content can be is not read.
    const { size } = await stat(path);
    if (size > 1024 + 1.01 * expected)
      throw invalidWeights(path, 'chunk of a zarr array', `it has ${size} bytes for ${expected} of values`);
    await using handle = await openRegularFile(path);
    packed = await handle.readFile(signal ? { signal } : {});
  } catch (cause) {
    throwIfAborted(signal);
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw readError(path, cause);
    if (array.hasFill) return undefined;
    throw new HintError(
      'NOT_FOUND',
      `${path} does not exist, a chunk of an array of the checkpoint; download the whole folder again.`,
      { cause },
    );
  }
  const bytes = array.unpack
    ? await array.unpack(packed, { maxOutputLength: Math.max(1, expected) }).catch((cause: unknown) => {
        const isTooLong = (cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
        const fault = isTooLong
          ? `it unpacks to more than the ${expected} bytes that it should have`
          : `it cannot be unpacked (${(cause as Error).message}); download it again`;
        throw invalidWeights(path, 'chunk of a zarr array', fault, cause);
      })
    : packed;
  if (bytes.length !== expected)
    throw invalidWeights(
      path,
      'chunk of a zarr array',
      `it holds ${bytes.length} bytes, not ${expected}; download it again`,
    );
  // At a place that a view of any element can have.
  return bytes.byteOffset % 8 === 0 ? bytes : Uint8Array.prototype.slice.call(bytes);
}

/** The places of chunks: [0, 0], [0, 1], … */
function* grid(array: ZarrArray): Generator<number[]> {
  const counts = array.shape.map((size, i) => Math.ceil(size / (array.chunks[i] as number)));
  const place = counts.map(() => 0);
  if (counts.includes(0)) return;
  for (;;) {
    yield [...place];
    let axis = counts.length - 1;
    while (axis >= 0 && (place[axis] as number) + 1 === counts[axis]) place[axis--] = 0;
    if (axis < 0) return;
    place[axis] = (place[axis] as number) + 1;
  }
}

/**
 * How an array of a T5X checkpoint is read, under its Hugging Face name: chunk by chunk, each put where it belongs.
 *
 * @param directory has `.zarray` and a file per chunk
 * @throws HintError NOT_FOUND, IO, INVALID_JSON, INVALID_CHECKPOINT, NOT_SUPPORTED, LIMIT_EXCEEDED
 */
export async function zarrReader(
  directory: string,
  name: string,
  isTransposed: boolean,
): Promise<TensorReader> {
  const array = await readArray(directory);
  const { dtype } = array;
  const elementBytes = DTYPE_BYTES[dtype];
  const { shape } = orientation(directory, name, array.shape, isTransposed);
  const byteLength = (elementCount(shape) as number) * elementBytes;
  const targetStrides = isTransposed ? rowMajor(shape).toReversed() : rowMajor(shape);
  const chunkStrides =
    array.order === 'C' ? rowMajor(array.chunks) : rowMajor(array.chunks.toReversed()).toReversed();
  return {
    name,
    dtype,
    shape,
    byteLength,
    async read(signal) {
      const target = allocate(byteLength, directory);
      if (array.hasFill) target.fill(0);
      const breathe = createYielder();
      for (const place of grid(array)) {
        const chunk = await readChunk(array, place.length === 0 ? '0' : place.join(array.separator), signal);
        if (chunk === undefined) continue;
        const begins = place.map((index, i) => index * (array.chunks[i] as number));
        const extent = begins.map((begin, i) =>
          Math.min(array.chunks[i] as number, (array.shape[i] as number) - begin),
        );
        const offset = begins.reduce((sum, begin, i) => sum + begin * (targetStrides[i] as number), 0);
        copyStrided(chunk, { elementBytes, shape: extent, strides: chunkStrides, offset: 0 }, target, {
          strides: targetStrides,
          offset,
        });
        await breathe();
      }
      return target;
    },
  };
}
