import { useEffect, useState } from 'preact/hooks';
import { getText } from './api.js';
import { bytes, milliseconds, sentence, short } from './format.js';
import { readMetrics } from './prometheus.js';

const EVERY = 1000;
const KEPT = 60;

interface Sample {
  at: number;
  metrics: Map<string, number>;
}

/** What the server does now, from its metrics, once a second while the page is seen. */
export function Live({ ready }: { ready: boolean }) {
  const [samples, setSamples] = useState<Sample[]>([]);
  const [fault, setFault] = useState<string>();

  useEffect(() => {
    if (!ready) return;
    let isOver = false;
    let timer: ReturnType<typeof setTimeout>;
    const load = async (): Promise<void> => {
      if (document.visibilityState === 'visible')
        try {
          const metrics = readMetrics(await getText('metrics'));
          setSamples((before) => [...before.slice(-KEPT), { at: performance.now(), metrics }]);
          setFault(undefined);
        } catch (error) {
          setFault(sentence(error));
        }
      if (!isOver) timer = setTimeout(() => void load(), EVERY);
    };
    void load();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [ready]);

  const now = samples.at(-1)?.metrics;
  const value = (name: string): number => now?.get(name) ?? 0;
  const rates = (name: string): number[] =>
    samples.slice(1).map(({ at, metrics }, i) => {
      const before = samples[i] as Sample;
      return (1000 * ((metrics.get(name) ?? 0) - (before.metrics.get(name) ?? 0))) / (at - before.at);
    });
  const tokens = rates('hint_tokens_total.output');
  const found = value('hint_task_cache_hits_total');
  const asked = found + value('hint_task_cache_misses_total') + value('hint_task_cache_regenerated_total');
  return (
    <section class="card" aria-labelledby="live-title">
      <h2 id="live-title">Now</h2>
      {fault !== undefined && (
        <p class="fault" role="alert">
          {fault}
        </p>
      )}
      <dl class="live">
        <Figure name="requests in all" value={value('hint_requests_total').toLocaleString('en')} />
        <Figure name="under way" value={short(value('hint_requests_in_flight'))} />
        <Figure name="inputs in the batch" value={short(value('hint_inputs_running'))} />
        <Figure name="inputs that wait" value={short(value('hint_inputs_queued'))} />
        <Figure
          name="tasks found in the cache"
          value={asked === 0 ? '–' : `${short((100 * found) / asked)} %`}
        />
        <Figure name="on the device" value={bytes(value('hint_device_bytes'))} />
        <Figure
          name="lag of the event loop, p99"
          value={milliseconds(1000 * value('nodejs_eventloop_lag_p99_seconds'))}
        />
        <Figure name="tokens a second" value={short(Math.round(tokens.at(-1) ?? 0))}>
          <Line values={tokens} />
        </Figure>
      </dl>
    </section>
  );
}

function Figure(props: { name: string; value: string; children?: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{props.name}</dt>
      <dd>
        {props.value}
        {props.children}
      </dd>
    </div>
  );
}

/** The last minute as a line. */
function Line({ values }: { values: number[] }) {
  const most = Math.max(...values, 1);
  const first = KEPT - values.length;
  const points = values.map((value, i) => `${first + i},${(19 - (18 * value) / most).toFixed(1)}`).join(' ');
  return (
    <svg class="line" viewBox={`0 0 ${KEPT} 20`} preserveAspectRatio="none" aria-hidden="true">
      <polyline points={points} />
    </svg>
  );
}
