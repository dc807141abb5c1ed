import { describe, expect, it } from 'vitest';
import type { HintError } from '../../src/util/errors.js';
import { parseModelConfig, type ModelConfig } from '../../src/model/config/config.js';
import { parameterShapes } from '../../src/model/parameters/parameter-shapes.js';
import { PAPER_HYPERNETWORK } from '../../src/systems/hint.js';
import { findSystem, SYSTEMS } from '../../src/systems/index.js';
import type { Tensor } from '../../src/tensor/tensor.js';
import { assignGroups } from '../../src/training/step/parameter-groups.js';

const base: ModelConfig = parseModelConfig({
  vocab_size: 200,
  d_model: 32,
  d_kv: 8,
  d_ff: 64,
  num_layers: 2,
  num_heads: 4,
});
const hint = findSystem('hint');

/** Grouping looks at names only. */
function parametersOf(config: ModelConfig): [string, Tensor][] {
  return [...parameterShapes(config).keys()].map((name) => [name, {} as Tensor]);
}

function messageOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    return (error as HintError).message;
  }
  throw new Error('nothing was thrown');
}

describe('systems', () => {
  it('have distinct names, and a wrong name is answered with the right ones', () => {
    expect(new Set(SYSTEMS.map(({ name }) => name)).size).toBe(SYSTEMS.length);
    const message = messageOf(() => findSystem('hnit'));
    for (const { name } of SYSTEMS) expect(message).toContain(name);
  });

  it('feed what the paper says', () => {
    expect(hint.setting(2)).toEqual({ format: 'hint', positives: 2 });
    expect(findSystem('tk-instruct').setting(0)).toEqual({ format: 'tk-instruct', positives: 0 });
    expect(findSystem('no-instruct').setting(0)).toEqual({ format: 'no-instruct', positives: 0 });
  });

  it('shows P3 prompts as HINT, T0 and No Prompt do', () => {
    const hint = findSystem('hint');
    expect(hint.p3Setting({})).toEqual({ form: 'joint', shots: 0 });
    expect(hint.p3Setting({ form: 'split', shots: 4 })).toEqual({ form: 'split', shots: 4 });
    expect(findSystem('tk-instruct').p3Setting({ shots: 2 })).toEqual({ form: 't0', shots: 2 });
    expect(findSystem('no-instruct').p3Setting({})).toEqual({ form: 'no-prompt', shots: 0 });
  });

  it('refuses P3 requests that a system has no way to follow', () => {
    expect(() => findSystem('tk-instruct').p3Setting({ form: 'split' })).toThrow(/one form only/);
    expect(() => findSystem('no-instruct').p3Setting({ shots: 1 })).toThrow(/no worked examples/);
  });

  it('hint puts the paper hypernetwork beside a plain T5, and keeps the one a checkpoint brings', () => {
    expect(hint.hint(base, {})).toEqual(PAPER_HYPERNETWORK);
    const stored = { ...base, hint: { ...PAPER_HYPERNETWORK, adapterSize: 7 } };
    expect(hint.hint(stored, { prefixLength: 3, adapterBias: undefined })).toEqual({
      ...PAPER_HYPERNETWORK,
      adapterSize: 7,
      prefixLength: 3,
    });
  });

  it('baselines are plain T5, and options of a hypernetwork they do not have are an error', () => {
    for (const name of ['tk-instruct', 'no-instruct']) {
      const system = findSystem(name);
      expect(system.hint({ ...base, hint: PAPER_HYPERNETWORK }, {})).toBeUndefined();
      expect(messageOf(() => system.hint(base, { adapterSize: 4 }))).toMatch(/no hypernetwork.*adapterSize/);
    }
  });
});

describe('parameter groups', () => {
  const full = { ...base, hint: { ...PAPER_HYPERNETWORK, adapterSize: 4, prefixLength: 3 } };
  const settings = { firstStep: 1_100_000, multiplyByParameterScale: true };

  it('restart the schedule of a new hypernetwork and go on with T5', () => {
    const groups = assignGroups(parametersOf(full), hint.groups, settings);
    expect(groups.map(({ name, stepOffset }) => [name, stepOffset])).toEqual([
      ['hyper', 1_100_000],
      ['t5', 0],
    ]);
    const [hyper, t5] = groups.map((group) => [...group.parameters.keys()]);
    expect(hyper!.every((name) => name.startsWith('hypernetwork.'))).toBe(true);
    expect(t5!.sort()).toEqual([...parameterShapes(base).keys()].sort());
  });

  it('take offset and scaling of a group from the run, as the fine-tuning of a pretrained HINT needs', () => {
    const [hyper, t5] = assignGroups(parametersOf(full), hint.groups, {
      ...settings,
      groups: { hyper: { stepOffset: 1_090_000, multiplyByParameterScale: false } },
    });
    expect(hyper).toMatchObject({ stepOffset: 1_090_000, multiplyByParameterScale: false });
    expect(t5).toMatchObject({ stepOffset: 0, multiplyByParameterScale: true });
  });

  it('leave out what no group takes, which is how a system freezes T5', () => {
    const onlyHyper = hint.groups.filter(({ name }) => name === 'hyper');
    const groups = assignGroups(parametersOf(full), onlyHyper, settings);
    expect(groups.map(({ name }) => name)).toEqual(['hyper']);
    expect(messageOf(() => assignGroups(parametersOf(base), onlyHyper, settings))).toMatch(
      /trains no parameter/,
    );
  });

  it('refuse settings of a group that does not exist and a schedule that starts in the future', () => {
    const assign = (groups: object) => () =>
      assignGroups(parametersOf(full), hint.groups, { ...settings, groups: { ...groups } });
    expect(messageOf(assign({ hypr: {} }))).toMatch(/hypr.*hyper, t5/);
    expect(messageOf(assign({ t5: { stepOffset: 1_100_001 } }))).toMatch(/1100001.*first step 1100000/);
  });
});
