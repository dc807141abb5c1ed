// What the parts of `npm run package` start, and how they end.
import { spawnSync } from 'node:child_process';

export function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}

/** Runs a command that has to succeed; what it prints is shown where it does not. */
export function run(command, parameters, options) {
  const { status, stdout, stderr, error } = spawnSync(command, parameters, {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    ...options,
  });
  if (status === 0) return stdout;
  process.stderr.write(`${stdout ?? ''}${stderr ?? ''}`);
  return fail(`${command} ${parameters.join(' ')}: ${error?.message ?? `ended with ${status}`}.`);
}
