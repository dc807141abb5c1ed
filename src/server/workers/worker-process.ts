import { fork, type ChildProcess } from 'node:child_process';
import { Agent, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { createReadStream } from 'node:fs';
import { HintError } from '../../util/errors.js';
import { workerScript } from '../../util/worker-script.js';
import type { WorkerMessage, WorkerStart } from './messages.js';

/** A worker that ended, or whose connection did, before its answer was whole. */
export class WorkerLost extends Error {
  constructor(
    cause: unknown,
    /** Whether it may have begun to work on the request. */
    readonly hadBegun: boolean,
  ) {
    super('The worker is gone.', { cause });
  }
}

/** What a worker is asked. */
export interface WorkerRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON, or the path of a file that is the body. */
  readonly body?: { readonly json: unknown } | { readonly file: string } | undefined;
}

/** An answer of a worker that was read whole. */
export interface WorkerAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Errors of a connection that was never made. */
const UNCONNECTED: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOENT']);
/** How long a worker may take to tell of itself, in milliseconds: what waits for all of them waits for one that hangs, too. */
const TELL_TIMEOUT = 5000;
/** How long a worker that was told to stop may take, in milliseconds: no request is left by then. */
const STOP_TIMEOUT = 5000;

/** A process with an engine, from its start to its end. What it is asked goes through a Unix socket. */
export class WorkerProcess {
  /** Registered tasks that it has, or is getting, by id. */
  readonly tasks = new Map<string, Promise<void>>();
  /** Resolves when the process has ended. */
  readonly ended: Promise<void>;
  private readonly child: ChildProcess;
  private readonly agent = new Agent({ keepAlive: true, maxFreeSockets: 256 });
  private current = 0;
  private hasEnded = false;

  constructor(
    /** Its number among the workers, from 0. */
    readonly number: number,
    private readonly start: WorkerStart,
    private readonly log: (line: string) => void,
  ) {
    // In a process group of its own, so that a Ctrl-C reaches the parent alone. Standard error is for what a native library says.
    this.child = fork(workerScript('serve'), [], {
      execArgv: [],
      detached: true,
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.ended = new Promise((resolve) => {
      const end = (): void => {
        this.hasEnded = true;
        this.agent.destroy();
        resolve();
      };
      this.child.once('exit', end);
      this.child.once('error', end);
    });
  }

  /** Of the process; for tests and logs. */
  get pid(): number | undefined {
    return this.child.pid;
  }

  /** Requests that it works on. */
  get inFlight(): number {
    return this.current;
  }

  get isAlive(): boolean {
    return !this.hasEnded;
  }

  /**
   * Waits until the worker serves.
   *
   * @returns what the model's files ask for that is not done
   * @throws HintError what opening the model throws, INTERNAL for a process that ends on its way
   */
  async ready(): Promise<readonly string[]> {
    const told = new Promise<readonly string[]>((resolve, reject) => {
      this.child.on('message', (message: WorkerMessage) => {
        if (message.type === 'ready') resolve(message.notices);
        else if (message.type === 'log') this.log(message.line);
        else reject(new HintError(message.code, `Worker ${this.number}: ${message.message}`));
      });
    });
    const { device } = this.start.engine;
    const lost = this.ended.then(() => {
      const { signalCode, exitCode } = this.child;
      throw new HintError(
        'INTERNAL',
        `Worker ${this.number} on ${device} ended while it opened the model (${signalCode ?? `exit code ${exitCode}`}); ${signalCode === 'SIGKILL' ? 'memory may be short: start fewer workers' : 'try without --workers'}.`,
      );
    });
    lost.catch(() => undefined);
    // A process that could not be started, or has ended, hears nothing.
    this.child.send(this.start, () => undefined);
    return Promise.race([told, lost]);
  }

  /** Counts a request as worked on until the function that it returns is called. */
  enter(): () => void {
    let isInside = true;
    this.current++;
    return () => {
      if (isInside) this.current--;
      isInside = false;
    };
  }

  /**
   * Sends a request and waits for the head of the answer.
   *
   * @throws WorkerLost; what the signal was aborted with
   */
  async ask({ method, path, headers, body }: WorkerRequest, signal?: AbortSignal): Promise<IncomingMessage> {
    // A request that came without a body goes without one.
    const json = body && 'json' in body ? body.json : undefined;
    const content = json === undefined ? undefined : Buffer.from(JSON.stringify(json));
    const call = httpRequest({
      ...{ agent: this.agent, socketPath: this.start.socket, method, path },
      headers: {
        ...headers,
        ...(content && { 'content-type': 'application/json', 'content-length': content.length }),
        ...(body && 'file' in body && { 'content-type': 'application/octet-stream' }),
      },
      ...(signal ? { signal } : {}),
    });
    const answer = new Promise<IncomingMessage>((resolve, reject) => {
      call.once('response', resolve);
      // Later errors are those of the answer.
      call.on('error', (error: NodeJS.ErrnoException) =>
        reject(lostOr(error, signal, !UNCONNECTED.has(error.code ?? ''))),
      );
    });
    if (body && 'file' in body) pipeline(createReadStream(body.file), call).catch(() => call.destroy());
    else call.end(content);
    return answer;
  }

  /** {@link ask}, with the whole answer. */
  async read(request: WorkerRequest, signal?: AbortSignal): Promise<WorkerAnswer> {
    return readAnswer(await this.ask(request, signal), signal);
  }

  /** What it tells of itself at a path; undefined where it is lost, refuses, as while it ends, or says nothing for too long. */
  async tell(path: string, signal: AbortSignal): Promise<Buffer | undefined> {
    const patience = AbortSignal.any([signal, AbortSignal.timeout(TELL_TIMEOUT)]);
    const answer = await this.read({ method: 'GET', path }, patience).catch(() => undefined);
    return answer?.status === 200 ? answer.body : undefined;
  }

  /** Ends the process: first in order, then by force. */
  async stop(): Promise<void> {
    if (this.child.connected) this.child.disconnect();
    const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_TIMEOUT);
    await this.ended;
    clearTimeout(timer);
  }
}

/** Reads the rest of an answer. @throws WorkerLost; what the signal was aborted with */
export async function readAnswer(answer: IncomingMessage, signal?: AbortSignal): Promise<WorkerAnswer> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of answer) chunks.push(chunk as Buffer);
  } catch (error) {
    throw lostOr(error, signal);
  }
  return { status: answer.statusCode ?? 502, headers: answer.headers, body: Buffer.concat(chunks) };
}

function lostOr(error: unknown, signal: AbortSignal | undefined, hadBegun = true): unknown {
  return signal?.aborted === true ? signal.reason : new WorkerLost(error, hadBegun);
}
