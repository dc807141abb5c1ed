import { parentPort, workerData } from 'node:worker_threads';
import { HintError } from '../../util/errors.js';
import { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { SNI_TASKS } from '../natural-instructions/tokenize.js';
import { OWN_RECORDS } from '../own/tokenize.js';
import { P3_BLOCKS } from '../p3/tokenize.js';
import { PARQUET_ROWS, TEXT_GROUPS } from '../text/text-job.js';
import type { JobKind, TokenizerWorkerData, WorkerAnswer } from '../tokenizing/job.js';

const KINDS: readonly JobKind<never, unknown>[] = [
  SNI_TASKS,
  P3_BLOCKS,
  OWN_RECORDS,
  TEXT_GROUPS,
  PARQUET_ROWS,
];
const kinds = new Map(KINDS.map((kind) => [kind.name, kind]));

const { tokenizerFile, fingerprint, idsKey } = workerData as TokenizerWorkerData;
let loading: Promise<Tokenizer> | undefined;
const source = { idsKey, get: () => (loading ??= loadSameTokenizer()) };

parentPort!.on('message', ({ kind, job }: { kind: string; job: never }) => {
  void answer(kind, job).then((reply) => {
    parentPort!.postMessage(reply, 'result' in reply ? buffersOf(reply.result) : []);
  });
});

async function answer(kind: string, job: never): Promise<WorkerAnswer> {
  try {
    return { result: await kinds.get(kind)!.run(job, source) };
  } catch (error) {
    if (error instanceof HintError) return { code: error.code, message: error.message };
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { code: 'INTERNAL', message: `A job of ${kind} failed: ${reason}` };
  }
}

/** The arrays of a result move to the other thread instead of being copied: each has its buffer to itself. */
function buffersOf(result: unknown): ArrayBuffer[] {
  const fields: unknown[] = Object.values(result as object);
  return fields.flatMap((field) => (ArrayBuffer.isView(field) ? [field.buffer as ArrayBuffer] : []));
}

async function loadSameTokenizer(): Promise<Tokenizer> {
  const tokenizer = await Tokenizer.load(tokenizerFile);
  if (tokenizer.fingerprint === fingerprint) return tokenizer;
  throw new HintError(
    'FINGERPRINT_MISMATCH',
    `${tokenizerFile} changed while it was in use; start again, and leave the file alone while a run reads data.`,
  );
}
