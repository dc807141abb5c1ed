import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { saveModel } from '../../src/model/checkpoint/checkpoint.js';
import { Device } from '../../src/tensor/device.js';
import { packageRoot } from '../../src/util/package-root.js';
import { FULL_HINT, randomModel, tinyConfig } from '../inference/models.js';

/** The address of the compiled library, for programs in processes of their own. */
export const LIBRARY = pathToFileURL(join(packageRoot(), 'dist', 'bundle', 'library', 'index.js')).href;

/** A tokenizer of 424 pieces: every new thread reads one, and one of 32,000 takes longer than most work here. */
const SMALL_TOKENIZER = join(packageRoot(), 'test/fixtures/version-0.1.0/data/tokenizers/t5/tokenizer.json');

/** Writes a HINT whose layers are wide enough that most interruptions find an op running. */
export async function writeWideModel(directory: string, tokenizer = SMALL_TOKENIZER): Promise<void> {
  using device = new Device({ threads: 1 });
  const config = tinyConfig(FULL_HINT, { d_model: 256, d_kv: 32, num_heads: 8, d_ff: 512 });
  await saveModel(randomModel(device, config), directory);
  await copyFile(tokenizer, join(directory, 'tokenizer.json'));
}

/**
 * Runs a program of this folder to its end, with flags for Node and variables of its environment: returns how it ended, and
 * its output on both streams.
 */
export async function runProgram(
  name: string,
  settings: unknown,
  flags: string[] = [],
  environment: Record<string, string> = {},
): Promise<{ code: unknown; said: string }> {
  const program = join(import.meta.dirname, name);
  const child = spawn(process.execPath, [...flags, program, JSON.stringify(settings)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => (said += String(piece)));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { code: code ?? signal, said };
}
