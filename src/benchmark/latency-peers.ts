import { HintError } from '../util/errors.js';
import type { ModelConfig } from '../model/config/config.js';
import { GenerationPeer, type GenerationPeerKind } from './generation-peer.js';
import { OUTPUT_TOKENS } from './lengths.js';
import type { GeneratingPeerName, LatencyOptions, LatencyPart } from './latency-run.js';
import type { Workload } from './latency-workload.js';
import type { PeerProcess } from './peer-process.js';
import { cTranslate2Kind, huggingFaceKind, type PeerPlace } from './peer-kinds.js';
import { settingWords, type FoundSetting } from './peer-settings.js';
import { startOnnx, type PeerDescription } from './peers.js';

/** A dtype of a peer. */
export type PeerDType = 'f32' | 'bf16' | 'int8';

/** An installed peer and its settings. */
export interface MeasuredPeer {
  readonly peer: GenerationPeer<PeerDType>;
  readonly dtypes: readonly PeerDType[];
  /** By {@link settingKey}. */
  readonly settings: ReadonlyMap<string, FoundSetting>;
}

/** The installed peers of a run. */
export interface Peers {
  readonly generating: Partial<Record<GeneratingPeerName, MeasuredPeer>>;
  readonly onnx?: { readonly peer: PeerProcess; readonly weights: string };
  readonly described: LatencyPart['peers'];
  close(): void;
}

/** Peers that generate: how they are named, started, and what they hold beside f32. */
const GENERATING: Readonly<
  Record<
    GeneratingPeerName,
    { name: string; kind: (place: PeerPlace) => unknown; others: readonly PeerDType[]; cpuOnly: boolean }
  >
> = {
  hf: { name: 'Hugging Face', kind: huggingFaceKind, others: ['bf16'], cpuOnly: false },
  ctranslate2: { name: 'CTranslate2', kind: cTranslate2Kind, others: ['int8'], cpuOnly: true },
};

/** @returns where a peer's setting for a dtype and a number of shots stands */
export function settingKey(dtype: PeerDType, shots: number): string {
  return `${dtype} ${shots}`;
}

/**
 * Starts the peers that a run asks for and finds what each is fastest with for every length and dtype. One that is not installed
 * is left out with a reason; an exported model that cannot be opened is an error, since the user named it.
 *
 * @throws HintError NOT_SUPPORTED for the exported model; ABORTED
 */
export async function startPeers(
  options: LatencyOptions,
  config: ModelConfig,
  threads: number,
  work: Workload,
): Promise<Peers> {
  const { systems, device = 'cpu', peerDevice = device, onnx, signal, note } = options;
  const open: { close(): void }[] = [];
  const close = (): void => open.forEach((peer) => peer.close());
  const generating: Partial<Record<GeneratingPeerName, MeasuredPeer>> = {};
  const described: Partial<Record<GeneratingPeerName, PeerDescription | { skipped: string }>> = {};
  try {
    const exported = onnx === undefined ? undefined : await startOnnx(onnx, config, signal);
    if (exported) open.push(exported.peer);
    for (const name of Object.keys(GENERATING) as GeneratingPeerName[]) {
      if (!systems.includes(name)) continue;
      const { name: title, kind, others, cpuOnly } = GENERATING[name];
      try {
        if (cpuOnly && peerDevice !== 'cpu')
          throw new HintError('NOT_SUPPORTED', `it is measured on the CPU only, not on ${peerDevice}.`);
        const place = { config, threads, device: peerDevice };
        const peer = await GenerationPeer.start(kind(place) as GenerationPeerKind<PeerDType>, 'f32', signal);
        open.push(peer);
        // Everything is compared with f32.
        const dtypes: PeerDType[] = ['f32', ...others.filter((dtype) => options.dtypes.includes(dtype))];
        const settings = await findSettings(name, peer, dtypes, work, options);
        peer.keepOnly(settings.values());
        generating[name] = { peer, dtypes, settings };
        described[name] = peer.description;
      } catch (error) {
        if (!(error instanceof HintError) || error.code !== 'NOT_SUPPORTED') throw error;
        described[name] = { skipped: error.message };
        note?.(`${title} is left out: ${error.message}`);
      }
    }
    return {
      generating,
      ...(exported && { onnx: { peer: exported.peer, weights: String(exported.description.weights) } }),
      described: { ...described, ...(exported && { onnx: exported.description }) },
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

async function findSettings(
  name: GeneratingPeerName,
  peer: GenerationPeer<PeerDType>,
  dtypes: readonly PeerDType[],
  { byShots }: Workload,
  { signal, note }: LatencyOptions,
): Promise<Map<string, FoundSetting>> {
  const settings = new Map<string, FoundSetting>();
  for (const [shots, { full }] of byShots) {
    for (const dtype of dtypes) {
      const found = await peer.best(full, OUTPUT_TOKENS, dtype, signal);
      settings.set(settingKey(dtype, shots), found);
      note?.(
        `${GENERATING[name].name} in ${dtype} with ${full[0]?.length ?? 0} tokens is fastest with ${settingWords(found)}, of ${found.tried} settings.`,
      );
    }
  }
  return settings;
}
