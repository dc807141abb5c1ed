import type { Tensor } from '../../tensor/tensor.js';
import { componentsPerSlot, type Adaptation } from '../modules/adaptations.js';
import type { Network } from '../t5/network.js';

/** The embeddings of components that a hypernetwork has learned (method §2.4). */
export class ComponentEmbeddings {
  /** By kind and slots: which rows of the table, on the device. */
  private readonly rows = new Map<string, Tensor>();

  constructor(private readonly network: Network) {}

  /** Those of one kind of module for `slots`, slot after slot: [slots × components, dModel]. */
  of(adaptation: Adaptation, slots: readonly number[]): Tensor {
    return this.network.weights.gather(this.rowsOf(adaptation, slots), 'hypernetwork.embedding.weight');
  }

  private rowsOf(adaptation: Adaptation, slots: readonly number[]): Tensor {
    const key = `${adaptation.name} ${slots.join()}`;
    const known = this.rows.get(key);
    if (known) return known;
    const { device, config } = this.network;
    const { hint } = config;
    const { components, offset } = adaptation;
    let rows: number[];
    if (hint?.perLayerGenerators) {
      // A plain reshape puts `embeddingSlots` consecutive rows side by side (method §3.4), so a component owns that many.
      const side = hint.embeddingSlots;
      rows = Array.from({ length: components * side }, (_, i) => offset * side + i);
    } else {
      const perSlot = componentsPerSlot(config);
      rows = slots.flatMap((slot) =>
        Array.from({ length: components }, (_, c) => slot * perSlot + offset + c),
      );
    }
    const ids = device.keep(device.tensor(Int32Array.from(rows), [rows.length]));
    this.rows.set(key, ids);
    return ids;
  }
}
