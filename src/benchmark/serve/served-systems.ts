import { workerScript } from '../../util/worker-script.js';
import { OUTPUT_TOKENS, sniLengths } from '../lengths.js';
import { GenerationPeer } from '../generation-peer.js';
import { huggingFaceKind, type HfDType } from '../peer-kinds.js';
import { PeerProcess } from '../peer-process.js';
import { settingOf, settingWords } from '../peer-settings.js';
import { loadPeer, startHuggingFaceServer } from '../peers.js';
import { benchConfig, randomTokens, uniforms } from '../random-model.js';
import type { PreparedWorkload } from './bench-server.js';
import type { LoadTarget } from './load.js';
import type { ServedSystem, ServeOptions, ServeSystem } from './serve-run.js';
import type { ServerRequest } from './server-worker.js';

/** What is told of a system besides its figures. */
export type SystemFacts = Omit<
  ServedSystem,
  'clients' | 'ladder' | 'rate' | 'open' | 'clientShare' | 'residentBytes'
>;

/** A server that runs, with the requests that it is asked. */
export interface RunningSystem {
  readonly facts: SystemFacts;
  readonly target: LoadTarget;
  /** Numbers of clients to find the largest rate with. */
  readonly ladder: readonly number[];
  readonly streams?: Pick<PreparedWorkload, 'streams' | 'registrations'>;
  residentBytes(): Promise<number>;
  close(): void;
}

/** Different requests of a load. */
const REQUESTS = 512;

/** Starts a server of this engine, compiles its tasks. @throws HintError NOT_SUPPORTED where its process fails; ABORTED */
export async function startOwn(
  system: Exclude<ServeSystem, 'hf'>,
  options: ServeOptions,
): Promise<RunningSystem> {
  const { size, adapterSize, threads, tasks, longTasks, longInstruction, signal, note } = options;
  const isLong = system !== 'hint';
  const dtype = isLong ? 'f32' : options.dtype;
  const process_ = new PeerProcess(`The server of ${system}`, process.execPath, [
    workerScript('bench-server'),
  ]);
  const ask = <Answer extends object>(asked: ServerRequest): Promise<Answer> => process_.ask(asked, signal);
  try {
    const kind = system === 'decoder-long' ? 'decoder' : 'hint';
    const { url } = await ask<{ url: string }>({ do: 'load', kind, size, adapterSize, dtype, threads });
    const lengths = sniLengths(0);
    const workload = await ask<PreparedWorkload>({
      do: 'workload',
      tasks: isLong ? longTasks : tasks,
      requests: REQUESTS,
      lengths: {
        instruction: isLong ? longInstruction : lengths.instruction,
        input: lengths.input,
        output: OUTPUT_TOKENS,
      },
      seed: isLong ? 23 : 11,
    });
    const { path, bodies, inputTokens, instructionTokens, compileSeconds, flopsPerRequest, taskBytes } =
      workload;
    const total = compileSeconds.reduce((sum, one) => sum + one, 0);
    note?.(`${system} in ${dtype}: ${compileSeconds.length} tasks compiled in ${total.toFixed(1)} s.`);
    return {
      facts: {
        ...{
          system,
          dtype,
          name: `${system} ${dtype}`,
          inputTokens,
          instructionTokens,
          flopsPerRequest,
          taskBytes,
        },
        tasks: compileSeconds.length,
        compileSeconds: total / compileSeconds.length,
      },
      target: { url, path, bodies, tokens: OUTPUT_TOKENS },
      ladder: isLong ? [4, 16] : [16, 64],
      streams: workload,
      residentBytes: async () => (await ask<{ residentBytes: number }>({ do: 'memory' })).residentBytes,
      close: () => process_.close(),
    };
  } catch (error) {
    process_.close();
    throw error;
  }
}

/** Finds what the peer is fastest with, and serves with it. @throws HintError NOT_SUPPORTED; ABORTED */
export async function startPeer(
  dtype: HfDType,
  options: ServeOptions,
  threads: number,
): Promise<RunningSystem> {
  const { size, peerBatch, signal, note } = options;
  const config = benchConfig(size);
  const { full } = sniLengths(0);
  const uniform = uniforms(5);
  const prompts = Array.from({ length: REQUESTS }, () => randomTokens(uniform, full, config.vocabSize));
  const place = { config, threads, device: 'cpu' };
  const tried = await GenerationPeer.start(huggingFaceKind(place), dtype, signal);
  const found = await tried
    .best(prompts.slice(0, peerBatch), OUTPUT_TOKENS, dtype, signal)
    .finally(() => tried.close());
  note?.(`hf in ${dtype} is fastest with ${settingWords(found)}, of ${found.tried} settings.`);
  const held = (found.variant.request['dtype'] ?? dtype) as HfDType;
  const peer = await startHuggingFaceServer(found.memory, signal);
  try {
    const description = await loadPeer(peer, config, { threads, dtype: held }, signal);
    const { port } = await peer.ask<{ port: number }>(
      { do: 'serve', batch: found.batch, tokens: OUTPUT_TOKENS, dtype: held, ...found.variant.request },
      signal,
    );
    return {
      facts: {
        ...{ system: 'hf', dtype, name: `hf ${dtype}`, inputTokens: full, peer: description },
        setting: settingOf(found),
      },
      target: {
        url: `http://127.0.0.1:${port}`,
        path: '/generate',
        bodies: prompts.map((ids) => JSON.stringify({ ids: [...ids] })),
        tokens: OUTPUT_TOKENS,
      },
      // What waits is the next batch.
      ladder: [found.batch, 2 * found.batch],
      residentBytes: async () =>
        (await peer.ask<{ residentBytes: number }>({ do: 'memory' }, signal)).residentBytes,
      close: () => peer.close(),
    };
  } catch (error) {
    peer.close();
    throw error;
  }
}
