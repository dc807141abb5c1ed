import { sizeTitle } from '../../model/config/sizes.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { median, percentile } from '../../util/statistics.js';
import { workerScript } from '../../util/worker-script.js';
import { OUTPUT_TOKENS } from '../lengths.js';
import { describeMoment } from '../machine.js';
import { PeerProcess } from '../peer-process.js';
import type { LoadResult, LoadTarget } from './load.js';
import type { LoadRequest } from './load-worker.js';
import {
  COMPARED_SHARE,
  type OpenPoint,
  type ServedSystem,
  type ServeOptions,
  type ServePart,
} from './serve-run.js';
import { startOwn, startPeer, type RunningSystem } from './served-systems.js';
import type { TokenGaps } from './token-gaps.js';

/** Shares of the largest rate, beside the compared one, for the chart. */
const OTHER_SHARES = [0.3, 0.9];

/**
 * Servers under load, each in a process of its own as the client is: the largest rate with clients that wait for their answers,
 * and latencies of requests that come at random. Those that are compared take turns.
 *
 * @throws HintError NOT_SUPPORTED where a server of this engine fails; OUT_OF_MEMORY, ABORTED
 */
export async function measureServing(options: ServeOptions): Promise<ServePart> {
  const { systems, size, adapterSize, seconds, rounds, peerDTypes, signal, note } = options;
  const moment = await describeMoment();
  const threads = options.threads || moment.cores;
  const client = new PeerProcess('The client', process.execPath, [workerScript('bench-load')]);
  const bench = new LoadBench(client, options, moment.cores);
  const skipped: Record<string, string> = {};
  const served: ServedSystem[] = [];
  const samples: Record<string, number[]> = {};
  let gaps: TokenGaps | undefined;
  const own = { ...options, threads };
  const groups: (() => Promise<RunningSystem | undefined>)[][] = [
    [
      ...(systems.includes('hint') ? [() => startOwn('hint', own)] : []),
      ...(systems.includes('hf')
        ? peerDTypes.map(
            (dtype) => () =>
              startPeer(dtype, own, threads).catch((error: unknown) => {
                if (!(error instanceof HintError) || error.code !== 'NOT_SUPPORTED') throw error;
                skipped[`hf ${dtype}`] = error.message;
                note?.(`hf in ${dtype} is left out: ${error.message}`);
                return undefined;
              }),
          )
        : []),
    ],
    (['hint-long', 'decoder-long'] as const)
      .filter((system) => systems.includes(system))
      .map((system) => () => startOwn(system, own)),
  ];
  bench.total = groups.flat().length;
  try {
    for (const starts of groups) {
      const running: RunningSystem[] = [];
      try {
        for (const start of starts) {
          throwIfAborted(signal);
          const system = await start();
          if (system) running.push(system);
        }
        served.push(...(await bench.compare(running, samples)));
        const hint = running.find(({ facts }) => facts.system === 'hint');
        if (hint?.streams) gaps = await bench.gaps(hint.target.url, hint.streams);
      } finally {
        for (const system of running) system.close();
      }
    }
  } finally {
    client.close();
  }
  return {
    ...moment,
    ...{ model: sizeTitle(size), adapterSize, outputTokens: OUTPUT_TOKENS, seconds, rounds, threads },
    ...{ served, ...(gaps ? { gaps } : {}), skipped, samples },
  };
}

/** The client and what it measures. */
class LoadBench {
  /** Systems that are measured in all. */
  total = 0;
  private done = 0;

  constructor(
    private readonly client: PeerProcess,
    private readonly options: ServeOptions,
    private readonly cores: number,
  ) {}

