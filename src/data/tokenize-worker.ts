import { parentPort, workerData } from 'node:worker_threads';
import { HintError } from '../errors.js';
import { runTokenizeJob, type TokenizeJob, type TokenizeResult } from './tokenize-job.js';
import { Tokenizer } from './tokenizer.js';

/** What a worker is started with. */
export interface TokenizeWorkerData {
  tokenizerFile: string;
  fingerprint: string;
}

/** A worker's answer to a job. Errors cross as code and sentence, since a clone loses their class. */
export type TokenizeAnswer = TokenizeResult | { code: HintError['code']; message: string };

const { tokenizerFile, fingerprint } = workerData as TokenizeWorkerData;
let loading: Promise<Tokenizer> | undefined;
const source = { fingerprint, get: () => (loading ??= loadSameTokenizer()) };

parentPort!.on('message', (job: TokenizeJob) => {
  void answer(job).then((reply) => {
    parentPort!.postMessage(reply, 'packed' in reply ? [reply.packed.buffer] : []);
  });
});

async function answer(job: TokenizeJob): Promise<TokenizeAnswer> {
  try {
    return await runTokenizeJob(job, source);
  } catch (error) {
    if (error instanceof HintError) return { code: error.code, message: error.message };
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { code: 'INTERNAL', message: `Tokenising ${job.file} failed: ${reason}` };
  }
}

async function loadSameTokenizer(): Promise<Tokenizer> {
  const tokenizer = await Tokenizer.load(tokenizerFile);
  if (tokenizer.fingerprint === fingerprint) return tokenizer;
  throw new HintError(
    'FINGERPRINT_MISMATCH',
    `${tokenizerFile} changed while it was in use; start again, and leave the file alone while a run reads data.`,
  );
}
