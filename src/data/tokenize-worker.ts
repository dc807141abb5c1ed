import { parentPort, workerData } from 'node:worker_threads';
import { HintError } from '../errors.js';
import { runP3Job, type P3Job } from './p3/tokenize.js';
import {
  runTokenizeJob,
  type TokenizeJob,
  type TokenizeResult,
  type TokenizerSource,
} from './tokenize-job.js';
import type { Ragged } from './batch.js';
import { readParquetRows, type ParquetJob, type ParquetRows } from './text/parquet.js';
import { runTextJob, type TextJob } from './text/text-job.js';
import { Tokenizer } from './tokenizer.js';

/** What a worker is started with. */
export interface TokenizerWorkerData {
  tokenizerFile: string;
  fingerprint: string;
}

/** The kinds of job a worker does. A new one is a row here and in `kinds`. */
export interface WorkerJobs {
  'sni-task': { job: TokenizeJob; result: TokenizeResult };
  text: { job: TextJob; result: Ragged };
  'parquet-rows': { job: ParquetJob; result: ParquetRows };
  'p3-block': { job: P3Job; result: TokenizeResult };
}

/** A worker's answer to a job. Errors cross as code and sentence, since a clone loses their class. */
export type WorkerAnswer = { result: unknown } | { code: HintError['code']; message: string };

type Run<Kind extends keyof WorkerJobs> = (
  job: WorkerJobs[Kind]['job'],
  tokenizer: TokenizerSource,
) => Promise<WorkerJobs[Kind]['result']>;

const kinds: { [Kind in keyof WorkerJobs]: Run<Kind> } = {
  'sni-task': runTokenizeJob,
  text: runTextJob,
  'parquet-rows': readParquetRows,
  'p3-block': runP3Job,
};

const { tokenizerFile, fingerprint } = workerData as TokenizerWorkerData;
let loading: Promise<Tokenizer> | undefined;
const source = { fingerprint, get: () => (loading ??= loadSameTokenizer()) };

parentPort!.on('message', ({ kind, job }: { kind: keyof WorkerJobs; job: never }) => {
  void answer(kind, job).then((reply) => {
    parentPort!.postMessage(reply, 'result' in reply ? buffersOf(reply.result) : []);
  });
});

async function answer(kind: keyof WorkerJobs, job: never): Promise<WorkerAnswer> {
  try {
    return { result: await kinds[kind](job, source) };
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
