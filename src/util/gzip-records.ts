import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Append } from './atomic-file.js';

const compressed = promisify(gzip);
const BLOCK_CHARACTERS = 1 << 20;

/** Records of a .gz file that are compressed in blocks, as concatenated .gz files are one .gz file. */
export class GzipRecords {
  private records = '';

  constructor(private readonly append: Append) {}

  /** @param record with its line feed @returns what to wait for where a block is full */
  add(record: string): Promise<void> | undefined {
    this.records += record;
    return this.records.length > BLOCK_CHARACTERS ? this.flush() : undefined;
  }

  /** Writes what is left; a file without records becomes an empty block. */
  async flush(): Promise<void> {
    const block = this.records;
    this.records = '';
    await this.append(await compressed(block));
  }
}
