import type { Ragged } from '../../data/batch.js';
import type { AnyModel } from '../../model/family.js';
import type { Sliced } from '../../tensor/slices.js';
import { Tensor } from '../../tensor/tensor.js';
import {
  callback,
  checked,
  choice,
  ids,
  instance,
  integer,
  list,
  name,
  number,
  optional,
  shaped,
  text,
  where,
  type Kind,
} from '../../util/arguments.js';
import type { CompiledTasks } from '../contract/compiled-tasks.js';
import type { DecodeNetwork } from '../contract/decode-network.js';
import type { Embedder, Family, JointDecoding, PromptFormats } from '../contract/family.js';
import type { TaskTuning } from '../contract/task-tuning.js';

const FAMILY = shaped<Family>(
  {
    name,
    title: text,
    recognises: callback(),
    owns: callback(),
    checkConfig: callback(),
    examine: optional(callback()),
    open: callback(),
    start: callback(),
    prompts: callback(),
    readsInstruction: callback(),
    systemOf: callback(),
    setWeightDType: optional(callback()),
    prepare: optional(callback()),
    keptPerToken: optional(callback()),
    compile: callback(),
    regenerate: optional(callback()),
    valuesPerTask: optional(callback()),
    mostInstructionTokens: optional(callback()),
    taskOfAdapter: optional(callback()),
    storage: optional(callback()),
    openNetwork: callback(),
    plainTwin: optional(callback()),
    joint: optional(
      shaped<JointDecoding>({ open: callback(), logits: callback() }, 'an object { open, logits }'),
    ),
    choiceLosses: callback(),
    embedder: optional(
      shaped<Embedder>({ inputs: callback(), instruction: callback() }, 'an object { inputs, instruction }'),
    ),
    tuning: optional(
      shaped<TaskTuning>(
        { parameters: callback(), losses: callback(), tuned: callback() },
        'an object { parameters, losses, tuned }',
      ),
    ),
    multiplyAdds: callback(),
  },
  'a family: an object with name, title, recognises, owns, open, compile, openNetwork and the others that Family lists',
);

const FORMATS = shaped<PromptFormats>(
  {
    formats: where<PromptFormats['formats']>(
      'a list of prompt formats, the default first, such as ["causal"]',
      (value) => Array.isArray(value) && value.length > 0,
    ),
    reader: text,
  },
  'an object { formats, reader }',
);
const TENSOR = instance(Tensor, 'a tensor');
const TASKS = shaped<Pick<CompiledTasks, 'tensors' | 'bytes' | 'instructionTokens'>>(
  { tensors: list(TENSOR), bytes: number(0), instructionTokens: integer(0) },
  'compiled tasks, an object { tensors, bytes, instructionTokens }',
);
/** Of a family without storage: a task file holds the instruction, to compile it again. */
const STORED_AS_PROMPTS = shaped<{ prompts: Ragged }>(
  {
    prompts: shaped<Ragged>(
      { ids, offsets: instance(Int32Array, 'an Int32Array of offsets') },
      'the instructions { ids, offsets }, which task files hold where there is no storage',
    ),
  },
  'compiled tasks with their prompts',
);
const NETWORK = shaped<Omit<DecodeNetwork, 'device'>>(
  {
    eosTokenId: integer(0),
    cacheLayers: integer(0),
    cacheWidth: integer(0),
    cacheDType: choice('f32', 'bf16'),
    startToken: callback(),
    room: callback(),
    begin: callback(),
    dispose: callback(),
  },
  'a DecodeNetwork',
);
const SLICES = where<Sliced<Tensor>>(
  'what a generator function gives',
  (value) => typeof (value as Partial<Sliced<Tensor>> | undefined)?.[Symbol.iterator] === 'function',
);
const COUNT = number(0);

/**
 * A family from outside, whose members are held to what `Family` says of them: when it is registered, and when they
 * have given something.
 *
 * @throws HintError INVALID_ARGUMENT for what is no family; so do the members of the result, naming member and value
 */
export function checkedFamily(given: Family): Family {
  const family = bound(checked(FAMILY, given, 'family'));
  const told = <T>(kind: Kind<T>, value: unknown, member: keyof Family): void =>
    void checked(kind, value, `${family.name}.${member}(…)`);
  const model: Kind<AnyModel> = where(`a model for which ${family.name}.owns is true`, (value) =>
    family.owns(value),
  );
  return {
    ...family,
    async open(...of) {
      const opened = await family.open(...of);
      told(model, opened, 'open');
      return opened;
    },
    async start(...of) {
      const started = await family.start(...of);
      told(model, started, 'start');
      return started;
    },
    prompts(of) {
      const formats = family.prompts(of);
      told(FORMATS, formats, 'prompts');
      return formats;
    },
    async compile(of, instructions) {
      const tasks = await family.compile(of, instructions);
      told(TASKS, tasks, 'compile');
      if (instructions.offsets.length > 1 && !family.storage?.(of)) told(STORED_AS_PROMPTS, tasks, 'compile');
      return tasks;
    },
    async openNetwork(...of) {
      const network = await family.openNetwork(...of);
      told(NETWORK, network, 'openNetwork');
      return network;
    },
    *choiceLosses(...of): Sliced<Tensor> {
      const slices = family.choiceLosses(...of);
      told(SLICES, slices, 'choiceLosses');
      const losses = yield* slices;
      told(TENSOR, losses, 'choiceLosses');
      return losses;
    },
    multiplyAdds(...of) {
      const counted = family.multiplyAdds(...of);
      told(COUNT, counted, 'multiplyAdds');
      return counted;
    },
  };
}

/** The members of a family that may be an instance of a class, as an object of its own. */
function bound(family: Family): Family {
  const members = Object.keys(FAMILY.members ?? {}) as (keyof Family)[];
  const entries = members.flatMap((member) => {
    const value: unknown = family[member];
    if (value === undefined) return [];
    return [[member, typeof value === 'function' ? (value.bind(family) as unknown) : value] as const];
  });
  return Object.fromEntries(entries) as unknown as Family;
}
