import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startHub, type TestHub } from '../formats/hub/hub-server.js';
import { removeAll } from '../inference/models.js';
import { filesOf, tinyT5 } from '../reproduce/published/stand-ins.js';
import { FIXTURES } from '../training/tiny.js';

const root = resolve(import.meta.dirname, '../..');
const sni = join(FIXTURES, 'sni');

let folder: string, model: string, hub: TestHub;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-cli-published-'));
  model = await tinyT5();
  hub = await startHub({ repository: 'allenai/tk-instruct-base-def-pos', files: await filesOf(model) });
});
afterAll(async () => {
  await hub.close();
  await removeAll([model]);
  await rm(folder, { recursive: true, force: true });
});

function published(...given: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const all = [join(root, 'dist/bundle/cli/main.js'), 'reproduce', 'published', ...given];
  const env = {
    ...process.env,
    HF_ENDPOINT: hub.endpoint,
    HF_HUB_CACHE: join(folder, 'cache'),
    HF_TOKEN: 'secret',
  };
  return new Promise((done) => {
    execFile(process.execPath, all, { env }, (error, stdout, stderr) =>
      done({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    );
  });
}

describe('hint reproduce published', () => {
  it('lists what there is without data or a network', async () => {
    const [text, json] = await Promise.all([published('--list'), published('--list', '--json')]);
    expect([text.code, json.code]).toEqual([0, 0]);
    expect(text.stdout).toMatch(/tk-instruct-base +allenai\/tk-instruct-base-def-pos +476 MiB +apache-2\.0/);
    expect(JSON.parse(json.stdout)).toHaveLength(8);
    expect(hub.requests).toEqual([]);
  });

  it('says what it downloads and how long it takes, and prints the same for machines afterwards', async () => {
    const given = ['tk-instruct-base', '--data', sni, '--limit', '3', '--output', join(folder, 'output')];
    const { code, stdout, stderr } = await published(...given);
    expect(stderr).toMatch(/allenai\/tk-instruct-base-def-pos at commit c+ \(licence: apache-2\.0\): downloads [\d.]+ [KM]iB\./); // prettier-ignore
    expect(stderr).toMatch(/in f32 on cpu then takes at least .* by the paper's median lengths/);
    expect(stderr).toMatch(/evaluating +3\/3\n/);
    expect(stdout).toMatch(/the paper, Table 1, .* 42\.9 .* not comparable/);
    expect(code).toBe(0);

    const machine = await published(...given, '--offline', '--json');
    expect([machine.code, machine.stderr]).toEqual([0, '']);
    const report = JSON.parse(machine.stdout) as { files: string[] };
    expect(report).toMatchObject({ published: 'tk-instruct-base', complete: true, predicted: 3 });
    const [json = ''] = report.files;
    const written = await readFile(json, 'utf8');
    expect({ ...(JSON.parse(written) as object), files: report.files }).toEqual(report);
    expect(written).not.toContain('secret');
  });

  it.each([
    [[], /No model is named; give one of tk-instruct-base, .*--list/],
    [['t5'], /There is no published model "t5"/],
    [['t0-3b'], /is evaluated on P3's prompts of T0's nine .* give their directory with --data/],
    [['t0-3b', '--data', sni, '--model', 'x', '--revision', 'y'], /--revision is about a download/],
    [['t0-3b', '--data', sni, '--limit', '0'], /--limit is "0"; give a whole number/],
  ])('answers %j with a sentence and exit code 2', async (given, sentence) => {
    const { code, stderr } = await published(...given);
    expect(stderr).toMatch(sentence);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(code).toBe(2);
  });
});
