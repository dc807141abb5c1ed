import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { HintError } from './errors.js';
import { packageRoot } from './package-root.js';

/**
 * The file that a worker thread runs: compiled JavaScript, also where what starts it runs from source.
 *
 * @param name as scripts/bundle.mjs calls the worker
 * @throws HintError NOT_FOUND when it was not compiled
 */
export function workerScript(name: string): string {
  const script = join(packageRoot(), 'dist', 'bundle', 'workers', `${name}.js`);
  if (existsSync(script)) return script;
  throw new HintError('NOT_FOUND', `No compiled worker ${script}; run \`npm run build:ts\` and start again.`);
}
