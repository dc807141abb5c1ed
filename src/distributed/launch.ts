import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createServer, type AddressInfo } from 'node:net';
import { constants } from 'node:os';
import { HintError } from '../util/errors.js';
import { RUN_VARIABLE } from './launcher.js';

/** How the ranks of a run ended. */
export interface RanksEnded {
  /** 0, or the exit code of the first rank that ended otherwise; 128 + N for signal N. */
  readonly code: number;
  /** Whether they were asked to end, and no rank ended otherwise. */
  readonly wereAsked: boolean;
}

// When one rank has failed, the others know it at once. One that does not go on is asked to, and then ended.
const ASK_MILLISECONDS = 2000;
const END_MILLISECONDS = 8000;

/**
 * Starts a program several times on this machine, each as a rank of one run. Ranks end when this process does.
 *
 * @param program file and arguments
 * @param signal asks all of them to end, once
 * @throws HintError IO where the program cannot be started
 */
export async function launchRanks(
  [file, ...given]: readonly [string, ...string[]],
  { ranks, signal }: { ranks: number; signal?: AbortSignal },
): Promise<RanksEnded> {
  const shared = {
    ...process.env,
    WORLD_SIZE: String(ranks),
    MASTER_ADDR: '127.0.0.1',
    MASTER_PORT: String(await freePort()),
    [RUN_VARIABLE]: randomUUID(),
  };
  const start = (rank: number): ChildProcess =>
    spawn(file, given, {
      // A terminal's Ctrl-C is for this process, which asks them once; by the channel they notice its end.
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...shared, RANK: String(rank), LOCAL_RANK: String(rank) },
    });
  const all = Array.from({ length: ranks }, (_, rank) => start(rank));
  const kill = (how: NodeJS.Signals): void => {
    for (const one of all) if (one.exitCode === null && one.signalCode === null) one.kill(how);
  };
  const ask = (): void => kill('SIGTERM');
  const timers: NodeJS.Timeout[] = [];
  signal?.addEventListener('abort', ask, { once: true });
  if (signal?.aborted) ask();
  let first = 0;
  const ended = all.map(async (one) => {
    const code = await endOf(one);
    if (code === 0 || first !== 0) return;
    first = code;
    if (signal?.aborted) return;
    timers.push(setTimeout(ask, ASK_MILLISECONDS), setTimeout(kill, END_MILLISECONDS, 'SIGKILL'));
  });
  try {
    await Promise.all(ended);
  } catch (error) {
    kill('SIGKILL');
    throw error;
  } finally {
    signal?.removeEventListener('abort', ask);
    timers.forEach(clearTimeout);
  }
  const asked = 128 + constants.signals.SIGTERM;
  return { code: first, wereAsked: signal?.aborted === true && [0, asked].includes(first) };
}

function endOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on('error', (cause) =>
      reject(new HintError('IO', `A rank could not be started (${cause.message}).`, { cause })),
    );
    child.on('exit', (code, how) => resolve(code ?? 128 + constants.signals[how!]));
  });
}

/** A port of this machine that nobody listens at. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening, failed) => {
    server.on('error', failed).listen(0, '127.0.0.1', listening);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}

/** Has this process, which {@link launchRanks} may have started, be asked to end when that one is gone. */
export function endWithLauncher(): void {
  if (!process.channel) return;
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.channel.unref();
}
