import { adaptationTable, type Adaptation } from '../modules/adaptations.js';
import { slotsOf } from '../modules/slots.js';
import type { HintConfig, ModelConfig } from '../config/config.js';
import { generatedMemory, type Generated, type Sizes } from './kept-by-layers.js';

type BytesOf = (one: Generated) => number;

/** The modules of a microbatch's tasks: of all slots, and those that one place of a layer reads at once. */
export class ModuleMemory {
  /** Per kind, all slots together. */
  readonly all: readonly Generated[];
  /** Attentions of the generator that read the instructions. */
  readonly attentions: number;
  private readonly table: readonly Adaptation[];

  /** @param hint absent: nothing is generated */
  constructor(
    private readonly sizes: Sizes,
    private readonly hint: HintConfig | undefined,
    private readonly tasks: number,
  ) {
    const { config } = sizes;
    this.table = hint ? adaptationTable(config) : [];
    this.all = this.table.map((one) => this.of(one, slotsOf(config, one.name).length));
    this.attentions = hint && this.table.length > 0 ? generatorAttentions(config, hint) : 0;
  }

  /** The adapter of a layer. */
  ofAdapter(bytes: BytesOf): number {
    return this.read(1, bytes, isAdapter);
  }

  /** Prefixes and LoRA of `slots` attentions. */
  ofAttentions(slots: number, bytes: BytesOf): number {
    return this.read(slots, bytes, (name) => !isAdapter(name));
  }

  /** The largest of what one attention or one projection reads. */
  ofLargest(bytes: BytesOf): number {
    const sites = ['prefix', 'lora_q', 'lora_k', 'lora_v', 'lora_o'];
    return Math.max(0, ...sites.map((site) => this.read(1, bytes, (name) => name.startsWith(site))));
  }

  private read(slots: number, bytes: BytesOf, isKind: (name: string) => boolean): number {
    const kinds = this.table.filter(({ name }) => isKind(name));
    return sum(kinds.map((one) => bytes(this.of(one, slots))));
  }

  private of(adaptation: Adaptation, slots: number): Generated {
    return generatedMemory(this.sizes, this.hint as HintConfig, adaptation, slots, this.tasks);
  }
}

function isAdapter(name: string): boolean {
  return name.startsWith('adapter');
}

/** Attentions between component embeddings and instructions (method §2.4, method §3.4). */
export function generatorAttentions({ numDecoderLayers }: ModelConfig, { generator }: HintConfig): number {
  return generator === 'cross_attention' ? 1 : generator === 'decoder' ? numDecoderLayers : 0;
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
