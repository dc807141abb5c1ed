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

/** What a message is, for errors. */
export interface MessageName {
  /** The file, and the place in it where there is one. */
  readonly where: string;
  /** As in `SentencePiece model`. */
  readonly what: string;
}

/**
 * The fields of a message, in order. Numbers of four bytes are read as floats, those of eight as doubles.
 *
 * @throws HintError INVALID_FILE for what is no message, or is cut off
 */
export function* fieldsOf(message: Uint8Array, name: MessageName): Generator<Field, void, undefined> {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  let at = 0;
  const varint = (): number => {
    const [value, next] = varintAt(message, at, name);
    at = next;
    return value;
  };
  const take = (length: number): number => {
    const start = at;
    if (!(start + length <= message.length)) throw damaged(name, start);
    at += length;
    return start;
  };
  while (at < message.length) {
    const key = varint();
    const number = Math.floor(key / 8);
    if (number === 0) throw damaged(name, at);
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
        throw damaged(name, at);
    }
  }
}

/**
 * Whole numbers that stand one after another, as repeated fields hold them.
 *
 * @throws HintError INVALID_FILE for bytes that end within a number
 */
export function varintsOf(bytes: Uint8Array, name: MessageName): number[] {
  const values: number[] = [];
  for (let at = 0; at < bytes.length;) {
    const [value, next] = varintAt(bytes, at, name);
    values.push(value);
    at = next;
  }
  return values;
}

function varintAt(message: Uint8Array, start: number, name: MessageName): [value: number, next: number] {
  let value = 0;
  for (let i = 0; i < MOST_VARINT_BYTES; i++) {
    const byte = message[start + i];
    if (byte === undefined) throw damaged(name, start + i);
    // A negative number takes ten bytes; the first 32 bits of it say which.
    if (i < 5) value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return [value, start + i + 1];
  }
  throw damaged(name, start);
}

function damaged({ where, what }: MessageName, at: number): HintError {
  return new HintError(
    'INVALID_FILE',
    `${where} is no ${what}, or is cut off: what stands at byte ${at} of it cannot be read; fetch it again.`,
  );
}
