import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { HintError } from '../util/errors.js';
import { abortable } from '../util/abortable.js';
import { streamRecords } from '../util/records.js';

const KEPT_MESSAGE = 2000;

/**
 * Another program that is measured beside the engine: a process that answers one JSON object per line, one at a time,
 * so that measurements can alternate and its memory is its own.
 */
export class PeerProcess {
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly answers: AsyncIterator<string>;
  private messages = '';
  private failure: Error | undefined;
  private ended = false;

  /** Whether the process has ended. After an answer that is an error it is still usable. */
  get hasEnded(): boolean {
    return this.ended;
  }

  constructor(
    readonly name: string,
    command: string,
    parameters: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ) {
    // In a process group of its own, a Ctrl-C reaches this process alone, which then ends the peer.
    this.child = spawn(command, parameters, {
      stdio: 'pipe',
      detached: true,
      env: { ...process.env, ...environment },
    });
    this.answers = streamRecords(this.child.stdout);
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.messages = (this.messages + text).slice(-KEPT_MESSAGE);
    });
    this.child.on('error', (error) => (this.failure = error));
    // The missing answer shows that a peer has ended; errors of writing to it are ignored.
    this.child.stdin.on('error', () => undefined);
  }

  /**
   * @param request has the key `do`
   * @returns the peer's answer
   * @throws HintError NOT_SUPPORTED with what went wrong in the peer; ABORTED, which leaves the peer of no use
   */
  async ask<Answer extends object>(request: object, signal?: AbortSignal): Promise<Answer> {
    this.child.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await abortable(this.answers.next(), signal);
    if (done) {
      this.ended = true;
      throw this.refusal(this.failure?.message ?? (await this.lastWords()));
    }
    const answer = parseAnswer(value);
    if (!answer) throw this.refusal(`it answered ${JSON.stringify(value.slice(0, 200))}`);
    if ('error' in answer) throw this.refusal(String(answer.error));
    return answer as Answer;
  }

  /** Ends the process, whatever it is doing. */
  close(): void {
    this.child.kill('SIGKILL');
  }

  private refusal(why: string): HintError {
    return new HintError('NOT_SUPPORTED', `${this.name} cannot be measured: ${why}`);
  }

  /** The last line of its messages once they are complete. */
  private async lastWords(): Promise<string> {
    const { stderr } = this.child;
    if (!stderr.readableEnded) await new Promise((resolve) => stderr.once('close', resolve));
    const { signalCode } = this.child;
    if (signalCode === 'SIGKILL')
      return 'its process was killed, most likely for want of memory; measure less at a time';
    return this.messages.trim().split('\n').at(-1) || 'its process ended without a word';
  }
}

function parseAnswer(line: string): object | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
