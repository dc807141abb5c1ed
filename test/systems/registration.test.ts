import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseModelConfig, type GeneratorKind } from '../../src/model/config/config.js';
import { describeSystem, SYSTEMS, type System } from '../../src/systems/index.js';

const root = join(import.meta.dirname, '..', '..');
const folder = join(root, 'src', 'systems');

function isSystem(value: unknown): value is System {
  return typeof value === 'object' && value !== null && 'p3Setting' in value && 'groups' in value;
}

function messageOf(body: () => unknown): string | undefined {
  try {
    body();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

describe('a system', () => {
  it.each(readdirSync(folder))(
    'that src/systems/%s has is in the list, under the name of the file',
    async (file) => {
      const module = (await import(join(folder, file))) as Record<string, unknown>;
      for (const [member, system] of Object.entries(module)) {
        if (!isSystem(system)) continue;
        expect(
          SYSTEMS.includes(system),
          `src/systems/${file} has the system ${system.name}, SYSTEMS in src/systems/index.ts does not: add ${member} to it`,
        ).toBe(true);
        expect(
          file,
          `the system ${system.name} is looked for in src/systems/${system.name}.ts: rename the file, or the system`,
        ).toBe(`${system.name}.ts`);
      }
    },
  );

  it.each(SYSTEMS.map(({ name }, i) => ({ name, system: SYSTEMS[i] as System })))(
    'speaks of itself in its errors: $name',
    ({ name, system }) => {
      const base = parseModelConfig({
        vocab_size: 9,
        d_model: 4,
        d_kv: 2,
        d_ff: 4,
        num_layers: 1,
        num_heads: 2,
      });
      const messages = [
        messageOf(() => system.hint(base, { generator: 'unheard of' as GeneratorKind })),
        messageOf(() => system.p3Setting({ form: 'split' })),
        messageOf(() => system.p3Setting({ shots: 1 })),
      ].filter((message) => message !== undefined);
      expect(messages.length).toBeGreaterThan(0);
      for (const message of messages)
        expect(
          message,
          `src/systems/${name}.ts gives withHypernetwork, plainT5 or its p3Setting the name of another system`,
        ).toContain(` system ${name} `);
    },
  );

  it('has its row in docs/systems.md, in the order of the list, which says what its hypernetwork reads', () => {
    const page = readFileSync(join(root, 'docs', 'systems.md'), 'utf8');
    const [, rest = ''] = page.split('| system | hypernetwork reads |');
    const [table = ''] = rest.split('\n\n');
    const rows = [...table.matchAll(/^\| `([^`]+)` \| ([^|]+) \|/gm)].map(([, name, reads]) => [name, reads]);
    const described = SYSTEMS.map(describeSystem).map(({ name, hypernetworkReads }) => [
      name,
      hypernetworkReads === 'nothing' ? '–' : hypernetworkReads,
    ]);
    expect(rows, 'the first table of docs/systems.md has a row per system, in the order of SYSTEMS').toEqual(
      described,
    );
  });

  it('says where the paper has its numbers', () => {
    for (const { name, paper } of SYSTEMS)
      expect(
        paper,
        `\`paper\` of ${name} names a table, a figure or a section of the paper, or is 'not in the paper'`,
      ).toMatch(/Table|paper|Figure/);
  });
});
