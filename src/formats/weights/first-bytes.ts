import { basename } from 'node:path';
import { HintError } from '../../util/errors.js';
import { openRegularFile } from '../../util/open-input.js';
import { readError } from '../../util/read-error.js';

/** What the first bytes of a file say it is; `unknown` where they say nothing. */
export type FileKind = 'torch-zip' | 'torch-legacy' | 'safetensors' | 'msgpack' | 'unknown';

// Past the first kilobytes, nothing more is told.
const HEAD_BYTES = 4096;

const FETCH_AGAIN = 'download the file itself';

/** Files that are no weights, by how they begin, with what they are and what to do. */
const NO_WEIGHTS: readonly (readonly [(head: string) => boolean, string])[] = [
  [
    (head) => head.startsWith('version https://git-lfs'),
    'is a Git LFS pointer and not the weights; fetch them with "git lfs pull", or download the file itself',
  ],
  [
    (head) => /^\s*<(!doctype|html|head|body|\?xml)/i.test(head),
    `is a web page and not the weights: most likely an error page, or a page to log in; open it to see, and ${FETCH_AGAIN}`,
  ],
  [
    (head) => /^\s*[{[]\s*["\]}]/.test(head),
    `is JSON and not the weights: most likely a server's error message; open it to see, and ${FETCH_AGAIN}`,
  ],
  [(head) => head.startsWith('\u001f\u008b'), 'is compressed with gzip; unpack it with gunzip first'],
  [(head) => head.startsWith('BZh'), 'is compressed with bzip2; unpack it with bunzip2 first'],
  [(head) => head.startsWith('\u00fd7zXZ\0'), 'is compressed with xz; unpack it with unxz first'],
  [
    (head) => head.startsWith('\u0028\u00b5\u002f\u00fd'),
    'is compressed with zstd; unpack it with unzstd first',
  ],
  [(head) => head.slice(257, 262) === 'ustar', 'is a tar archive; unpack it with tar first'],
  [
    (head) => head.startsWith('\u0089HDF\r\n'),
    'is an HDF5 file of TensorFlow or Keras, which is not read; take the PyTorch, Flax or safetensors file of the model',
  ],
  [
    (head) => head.startsWith('model_checkpoint_path'),
    'belongs to a checkpoint of TensorFlow, which is not read; take the T5X, PyTorch, Flax or safetensors files of the model',
  ],
  [
    (head) => head.startsWith('GGUF'),
    'is a GGUF file of llama.cpp, which is not read; take the safetensors file of the model',
  ],
  [
    (head) => /^\0+$/.test(head),
    `begins with ${HEAD_BYTES} zero bytes: room was made for a download that did not come, or the disk lost it; download it again`,
  ],
];

/** The length of a header below 4 GiB, in 8 bytes, and its JSON. The length alone can look like any other form. */
function isSafetensors(bytes: Uint8Array): boolean {
  return bytes[8] === 0x7b && bytes.subarray(4, 8).every((byte) => byte === 0);
}

/** What the first bytes of an ordinary file say. @throws HintError INVALID_CHECKPOINT for one that holds no weights, with what it is */
export function kindOf(path: string, bytes: Uint8Array): FileKind {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  if (isSafetensors(bytes)) return 'safetensors';
  if (head.length === 0) throw new HintError('INVALID_CHECKPOINT', `${path} is empty; download it again.`);
  const [, what] = NO_WEIGHTS.find(([is]) => is(head)) ?? [];
  if (what !== undefined) throw new HintError('INVALID_CHECKPOINT', `${path} ${what}.`);
  if (head.startsWith('PK')) return 'torch-zip';
  // The opcode of a pickle's protocol; 0x80 alone is an empty map of msgpack.
  if (/^\x80[\x02-\x05]/.test(head)) return 'torch-legacy';
  if (/^[\x80-\x8f\xde\xdf]/.test(head)) return 'msgpack';
  return 'unknown';
}

/** The kind of a file by its first bytes. @throws HintError as {@link kindOf}; NOT_FOUND, IO */
export async function sniff(path: string): Promise<FileKind> {
  const head = Buffer.alloc(HEAD_BYTES);
  try {
    await using handle = await openRegularFile(path);
    const { bytesRead } = await handle.read(head, 0, HEAD_BYTES, 0);
    return kindOf(path, head.subarray(0, bytesRead));
  } catch (cause) {
    throw readError(path, cause);
  }
}

const KINDS: Readonly<Record<Exclude<FileKind, 'unknown'>, readonly [what: string, name: string]>> = {
  'torch-zip': ['a file of PyTorch (a pickle in a zip archive)', 'pytorch_model.bin'],
  'torch-legacy': ['a file of PyTorch (a pickle)', 'pytorch_model.bin'],
  safetensors: ['a safetensors file', 'model.safetensors'],
  msgpack: ['a msgpack file of Flax', 'flax_model.msgpack'],
};

/** The error of a file whose name promises another form than its bytes are in. */
export function wrongName(path: string, kind: Exclude<FileKind, 'unknown'>): HintError {
  const [what, name] = KINDS[kind];
  return new HintError(
    'INVALID_CHECKPOINT',
    `${path} is ${what} under a name of another form; if it is from where you think, rename it to ${name}, else download ${basename(path)} again.`,
  );
}
