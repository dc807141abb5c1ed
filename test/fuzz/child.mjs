/** Runs parsers on inputs, one after the other, in a process of its own, which an input may end. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { PARSERS } from './parsers.mjs';

const LONGEST_MESSAGE = 5000;

const [folder] = process.argv.slice(2);
let answer;

function fail(what, error) {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  answer?.({ fault: `${what}: ${text.slice(0, 2000)}` });
}
process.on('uncaughtException', (error) => fail('an uncaught exception', error));
process.on('unhandledRejection', (error) => fail('an unhandled rejection', error));

process.on('message', ({ name, bytes }) => {
  answer = (result) => {
    answer = undefined;
    process.send({ ...result, rss: process.memoryUsage.rss() });
  };
  void judge(name, Buffer.from(bytes, 'base64')).then(
    (result) => answer?.(result),
    (error) => fail('the instrument itself failed', error),
  );
});

/**
 * A parser must return a value or throw a HintError whose message is one line of bounded length without control
 * characters.
 */
async function judge(name, bytes) {
  const parser = PARSERS[name];
  const directory = join(folder, name);
  rmSync(directory, { recursive: true, force: true });
  const file = resolve(directory, parser.file);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, bytes);
  try {
    await parser.run(file);
  } catch (error) {
    if (error?.name !== 'HintError' || typeof error.code !== 'string')
      return { fault: `an error that is none of ours: ${String(error?.stack ?? error).slice(0, 2000)}` };
    if (error.code === 'INTERNAL') return { fault: `an internal error: ${error.message.slice(0, 2000)}` };
    const { message } = error;
    if (message.length > LONGEST_MESSAGE) return { fault: `a message of ${message.length} characters: ${message.slice(0, 200)}…` }; // prettier-ignore
    if (/[\p{Cc}\p{Zl}\p{Zp}]/u.test(message)) return { fault: `control characters in a message: ${JSON.stringify(message.slice(0, 400))}` }; // prettier-ignore
    return { outcome: `${error.code} ${message.replaceAll(directory, '').replace(/"[^"]*"|\d+/g, '#').slice(0, 60)}` }; // prettier-ignore
  }
  return { outcome: 'read' };
}

process.send({ ready: true });
