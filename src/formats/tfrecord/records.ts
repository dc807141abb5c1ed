import { HintError, throwIfAborted } from '../../util/errors.js';
import { openInput } from '../../util/open-input.js';
import { checkBytes } from '../../util/limits.js';
import { readError } from '../../util/read-error.js';
import { maskedCrc32c } from './crc32c.js';

/** One record of a file. */
export interface TfRecord {
  readonly bytes: Uint8Array;
  /** File and number from 1, for errors. */
  readonly where: string;
}

const READ_BYTES = 1 << 18;
const CHECKSUM_BYTES = 4;
// A length and its checksum.
const HEAD_BYTES = 8 + CHECKSUM_BYTES;

/**
 * The records of a TFRecord file, as a stream: memory does not grow with the file. Both checksums of a record are compared
 * before what they are of is used.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_FILE for a wrong checksum or a record that is cut off, LIMIT_EXCEEDED for a record
 *   larger than one may be, ABORTED
 */
export async function* readTfRecords(
  file: string,
  signal?: AbortSignal,
): AsyncGenerator<TfRecord, void, undefined> {
  throwIfAborted(signal);
  const source = openInput(file, { chunkBytes: READ_BYTES, signal });
  const unread = new Unread();
  let number = 1;
  let length: number | undefined;
  const where = (): string => `${file}, record ${number}`;
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      throwIfAborted(signal);
      unread.push(chunk);
      for (;;) {
        if (length === undefined) {
          if (unread.bytes < HEAD_BYTES) break;
          length = lengthIn(unread.take(HEAD_BYTES), where());
        }
        if (unread.bytes < length + CHECKSUM_BYTES) break;
        yield { bytes: contentIn(unread.take(length + CHECKSUM_BYTES), where()), where: where() };
        length = undefined;
        number++;
      }
    }
  } catch (cause) {
    throwIfAborted(signal);
    throw readError(file, cause, 'the records');
  } finally {
    source.destroy();
  }
  if (length !== undefined || unread.bytes > 0)
    throw new HintError(
      'INVALID_FILE',
      `${where()} is cut off: the file ends ${unread.bytes} bytes into ${length === undefined ? 'its head' : `its ${length}`}; fetch the file again.`,
    );
}

/** Bytes that have come and are not read yet; each is copied once, whatever the size of a record. */
class Unread {
  bytes = 0;
  private readonly chunks: Buffer[] = [];

  push(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.bytes += chunk.length;
  }

  /** @param count at most `bytes` */
  take(count: number): Buffer {
    this.bytes -= count;
    const parts: Buffer[] = [];
    for (let left = count; left > 0;) {
      const chunk = this.chunks[0] as Buffer;
      const part = chunk.subarray(0, left);
      parts.push(part);
      left -= part.length;
      if (part.length === chunk.length) this.chunks.shift();
      else this.chunks[0] = chunk.subarray(part.length);
    }
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }
}

function lengthIn(head: Buffer, where: string): number {
  checkSum(head.subarray(0, 8), head.readUInt32LE(8), where, 'length');
  const length = Number(head.readBigUInt64LE(0));
  checkBytes(where, 'it has', length);
  return length;
}

function contentIn(record: Buffer, where: string): Buffer {
  const content = record.subarray(0, record.length - CHECKSUM_BYTES);
  checkSum(content, record.readUInt32LE(content.length), where, 'content');
  return content;
}

function checkSum(bytes: Buffer, stored: number, where: string, what: string): void {
  const computed = maskedCrc32c(bytes);
  if (computed === stored) return;
  throw new HintError(
    'INVALID_FILE',
    `${where} is damaged, or the file is none of TFRecord: the checksum of its ${what} is ${hex(computed)} and not ${hex(stored)}; fetch the file again.`,
  );
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}
