import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PAPER_LENGTHS } from '../../src/accounting/paper-tables.js';
import { publishedDatasets, publishedTotal } from '../../src/data/p3/published-sizes.js';
import { GRIDS } from '../../src/reproduce/index.js';
import { root } from './citations.js';
import { commandsOn, refusal, wordsOf } from './commands.js';

const page = readFileSync(join(root, 'docs/paper.md'), 'utf8');
const rows = [...page.matchAll(/^\| (.+) \|$/gm)]
  .map(([, row = '']) => row.split(' | '))
  .filter(([first]) => first !== 'statement' && first !== '---');

function run(command: string): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((done) => {
    const main = join(root, 'dist/bundle/cli/main.js');
    execFile(process.execPath, [main, ...wordsOf(command).slice(1)], { cwd: root }, (error, stdout, stderr) =>
      done({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    );
  });
}

describe('the commands on docs/paper.md', () => {
  it('are there, with their arguments and options', async () => {
    const commands = [...new Set(commandsOn(page))];
    expect(commands.length).toBeGreaterThan(20);
    const refused: string[] = [];
    for (const command of commands) {
      const why = await refusal(command);
      if (why !== undefined) refused.push(`${command}: ${why}`);
    }
    expect(refused).toEqual([]);
  });

  it('name tables that can be reproduced', () => {
    const grids = [...GRIDS.map(({ name }) => name), 'figure4'];
    const named = commandsOn(page).flatMap((command) => /^hint reproduce (\S+)/.exec(command)?.[1] ?? []);
    const others = ['all', 'published'];
    expect(named.filter((name) => ![...grids, ...others].includes(name))).toEqual([]);
    // Each that there is has a line, so that a new one is not forgotten.
    expect(grids.filter((name) => !named.includes(name))).toEqual([]);
  });

  // Those that need no data and no model.
  const counted = [
    'hint flops --paper',
    'hint flops --curve',
    'hint flops --size base --system hint',
    'hint memory --size xl',
    'hint systems',
  ];
  it.each(counted)('run: %s', async (command) => {
    expect(commandsOn(page)).toContain(command);
    const { code, stdout, stderr } = await run(command);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout.split('\n').length).toBeGreaterThan(5);
  });

  it('give what the page says that they count', async () => {
    const [paper, curve, memory] = await Promise.all([
      run('hint flops --paper'),
      run('hint flops --curve'),
      run('hint memory --size xl'),
    ]);
    expect(paper.stdout).toMatch(/HINT \(ours\) 250M +Def +0\.4 +0\.38 /);
    expect(paper.stdout).toMatch(/HINT \(ours\) 250M +Def \+ 2 Pos\. +0\.4 +0\.39 /);
    expect(paper.stdout).toContain('53 of 53 cells agree; 2 are reproduced by no stated formula');
    expect(curve.stdout).toContain('costs HINT 1.00 % of what it costs Tk-Instruct');
    expect(memory.stdout).toMatch(/paper §C\.2 +204\.79 +554 /);
    expect(memory.stdout).toMatch(/modules and encoded instruction +419\.76 +1139 /);
    expect(page).toContain('from 554 tokens, as held from 1,139');
  });
});

describe('docs/paper.md', () => {
  const tables = Array.from({ length: 10 }, (_, i) => `Table ${i + 1}`);
  it.each([
    ...tables,
    'Figure 3',
    'Figure 4',
    'Figure 5',
    'Figures 1 and 2',
    'Abstract',
    'paper §1',
    'paper §3.1',
    'paper §3.3',
    'paper §3.4',
    'paper §4',
    'paper §5.3',
    'paper §6.1',
    'paper §A',
    'paper §C.2',
    'paper §D',
    'paper §E',
    'Limitations',
    'footnote 7',
  ])('has an answer to %s', (place) => expect(page).toContain(place));

  it('has for each statement what there is here and what the paper says, and a command or the row that has it', () => {
    for (const row of rows) {
      expect([row[0], row.length]).toEqual([row[0], 4]);
      expect(row.every((cell) => cell.trim() !== '')).toBe(true);
      expect(row[1], row[0]).toMatch(/`hint |the same|above/);
    }
    expect(rows.length).toBeGreaterThan(40);
  });

  it("has the paper's counts and medians as code has them", () => {
    const { sni, p3 } = PAPER_LENGTHS;
    const ofSni = [
      sni.instance,
      sni.def.instruction,
      sni.def.full,
      sni.twoPositive.instruction,
      sni.twoPositive.full,
      sni.output,
    ];
    expect(page).toContain(`| ${ofSni.join(', ')} |`);
    expect(page).toContain(
      `| ${[p3.instance, p3.prompt.instruction, p3.prompt.full, p3.output].join(', ')} |`,
    );
    expect(page).toContain(`sum to ${publishedTotal().toLocaleString('en')}`);
    const tasks = publishedDatasets().reduce(
      (sum, { use, templates }) => sum + (use === 'train' ? templates : 0),
      0,
    );
    expect(tasks).toBe(313);
  });
});

describe('what checks the commands of a page', () => {
  it('finds them in blocks and lines, without remarks', () => {
    expect(
      commandsOn('Run `hint data x` or\n\n```sh\nhint train --data p3   # why\nnpm test\n```\n`other`'),
    ).toEqual(['hint train --data p3', 'hint data x']);
    expect(wordsOf('hint a "b c" \'d\' --e=f')).toEqual(['hint', 'a', 'b c', 'd', '--e=f']);
  });

  it.each([
    ['hint no-such-command', /unknown command/],
    ['hint flops --no-such-option', /unknown option/],
    ['hint prepare p4 a b', /unknown command|too many/],
    ['hint prepare sni only-one', /missing required argument/],
    ['hint data a b', /too many arguments/],
    ['hint eval m --data d --max-tokens none', /--max-tokens is "none"/],
  ])('refuses %s', async (command, message) => expect(await refusal(command)).toMatch(message));
});