  /** Finds the largest rate of each, then takes rounds in turns. */
  async compare(
    systems: readonly RunningSystem[],
    samples: Record<string, number[]>,
  ): Promise<ServedSystem[]> {
    const { rounds } = this.options;
    const measured = [];
    for (const system of systems) measured.push(await this.climb(system));
    for (let round = 0; round < rounds; round++)
      for (const one of measured) {
        const { name } = one.system.facts;
        const closed = await this.closed(one.system.target, one.clients, `${name}, ${one.clients} clients`);
        one.closed.push(closed);
        const open = await this.open(one.system.target, COMPARED_SHARE * one.rate, round, name);
        one.compared.push(...open.latencies);
        const sorted = [...open.latencies].sort((a, b) => a - b);
        const add = (what: string, value: number): void =>
          void (samples[`${name}, ${what}`] ??= []).push(value);
        add('seconds a request', closed.seconds / closed.requests);
        add('p50 at 70 %', percentile(sorted, 0.5));
        add('p99 at 70 %', percentile(sorted, 0.99));
      }
    const served: ServedSystem[] = [];
    for (const one of measured) {
      const { facts, target } = one.system;
      const open = [pointOf(COMPARED_SHARE, COMPARED_SHARE * one.rate, one.compared)];
      for (const share of OTHER_SHARES) {
        const { latencies } = await this.open(target, share * one.rate, 100, facts.name);
        open.push(pointOf(share, share * one.rate, latencies));
      }
      served.push({
        ...facts,
        ...{ clients: one.clients, ladder: one.ladder },
        rate: median(one.closed.map(rateOf)),
        open: open.sort((a, b) => a.share - b.share),
        clientShare: median(
          one.closed.map(({ clientCpuSeconds, seconds }) => clientCpuSeconds / seconds / this.cores),
        ),
        residentBytes: await one.system.residentBytes(),
      });
    }
    return served;
  }

  async gaps(
    url: string,
    { streams, registrations }: NonNullable<RunningSystem['streams']>,
  ): Promise<TokenGaps> {
    const { seconds, signal, onProgress } = this.options;
    onProgress?.(this.done, this.total, 'streams beside a compilation');
    const asked = {
      do: 'gaps',
      url,
      streams,
      compile: registrations,
      seconds: Math.min(5, seconds),
    } as const;
    return this.client.ask<TokenGaps>(asked, signal);
  }

  /** The number of clients with the largest rate; the first load of all warms up. */
  private async climb(system: RunningSystem): Promise<{
    system: RunningSystem;
    clients: number;
    rate: number;
    ladder: { clients: number; rate: number }[];
    closed: LoadResult[];
    compared: number[];
  }> {
    const { name } = system.facts;
    const [fewest = 1] = system.ladder;
    await this.closed(system.target, fewest, `${name}, warming up`, 0);
    const ladder: { clients: number; rate: number }[] = [];
    for (const clients of system.ladder)
      ladder.push({
        clients,
        rate: rateOf(await this.closed(system.target, clients, `${name}, ${clients} clients`)),
      });
    const best = ladder.reduce((a, b) => (b.rate > a.rate ? b : a));
    this.done++;
    return { system, ...best, ladder, closed: [], compared: [] };
  }

  private closed(
    target: LoadTarget,
    clients: number,
    name: string,
    seconds = this.options.seconds,
  ): Promise<LoadResult> {
    this.options.onProgress?.(this.done, this.total, name);
    return this.ask({ do: 'closed', target, clients, seconds });
  }

  private open(target: LoadTarget, rate: number, seed: number, name: string): Promise<LoadResult> {
    this.options.onProgress?.(this.done, this.total, `${name}, ${rate.toPrecision(3)} requests/s`);
    return this.ask({ do: 'open', target, rate, seconds: this.options.seconds, seed });
  }

  private ask(asked: LoadRequest): Promise<LoadResult> {
    throwIfAborted(this.options.signal);
    return this.client.ask<LoadResult>(asked, this.options.signal);
  }
}

function rateOf({ requests, seconds }: LoadResult): number {
  return requests / seconds;
}

function pointOf(share: number, rate: number, latencies: readonly number[]): OpenPoint {
  const sorted = [...latencies].sort((a, b) => a - b);
  return {
    ...{ share, rate, requests: sorted.length },
    p50: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99),
  };
}
