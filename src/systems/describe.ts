import { readsInstruction, type HintConfig } from '../model/config/config.js';
import { ALL_GROUP, HYPERNETWORK_GROUP, T5_GROUP, type System } from './system.js';

/** A system in words, for listings. */
export interface SystemDescription {
  readonly name: string;
  readonly summary: string;
  /** What the hypernetwork reads. */
  readonly hypernetworkReads: string;
  /** What the model reads with every input. */
  readonly modelReads: string;
  /** Modules beside T5, with their default sizes. */
  readonly generates: string;
  readonly trains: string;
  /** The table or section of the paper with its numbers. */
  readonly paper: string;
  /** Fields of model.hint that a run may set. */
  readonly options: readonly string[];
}

/** Describes from its definition what a system feeds, generates and trains. */
export function describeSystem(system: System): SystemDescription {
  const hint = system.hypernetwork?.defaults;
  const { format } = system.setting(0);
  return {
    name: system.name,
    summary: system.summary,
    hypernetworkReads: hint && readsInstruction(hint) ? 'instruction' : 'nothing',
    modelReads: format === 'tk-instruct' || format === 'causal' ? 'instruction and input' : 'input',
    generates: hint ? modulesOf(hint) : 'nothing',
    trains: trainedParts(system),
    paper: system.paper,
    options: system.hypernetwork?.options ?? [],
  };
}

function modulesOf(hint: HintConfig): string {
  const { adapterSize, prefixLength, loraRanks, instructionFusion } = hint;
  const ranks = Object.entries(loraRanks).filter(([, rank]) => rank > 0);
  const learned = readsInstruction(hint) ? '' : 'learned ';
  return [
    ...(adapterSize > 0 ? [`${learned}adapters ${adapterSize}`] : []),
    ...(prefixLength > 0 ? [`${learned}prefixes ${prefixLength}`] : []),
    ...ranks.map(([projection, rank]) => `LoRA ${projection} ${rank}`),
    ...(instructionFusion ? ['fusion'] : []),
  ].join(', ');
}

function trainedParts(system: System): string {
  const { groups } = system;
  if (groups.includes(T5_GROUP) || groups.includes(ALL_GROUP)) return 'everything';
  return groups.includes(HYPERNETWORK_GROUP) ? 'hypernetwork' : groups.map(({ name }) => name).join(', ');
}
