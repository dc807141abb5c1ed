import { collectDefaultMetrics, Counter, Histogram, Registry } from 'prom-client';
import type { Engine } from '../../inference/engine.js';
import { addGauge, addTotal } from '../http/observed.js';

/** What is counted of tokens: instructions that were read, instructions found compiled, inputs, answers. */
export type TokenKind = 'instruction' | 'cached_instruction' | 'input' | 'output';

/** What a server tells Prometheus about itself. */
export class Metrics {
  readonly registry = new Registry();
  private readonly requests: Counter<'route' | 'status'>;
  private readonly seconds: Histogram<'route'>;
  private readonly tokens: Counter<'kind'>;
  private readonly firstToken: Histogram;

  constructor(engine: Engine, inFlight: () => number) {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    this.requests = new Counter({
      name: 'hint_requests_total',
      help: 'Requests answered, by route and status.',
      labelNames: ['route', 'status'],
      registers,
    });
    this.seconds = new Histogram({
      name: 'hint_request_seconds',
      help: 'Seconds from a request to the end of its answer.',
      labelNames: ['route'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120],
      registers,
    });
    this.tokens = new Counter({
      name: 'hint_tokens_total',
      help: 'Tokens, by kind: instruction (read), cached_instruction (found compiled), input, output.',
      labelNames: ['kind'],
      registers,
    });
    this.firstToken = new Histogram({
      name: 'hint_first_token_seconds',
      help: 'Seconds from having the task of a request to its first token.',
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    });
    const gauge = (name: string, help: string, value: () => number): void =>
      addGauge(this.registry, name, help, value);
    gauge('hint_requests_in_flight', 'Requests that are worked on or wait.', inFlight);
    gauge('hint_inputs_running', 'Inputs in the running batch.', () => engine.serving.running);
    gauge('hint_inputs_queued', 'Inputs that wait for the running batch.', () => engine.serving.queued);
    gauge('hint_device_bytes', 'Bytes the device holds.', () => engine.memory.bytes);
    gauge('hint_device_peak_bytes', 'Most bytes the device has held.', () => engine.memory.peakBytes);
    gauge(
      'hint_model_file_bytes',
      'Bytes used where they lie in the model file.',
      () => engine.memory.fileBytes,
    );
    gauge('hint_cached_tasks', 'Tasks in the cache.', () => engine.tasks.metrics.tasks);
    gauge(
      'hint_cached_task_bytes',
      'Bytes on the device of tasks in the cache.',
      () => engine.tasks.metrics.bytes,
    );
    const total = (name: string, help: string, value: () => number): void =>
      addTotal(this.registry, name, help, value);
    total(
      'hint_task_cache_hits_total',
      'Tasks found with everything there.',
      () => engine.tasks.metrics.hits,
    );
    total('hint_task_cache_misses_total', 'Tasks compiled.', () => engine.tasks.metrics.misses);
    total(
      'hint_task_cache_regenerated_total',
      'Tasks made again from the encoded instruction.',
      () => engine.tasks.metrics.regenerated,
    );
    total(
      'hint_task_cache_evictions_total',
      'Tasks of which nothing was kept.',
      () => engine.tasks.metrics.evictions,
    );
    gauge(
      'hint_task_compile_seconds',
      'Seconds to compile a task, averaged with more weight on the latest.',
      () => (engine.tasks.metrics.compileMilliseconds ?? 0) / 1000,
    );
  }

  addRequest(route: string, status: number, seconds: number): void {
    this.requests.inc({ route, status: String(status) });
    this.seconds.observe({ route }, seconds);
  }

  addTokens(kind: TokenKind, count: number): void {
    this.tokens.inc({ kind }, count);
  }

  addFirstToken(seconds: number): void {
    this.firstToken.observe(seconds);
  }
}
