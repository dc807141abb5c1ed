import { open, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { checked, path as pathKind } from '../../util/arguments.js';
import { check } from '../../util/check.js';
import { readJson } from '../../util/read-file.js';
import {
  invalidSafetensors,
  MAX_HEADER_BYTES,
  parseHeader,
  type SafetensorsHeader,
  type TensorInfo,
} from './header.js';
import { recordOf } from '../../util/record-schema.js';

export type { SafetensorsDType, TensorInfo } from './header.js';
export { toBfloat16, toBfloat16InPieces, toFloat32, toFloat32InPieces } from './floats.js';
export { writeSafetensors, type TensorToWrite } from './writer.js';

// One read call holds a thread of libuv's pool until it is done; this is also how often an abort is noticed.
const READ_CHUNK_BYTES = 16 * 1024 * 1024;

// Small enough for a piece to be still in the cache when it is copied on.
const PIECE_BYTES = 2 * 1024 * 1024;

const LENGTH_BYTES = 8;

/** An open safetensors file, or the files of a sharded checkpoint as if they were one. Close it when done. */
export interface SafetensorsFile extends AsyncDisposable {
  readonly path: string;
  /** Every tensor by name, without its values. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The free-form strings of the header (of all shards). */
  readonly metadata: ReadonlyMap<string, string>;
  /**
   * One tensor's bytes, little-endian and row-major, in a buffer of their own (byteOffset 0, so that any typed array
   * can view it). Only that range of the file is read.
   *
   * @throws HintError NOT_FOUND for an unknown name, IO or INVALID_CHECKPOINT if the file cannot be read or shrank, ABORTED
   */
  read(name: string, signal?: AbortSignal): Promise<Uint8Array>;
  /**
   * The same bytes in pieces of up to 2 MiB, in order, the next being read while one is used. A piece's memory is that of
   * the piece after the next.
   */
  pieces(name: string, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, undefined>;
  /**
   * Where the file that is open on `descriptor` holds a tensor's bytes.
   *
   * @throws HintError NOT_FOUND for an unknown name
   */
  locate(name: string): { descriptor: number; position: number };
  close(): Promise<void>;
}

function readError(path: string, cause: unknown): unknown {
  const code = (cause as NodeJS.ErrnoException).code;
  if (cause instanceof HintError || code === undefined) return cause;
  if (code === 'ENOENT')
    return new HintError('NOT_FOUND', `${path} does not exist; check the path.`, { cause });
  return new HintError('IO', `${path} cannot be read (${code}); check its permissions and the disk.`, {
    cause,
  });
}

async function readRange(
  file: FileHandle,
  path: string,
  position: number,
  length: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const bytes = allocate(length, path);
  await readInto(bytes, file, path, position, signal);
  return bytes;
}

function allocate(length: number, path: string): Buffer {
  try {
    // Not zero-filled: every byte is overwritten, or the read fails.
    return Buffer.allocUnsafeSlow(length);
  } catch (cause) {
    throw new HintError(
      'OUT_OF_MEMORY',
      `${path} holds a tensor of ${length} bytes, for which there is no memory; use a smaller model, or a larger machine.`,
      { cause },
    );
  }
}

async function readInto(
  bytes: Uint8Array,
  file: FileHandle,
  path: string,
  position: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { length } = bytes;
  for (let start = 0; start < length;) {
    throwIfAborted(signal);
    const size = Math.min(READ_CHUNK_BYTES, length - start);
    const { bytesRead } = await file.read(bytes, start, size, position + start).catch((cause: unknown) => {
      throw readError(path, cause);
    });
    if (bytesRead === 0) {
      throw invalidSafetensors(
        path,
        `it ends at byte ${position + start}, ${length - start} bytes too early`,
      );
    }
    start += bytesRead;
  }
}

async function* piecesOf(
  file: FileHandle,
  path: string,
  { begin, end }: { begin: number; end: number },
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const size = Math.min(PIECE_BYTES, end - begin);
  const buffers = [Buffer.allocUnsafeSlow(size), Buffer.allocUnsafeSlow(size)];
  const readAt = (position: number, buffer: number): { bytes: Uint8Array; done: Promise<void> } => {
    const bytes = (buffers[buffer] as Buffer).subarray(0, Math.min(size, end - position));
    const done = readInto(bytes, file, path, position, signal);
    // Who stops early waits for it below, but not for what it says.
    done.catch(() => undefined);
    return { bytes, done };
  };
  let next = begin < end ? readAt(begin, 0) : undefined;
  try {
    for (let position = begin, buffer = 1; next; buffer = 1 - buffer) {
      const { bytes, done }: { bytes: Uint8Array; done: Promise<void> } = next;
      await done;
      position += bytes.length;
      next = position < end ? readAt(position, buffer) : undefined;
      yield bytes;
    }
  } finally {
    await next?.done.catch(() => undefined);
  }
}

async function readHeader(
  file: FileHandle,
  path: string,
): Promise<{ header: SafetensorsHeader; dataStart: number }> {
  const { size } = await file.stat();
  if (size < LENGTH_BYTES)
    throw invalidSafetensors(path, `it has ${size} bytes, the smallest has ${LENGTH_BYTES}`);
  const prefix = await readRange(file, path, 0, LENGTH_BYTES);
  const declared = new DataView(prefix.buffer).getBigUint64(0, true);
  if (declared > BigInt(MAX_HEADER_BYTES)) {
    throw invalidSafetensors(
      path,
      `it declares a header of ${declared} bytes, the limit is ${MAX_HEADER_BYTES}`,
    );
  }
  const headerBytes = Number(declared);
  const dataStart = LENGTH_BYTES + headerBytes;
  if (dataStart > size) {
    throw invalidSafetensors(
      path,
      `it declares a header of ${headerBytes} bytes but has only ${size - LENGTH_BYTES} more; the file is truncated`,
    );
  }
  const bytes = await readRange(file, path, LENGTH_BYTES, headerBytes);
  return { header: parseHeader(path, bytes, size - dataStart), dataStart };
}

async function openFile(path: string): Promise<SafetensorsFile> {
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw readError(path, cause);
  });
  try {
    const { header, dataStart } = await readHeader(file, path);
    const locations = new Map(header.tensors.map((tensor) => [tensor.name, tensor]));
    const close = (): Promise<void> => file.close();
    return {
      path,
      tensors: locations,
      metadata: header.metadata,
      async read(name, signal) {
        const tensor = locations.get(name);
        if (tensor === undefined) throw unknownTensor(path, name);
        return readRange(file, path, dataStart + tensor.begin, tensor.byteLength, signal);
      },
      pieces(name, signal) {
        const tensor = locations.get(name);
        if (tensor === undefined) throw unknownTensor(path, name);
        const begin = dataStart + tensor.begin;
        return piecesOf(file, path, { begin, end: begin + tensor.byteLength }, signal);
      },
      locate(name) {
        const tensor = locations.get(name);
        if (tensor === undefined) throw unknownTensor(path, name);
        return { descriptor: file.fd, position: dataStart + tensor.begin };
      },
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await file.close();
    throw readError(path, error);
  }
}

function unknownTensor(path: string, name: string): HintError {
  return new HintError('NOT_FOUND', `${path} has no tensor ${JSON.stringify(name)}; list its tensors first.`);
}

const shardIndex = z.object({ weight_map: recordOf(z.string()) });

/** The tensor → shard map of an index file; a shard is a plain file name, so that no index reaches outside its folder. */
async function readWeightMap(path: string): Promise<Map<string, string>> {
  const { data: index, faults } = check(shardIndex, await readJson(path, 'the shard index'));
  if (faults) {
    throw new HintError(
      'INVALID_CHECKPOINT',
      `${path} has no "weight_map" of tensor names to file names; export the checkpoint again.`,
    );
  }
  const entries = Object.entries(index.weight_map);
  const outside = entries.find(([, shard]) => !/^[^/\\\0]+\.safetensors$/.test(shard));
  if (outside !== undefined) {
    throw new HintError(
      'INVALID_CHECKPOINT',
      `${path} puts tensor ${JSON.stringify(outside[0])} in ${JSON.stringify(outside[1])}; a shard must be a .safetensors file in the same directory.`,
    );
  }
  return new Map(entries);
}

async function openSharded(path: string): Promise<SafetensorsFile> {
  const weightMap = await readWeightMap(path);
  const shards = new Map<string, SafetensorsFile>();
  const close = async (): Promise<void> => {
    await Promise.all([...shards.values()].map((shard) => shard.close()));
  };
  try {
    const tensors = new Map<string, TensorInfo>();
    const metadata = new Map<string, string>();
    const shardOf = new Map<string, SafetensorsFile>();
    for (const [name, shardName] of weightMap) {
      const shard = shards.get(shardName) ?? (await openFile(join(dirname(path), shardName)));
      if (!shards.has(shardName)) {
        shards.set(shardName, shard);
        for (const [key, value] of shard.metadata) metadata.set(key, value);
      }
      const tensor = shard.tensors.get(name);
      if (tensor === undefined) {
        throw new HintError(
          'INVALID_CHECKPOINT',
          `${path} puts tensor ${JSON.stringify(name)} in ${shardName}, which does not hold it; download the shard again.`,
        );
      }
      tensors.set(name, tensor);
      shardOf.set(name, shard);
    }
    return {
      path,
      tensors,
      metadata,
      async read(name, signal) {
        const shard = shardOf.get(name);
        if (shard === undefined) throw unknownTensor(path, name);
        return shard.read(name, signal);
      },
      pieces(name, signal) {
        const shard = shardOf.get(name);
        if (shard === undefined) throw unknownTensor(path, name);
        return shard.pieces(name, signal);
      },
      locate(name) {
        const shard = shardOf.get(name);
        if (shard === undefined) throw unknownTensor(path, name);
        return shard.locate(name);
      },
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}

/**
 * Opens a safetensors file, a sharded checkpoint's `*.index.json`, or a directory holding `model.safetensors` or
 * `model.safetensors.index.json` (the Hugging Face layout). Headers are read and checked completely; values are read
 * on demand, so a checkpoint may be larger than memory.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_JSON or INVALID_CHECKPOINT saying what is wrong with which file
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  checked(pathKind, path, 'path');
  const status = await stat(path).catch((cause: unknown) => {
    throw readError(path, cause);
  });
  if (!status.isDirectory()) {
    return basename(path).endsWith('.index.json') ? openSharded(path) : openFile(path);
  }
  const single = join(path, 'model.safetensors');
  if (await isFile(single)) return openFile(single);
  const index = join(path, 'model.safetensors.index.json');
  if (await isFile(index)) return openSharded(index);
  throw new HintError(
    'NOT_FOUND',
    `${path} holds neither model.safetensors nor model.safetensors.index.json; convert the checkpoint to safetensors.`,
  );
}
