/** What connects devices that train together; assumed, not measured. */
export interface Network {
  /** Devices of a host. */
  readonly perHost: number;
  /** Bytes a second that a device sends to others of its host, in one direction, as collectives reach it. */
  readonly linkBandwidth: number;
  /** Bytes a second that each device has to other hosts, in one direction, as collectives reach it. */
  readonly networkBandwidth: number;
  /** Seconds from one device to the next within a host, and between hosts. */
  readonly linkLatency: number;
  readonly networkLatency: number;
}

/** Of a link's own rate, as published measurements of large collectives reach it. */
const REACHED = 0.85;
/** Of NVLink between eight H100s or H200s, bytes a second in one direction. */
const NVLINK = 450e9;
const LINK_LATENCY = 1e-6;
const NETWORK_LATENCY = 5e-6;

/**
 * Hosts of GPUs that NVLink connects, with a card for the network beside each GPU.
 *
 * @param rate bytes a second of a GPU's card
 */
export function gpuNetwork(rate: number, perHost = 8, link = NVLINK): Network {
  return {
    perHost,
    linkBandwidth: REACHED * link,
    networkBandwidth: REACHED * rate,
    linkLatency: LINK_LATENCY,
    networkLatency: NETWORK_LATENCY,
  };
}

/**
 * Seconds in which `ranks` devices sum `bytes` so that each has a part of the sums, or in which each gives its part of `bytes` to all:
 * a ring, α for each step and β for each byte. A host's devices pass the same ring on by all of its cards at once.
 *
 * @param collectives how many such there are, of `bytes` in all
 */
export function ringSeconds(network: Network, bytes: number, ranks: number, collectives = 1): number {
  if (ranks === 1) return 0;
  const { perHost, linkBandwidth, networkBandwidth, linkLatency, networkLatency } = network;
  const hosts = Math.ceil(ranks / perHost);
  const outward = hosts === 1 ? 0 : hosts / ranks;
  const latency = (1 - outward) * linkLatency + outward * networkLatency;
  const cards = Math.min(perHost, ranks);
  const bandwidth = hosts === 1 ? linkBandwidth : Math.min(linkBandwidth, cards * networkBandwidth);
  return collectives * (ranks - 1) * latency + (((ranks - 1) / ranks) * bytes) / bandwidth;
}
