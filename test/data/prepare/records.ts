import { maskedCrc32c } from '../../../src/formats/tfrecord/crc32c.js';

/** A TFRecord file of some contents. */
export function tfRecords(...contents: Uint8Array[]): Buffer {
  return Buffer.concat(
    contents.flatMap((content) => {
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(content.length));
      return [length, checksum(length), content, checksum(content)];
    }),
  );
}

export function checksum(of: Uint8Array): Buffer {
  const sum = Buffer.alloc(4);
  sum.writeUInt32LE(maskedCrc32c(of));
  return sum;
}

type Value = string | readonly string[] | readonly number[];

/** A `tf.train.Example`: texts as byte strings, numbers packed as TensorFlow writes them. */
export function example(features: Readonly<Record<string, Value>>): Buffer {
  const entries = Object.entries(features).map(([name, value]) => {
    const values = typeof value === 'string' ? [value] : value;
    const isText = values.every((one) => typeof one === 'string');
    const feature = isText
      ? field(1, Buffer.concat(values.map((one) => field(1, Buffer.from(one)))))
      : field(3, field(1, Buffer.concat(values.map((one) => varint(Number(one))))));
    return field(1, Buffer.concat([field(1, Buffer.from(name)), field(2, feature)]));
  });
  return field(1, Buffer.concat(entries));
}

function field(number: number, content: Buffer): Buffer {
  return Buffer.concat([varint(number * 8 + 2), varint(content.length), content]);
}

function varint(value: number): Buffer {
  return value < 128
    ? Buffer.of(value)
    : Buffer.concat([Buffer.of((value % 128) | 128), varint(Math.floor(value / 128))]);
}
