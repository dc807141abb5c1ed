import { HintError } from '../util/errors.js';

/** Forms that are packed and no text, by how they begin in Latin-1, with what to do. */
const PACKED: readonly (readonly [head: string, what: string])[] = [
  ['\u001f\u008b', 'is compressed with gzip; give its name the ending .gz, by which it is unpacked'],
  ['PK\u0003\u0004', 'is a zip archive, as spreadsheets are; unpack it, or save it as CSV'],
  ['PAR1', 'is a Parquet table; give its name the ending .parquet'],
  ['BZh', 'is compressed with bzip2; unpack it with bunzip2 first'],
  ['\u00fd7zXZ\0', 'is compressed with xz; unpack it with unxz first'],
  ['\u0028\u00b5\u002f\u00fd', 'is compressed with zstd; unpack it with unzstd first'],
];

/**
 * Checks the first bytes of what is to be a text, so that packed files are named as what they are.
 *
 * @throws HintError INVALID_DATA
 */
export function checkIsNotPacked(file: string, bytes: Uint8Array): void {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, 8)).toString('latin1');
  const [, what] = PACKED.find(([begin]) => head.startsWith(begin)) ?? [];
  // A text may begin with these three letters too, but not with what follows them in an archive.
  if (what === undefined || (head.startsWith('BZh') && !/^BZh[1-9]1AY&S/.test(head))) return;
  throw new HintError('INVALID_DATA', `${file} ${what}.`);
}
