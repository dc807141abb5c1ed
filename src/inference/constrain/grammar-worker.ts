import { parentPort, workerData } from 'node:worker_threads';
import { HintError } from '../../util/errors.js';
import { GrammarBook } from './grammar-book.js';
import { isBreak, Library } from './library.js';
import type { GrammarReply, GrammarRequest, StepResult, Vocabulary } from './messages.js';

// The library tells what is wrong with a grammar by printing it.
const complaints: string[] = [];
const note = (...parts: unknown[]): void => void complaints.push(parts.map(String).join(' '));
Object.assign(globalThis.console, { log: note, warn: note, error: note });

const library = new Library(complaints);
const vocabulary = workerData as Vocabulary | undefined;
const book = vocabulary && new GrammarBook(vocabulary, library);
// One after the other: what is printed belongs to what runs.
let last: Promise<void> = Promise.resolve();

parentPort!.on('message', ({ number, request }: { number: number; request: GrammarRequest }) => {
  last = last.then(async () => {
    const reply = await answer(number, request);
    const masks = 'result' in reply ? (reply.result as Partial<StepResult> | undefined)?.masks : undefined;
    parentPort!.postMessage(reply, masks ? [masks.buffer as ArrayBuffer] : []);
  });
});

async function answer(number: number, request: GrammarRequest): Promise<GrammarReply> {
  try {
    return { number, result: await run(request) };
  } catch (error) {
    const isBroken = library.isBroken || isBreak(error);
    if (error instanceof HintError) return { number, code: error.code, message: error.message, isBroken };
    const reason = error instanceof Error ? error.message : String(error);
    return { number, code: 'INTERNAL', message: `The thread of grammars failed: ${reason}`, isBroken };
  }
}

async function run(request: GrammarRequest): Promise<unknown> {
  if (request.kind === 'rules') return library.rulesOf(request.source);
  if (request.kind === 'open') return book?.open(request);
  if (request.kind === 'step') return book?.step(request);
  return book?.close(request.session);
}
