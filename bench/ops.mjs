// Every op against the roof that binds it, by the native binary hint_op_bench.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const BINARY =
  process.env.HINT_OP_BENCH ?? fileURLToPath(new URL('../build/native/bench/hint_op_bench', import.meta.url));

/** @returns {boolean} whether the native benchmark is built */
export function hasOpBench() {
  return existsSync(BINARY);
}

/**
 * @param {{ samples: number }} options
 * @returns {Promise<any>} the binary's report: threads, gemmGflops, copies, rows
 */
export async function benchOps({ samples }) {
  const child = spawn(BINARY, ['--json', '--samples', String(samples)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const chunks = [];
  child.stdout.on('data', (chunk) => chunks.push(chunk));
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`${BINARY} ended with exit code ${code}; its message is above.`);
  return JSON.parse(Buffer.concat(chunks).toString('utf8'));
}
