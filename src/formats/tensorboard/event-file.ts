import { maskedCrc32c } from '../tfrecord/crc32c.js';

/** Numbers of one step. */
export interface ScalarEvent {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly step: number;
  /** By tag, such as `train/loss`. */
  readonly scalars: Readonly<Record<string, number>>;
}

/**
 * The first record of an event file: the version that readers look for.
 *
 * @param time milliseconds since 1970
 */
export function versionRecord(time: number): Buffer {
  return record(Buffer.concat([double(1, time / 1000), bytes(3, Buffer.from('brain.Event:2'))]));
}

/** Numbers as a record of an event file: a `tensorflow.Event` with a `Summary` of simple values. */
export function scalarRecord({ time, step, scalars }: ScalarEvent): Buffer {
  const values = Object.entries(scalars).map(([tag, value]) =>
    bytes(1, Buffer.concat([bytes(1, Buffer.from(tag)), float(2, value)])),
  );
  return record(Buffer.concat([double(1, time / 1000), whole(2, step), bytes(5, Buffer.concat(values))]));
}

/** Length, its checksum, the content and its checksum, as TFRecord files have them. */
function record(content: Buffer): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(content.length));
  return Buffer.concat([length, checksum(length), content, checksum(content)]);
}

function checksum(of: Uint8Array): Buffer {
  const sum = Buffer.alloc(4);
  sum.writeUInt32LE(maskedCrc32c(of));
  return sum;
}

// The wire types of protocol buffers.
const WIRE = { varint: 0, double: 1, bytes: 2, float: 5 };

/** Seven bits a byte, the lowest first. Numbers are up to 2^53, which shifts of 32 bits could not take apart. */
function varint(value: number): Buffer {
  const parts: number[] = [];
  let left = value;
  for (; left >= 128; left = Math.floor(left / 128)) parts.push((left % 128) | 128);
  parts.push(left);
  return Buffer.from(parts);
}

function field(number: number, wire: number, content: Buffer): Buffer {
  return Buffer.concat([varint(number * 8 + wire), content]);
}

function whole(number: number, value: number): Buffer {
  return field(number, WIRE.varint, varint(value));
}

function bytes(number: number, content: Buffer): Buffer {
  return field(number, WIRE.bytes, Buffer.concat([varint(content.length), content]));
}

function double(number: number, value: number): Buffer {
  const content = Buffer.alloc(8);
  content.writeDoubleLE(value);
  return field(number, WIRE.double, content);
}

function float(number: number, value: number): Buffer {
  const content = Buffer.alloc(4);
  content.writeFloatLE(value);
  return field(number, WIRE.float, content);
}
