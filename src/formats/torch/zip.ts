import { fromRandomAccessReaderPromise, RandomAccessReader } from 'yauzl';
import { HintError } from '../../util/errors.js';
import { checkBytes } from '../../util/limits.js';
import { showValue } from '../../util/show-value.js';
import { ByteFile } from '../weights/byte-file.js';
import { DTYPE_BYTES } from '../weights/dtypes.js';
import { invalidWeights, weightFile, type WeightFile } from '../weights/weight-file.js';
import { namedTensors, tensorReaders } from './tensors.js';
import { EndOfPickle } from './pickle-reader.js';
import { Unpickler } from './unpickler.js';

const TORCH_FILE = 'file of PyTorch';

// An entry takes some hundred bytes of memory.
const ENTRY_BYTES = 512;

interface Entry {
  readonly position: number;
  readonly byteLength: number;
  /** Why it is not read as it is. */
  readonly fault?: string;
}

/** Reads for the zip reader, which asks for any place that the archive names. */
class FileReader extends RandomAccessReader {
  /** Rejects with what the zip reader throws in the middle of its work, which ends that work without a word. */
  readonly failed: Promise<never>;
  private fail: (cause: unknown) => void = () => undefined;

  constructor(private readonly file: ByteFile) {
    super();
    this.failed = new Promise((_, reject) => {
      this.fail = reject;
    });
    this.failed.catch(() => undefined);
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null) => void,
  ): void {
    const { size } = this.file;
    const isInside = position >= 0 && position + length <= size;
    const reading = isInside
      ? this.file.readInto(buffer.subarray(offset, offset + length), position)
      : Promise.reject(new Error(`it refers to byte ${position} of ${size}`));
    reading.then(() => callback(null), callback).catch(this.fail);
  }
}

/** Entries of the archive by name, where they lie in the file. */
async function entriesOf(file: ByteFile): Promise<Map<string, Entry>> {
  const reader = new FileReader(file);
  try {
    return await Promise.race([readEntries(file, reader), reader.failed]);
  } catch (cause) {
    if (cause instanceof HintError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw invalidWeights(
      file.path,
      TORCH_FILE,
      `its zip archive cannot be read (${reason}); it is cut off or damaged, download or copy it again`,
      cause,
    );
  }
}

async function readEntries(file: ByteFile, reader: FileReader): Promise<Map<string, Entry>> {
  const entries = new Map<string, Entry>();
  const zip = await fromRandomAccessReaderPromise(reader, file.size, { autoClose: false });
  checkBytes(file.path, 'the list of its entries takes about', zip.entryCount * ENTRY_BYTES);
  for await (const entry of zip.eachEntry()) {
    const { fileName: name, compressedSize, uncompressedSize, compressionMethod } = entry;
    if (entries.has(name))
      throw invalidWeights(file.path, TORCH_FILE, `it has the entry ${showValue(name)} twice`);
    const fault = entry.isEncrypted() ? 'encrypted' : compressionMethod !== 0 ? 'compressed' : undefined;
    const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
    const byteLength = fault === undefined ? uncompressedSize : compressedSize;
    if (fileDataStart + byteLength > file.size)
      throw invalidWeights(
        file.path,
        TORCH_FILE,
        `its entry ${showValue(name)} goes on behind the end of the file`,
      );
    entries.set(name, { position: fileDataStart, byteLength, ...(fault ? { fault } : {}) });
  }
  return entries;
}

function plain(path: string, name: string, entry: Entry): Entry {
  if (entry.fault === undefined) return entry;
  throw new HintError(
    'NOT_SUPPORTED',
    `${path} holds its entry ${showValue(name)} ${entry.fault}, as torch.save does not; unpack the archive, and pack it again without compression (zip -0 -r).`,
  );
}

async function checkByteOrder(
  file: ByteFile,
  root: string,
  entries: ReadonlyMap<string, Entry>,
): Promise<void> {
  const name = `${root}/byteorder`;
  const entry = entries.get(name);
  if (entry === undefined) return;
  const { position, byteLength } = plain(file.path, name, entry);
  const text = Buffer.from(await file.read(position, Math.min(byteLength, 64))).toString('latin1');
  if (text === 'little') return;
  throw new HintError(
    'NOT_SUPPORTED',
    `${file.path} holds its numbers in the byte order ${showValue(text)}; only "little" is read: load it in Python and save it on a little-endian machine.`,
  );
}

/**
 * Opens a file that `torch.save` wrote (torch 1.6 and later): a zip archive of a pickle and the storages it refers to. The
 * pickle is read, and nothing in it is run.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_CHECKPOINT, NOT_SUPPORTED naming what is refused, LIMIT_EXCEEDED
 */
export async function openTorchZip(path: string): Promise<WeightFile> {
  const file = await ByteFile.open(path, (fault) => invalidWeights(path, TORCH_FILE, fault));
  try {
    const entries = await entriesOf(file);
    const pickles = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
    const [pickleName] = pickles;
    if (pickles.length !== 1 || pickleName === undefined)
      throw invalidWeights(
        path,
        TORCH_FILE,
        `it is a zip archive with ${pickles.length === 0 ? 'no data.pkl' : 'several data.pkl'}; give a file that torch.save wrote`,
      );
    const root = pickleName.slice(0, -'/data.pkl'.length);
    await checkByteOrder(file, root, entries);
    const pickle = plain(path, pickleName, entries.get(pickleName) as Entry);
    checkBytes(path, 'its pickle has', pickle.byteLength);
    const value = load(path, await file.read(pickle.position, pickle.byteLength));
    const { tensors, aliases } = tensorReaders(file, namedTensors(path, value), ({ storage }, tensor) => {
      const name = `${root}/data/${storage.key}`;
      const entry = entries.get(name);
      if (entry === undefined)
        throw invalidWeights(
          path,
          TORCH_FILE,
          `it has no entry ${showValue(name)}, in which the tensor ${showValue(tensor)} lies`,
        );
      const { position, byteLength } = plain(path, name, entry);
      const width = storage.dtype ? DTYPE_BYTES[storage.dtype] : 1;
      const needed = (storage.begin + storage.count) * width;
      if (!(needed <= byteLength))
        throw invalidWeights(
          path,
          TORCH_FILE,
          `the storage ${showValue(storage.key)} of ${needed} bytes has an entry of ${byteLength} bytes`,
        );
      return { position: position + storage.begin * width, byteLength: storage.count * width };
    });
    return weightFile({ path, form: 'torch', tensors, aliases, close: () => file.close() });
  } catch (error) {
    await file.close();
    throw error;
  }
}

function load(path: string, bytes: Uint8Array): ReturnType<Unpickler['load']> {
  try {
    return new Unpickler(path, bytes).load();
  } catch (cause) {
    if (!(cause instanceof EndOfPickle)) throw cause;
    throw invalidWeights(
      path,
      TORCH_FILE,
      `its pickle ends after ${bytes.length} bytes without its last instruction`,
      cause,
    );
  }
}
