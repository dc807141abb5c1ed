import { HintError } from '../../util/errors.js';

/** A field of a protocol buffer: a number, or the bytes of a text, a blob or an inner message. */
export interface Field {
  readonly number: number;
  readonly value: number | Uint8Array;
}

const VARINT = 0;
const EIGHT_BYTES = 1;
const LENGTH = 2;
const FOUR_BYTES = 5;
const MOST_VARINT_BYTES = 10;

/**
 * The fields of a message, in order. Numbers of four bytes are read as floats, as SentencePiece's are.
 *
 * @param file names the file in errors
 * @throws HintError INVALID_FILE for what is no message, or is cut off
 */
export function* fieldsOf(message: Uint8Array, file: string): Generator<Field, void, undefined> {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let i = 0; i < MOST_VARINT_BYTES; i++) {
      const byte = message[at++];
      if (byte === undefined) throw damaged(file, at);
      // A negative number takes ten bytes; the first 32 bits of it say which.
      if (i < 5) value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    throw damaged(file, at);
  };
  const take = (length: number): number => {
    const start = at;
    if (!(start + length <= message.length)) throw damaged(file, start);
    at += length;
    return start;
  };
  while (at < message.length) {
    const key = varint();
    const number = Math.floor(key / 8);
    if (number === 0) throw damaged(file, at);
    switch (key % 8) {
      case VARINT:
        yield { number, value: varint() };
        break;
      case EIGHT_BYTES:
        yield { number, value: view.getFloat64(take(8), true) };
        break;
      case FOUR_BYTES:
        yield { number, value: view.getFloat32(take(4), true) };
        break;
      case LENGTH: {
        const length = varint();
        const start = take(length);
        yield { number, value: message.subarray(start, start + length) };
        break;
      }
      default:
        throw damaged(file, at);
    }
  }
}

function damaged(file: string, at: number): HintError {
  return new HintError(
    'INVALID_FILE',
    `${file} is no SentencePiece model, or is cut off: what stands at byte ${at} of it cannot be read; fetch it again.`,
  );
}
