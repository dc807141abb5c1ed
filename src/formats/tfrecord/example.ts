import { HintError } from '../../util/errors.js';
import { fieldsOf, varintsOf, type MessageName } from '../protobuf/fields.js';
import type { TfRecord } from './records.js';

/** The values of one feature: byte strings or whole numbers. Floats are left out. */
export interface Feature {
  readonly bytes: readonly Uint8Array[];
  readonly integers: readonly number[];
}

/**
 * The features of a record that is a `tf.train.Example`, by name.
 *
 * @throws HintError INVALID_FILE
 */
export function parseExample({ bytes, where }: TfRecord): Map<string, Feature> {
  const name: MessageName = { where, what: 'tf.train.Example' };
  const found = new Map<string, Feature>();
  for (const features of messagesIn(bytes, 1, name))
    for (const entry of messagesIn(features, 1, name)) {
      const [key] = messagesIn(entry, 1, name);
      const [value] = messagesIn(entry, 2, name);
      if (key) found.set(Buffer.from(key).toString('utf8'), featureOf(value ?? new Uint8Array(0), name));
    }
  if (found.size > 0) return found;
  throw new HintError(
    'INVALID_FILE',
    `${where} is a tf.train.Example without features; give the files as they are published.`,
  );
}

/** The inner messages, texts and blobs of a field. */
function messagesIn(message: Uint8Array, wanted: number, name: MessageName): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (const { number, value } of fieldsOf(message, name))
    if (number === wanted && typeof value !== 'number') found.push(value);
  return found;
}

/** A feature is a list of bytes (field 1), of floats (field 2) or of whole numbers (field 3). */
function featureOf(message: Uint8Array, name: MessageName): Feature {
  const bytes = messagesIn(message, 1, name).flatMap((list) => messagesIn(list, 1, name));
  const integers: number[] = [];
  for (const list of messagesIn(message, 3, name))
    for (const { number, value } of fieldsOf(list, name)) {
      if (number !== 1) continue;
      if (typeof value === 'number') integers.push(value);
      else for (const one of varintsOf(value, name)) integers.push(one);
    }
  return { bytes, integers };
}
