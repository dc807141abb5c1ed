import { collectDefaultMetrics, Registry } from 'prom-client';
import { addGauge, addTotal } from '../http/observed.js';
import type { WorkerPool } from './worker-pool.js';

/** What the front tells Prometheus: its own process, its workers, and what they tell of themselves. */
export class FrontMetrics {
  private readonly registry = new Registry();

  constructor(
    private readonly pool: WorkerPool,
    inFlight: () => number,
  ) {
    const { registry } = this;
    collectDefaultMetrics({ register: registry });
    addGauge(
      registry,
      'hint_front_requests_in_flight',
      'Requests that workers work on, or that wait for one.',
      inFlight,
    );
    addGauge(registry, 'hint_workers_serving', 'Workers that serve now.', () => pool.workers.length);
    addTotal(
      registry,
      'hint_worker_restarts_total',
      'Workers that had ended and were started again.',
      () => pool.restarts,
    );
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  /** Everything, each sample with the label `worker`: "front", or the number of the worker. */
  async text(signal: AbortSignal): Promise<string> {
    const texts = await Promise.all(
      this.pool.workers.map(async (worker) => {
        const text = await worker.tell('/metrics', signal);
        return [String(worker.number), text?.toString() ?? ''] as const;
      }),
    );
    return mergeMetrics([['front', await this.registry.metrics()], ...texts]);
  }
}

/**
 * The metrics of several processes as one text: the samples of a metric stand together, as the format wants it.
 *
 * @param texts by the value of the label `worker`
 */
export function mergeMetrics(texts: readonly (readonly [worker: string, text: string])[]): string {
  const metrics = new Map<string, { head: string[]; samples: string[] }>();
  for (const [worker, text] of texts) {
    let current: { head: string[]; samples: string[] } | undefined;
    for (const line of text.split('\n')) {
      const [, kind, name] = /^# (HELP|TYPE) (\S+)/.exec(line) ?? [];
      if (name !== undefined) {
        current = metrics.get(name) ?? { head: [], samples: [] };
        metrics.set(name, current);
        if (!current.head.some((known) => known.startsWith(`# ${kind} `))) current.head.push(line);
      } else if (line !== '') current?.samples.push(labelled(line, worker));
    }
  }
  const blocks = [...metrics.values()].map(({ head, samples }) => [...head, ...samples].join('\n'));
  return `${blocks.join('\n\n')}\n`;
}

function labelled(sample: string, worker: string): string {
  return sample.replace(
    /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? /,
    (_, name: string, labels: string | undefined) =>
      `${name}{${labels === undefined || labels === '' ? '' : `${labels},`}worker="${worker}"} `,
  );
}
