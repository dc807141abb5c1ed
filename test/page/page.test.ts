import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/index.js';
import type { RunningServer } from '../../src/server/index.js';
import { ask, openTiny, serve } from '../server/served.js';
import { CHROMIUM, openPage, useBrowser } from './browser.js';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const instruction = 'Name the animal in the sentence.';
const examples = [
  { input: 'A cat sleeps.', output: 'cat' },
  { input: 'Two dogs run.', output: 'dog' },
];
const input = 'A horse and two birds.';
let engine: Engine;
let server: RunningServer;
let folder: string;

async function write(page: Page, shots = examples.length): Promise<void> {
  await page.getByLabel('What to do').fill(instruction);
  for (const [i, example] of examples.slice(0, shots).entries()) {
    await page.getByRole('button', { name: 'Add an example' }).click();
    const group = page.getByRole('group', { name: `Example ${i + 1}` });
    await group.getByLabel('Input').fill(example.input);
    await group.getByLabel('Output').fill(example.output);
  }
}

async function compile(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Compile', exact: true }).click();
  await page.getByText(/^Compiled/).waitFor();
}

/** What somebody with a screen reader, or who sees little contrast, would stumble over. */
async function barriers(page: Page): Promise<string[]> {
  await page.evaluate(await readFile(AXE, 'utf8'));
  const { violations } = (await page.evaluate('axe.run()')) as AxeResults;
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
}

describe.skipIf(CHROMIUM === undefined)('the page', () => {
  useBrowser();
  beforeAll(async () => {
    engine = await openTiny();
    server = await serve(engine);
    folder = await mkdtemp(join(tmpdir(), 'hint-page-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('compiles an instruction, and shows answers as the library gives them', async () => {
    const page = await openPage(server.url);
    await page.getByText('tiny', { exact: true }).waitFor();
    await expect.poll(() => page.getByRole('button', { name: 'Answer' }).isDisabled()).toBe(true);
    await write(page);
    await compile(page);
    using task = await engine.tasks.get({ definition: instruction, examples });
    const told = await page.getByText(/^Compiled/).innerText();
    expect(told).toMatch(
      new RegExp(
        `^Compiled: ${task.instructionTokens} tokens read once, in [\\d.]+ m?s; [\\d.]+ .iB are kept\\.$`,
      ),
    );
    await page.getByLabel('What the instruction is applied to').fill(input);
    await page.getByRole('button', { name: 'Answer' }).click();
    await page.getByText(/tokens read, \d+ tokens? written, in .*, the first token after/).waitFor();
    const [expected] = await task.generate(input);
    const shown = await page.getByRole('listitem').locator('output').textContent();
    expect(shown).toBe(expected?.text);
    await page.getByLabel('What to do').fill(`${instruction} `);
    await expect.poll(() => page.getByRole('button', { name: 'Answer' }).isDisabled()).toBe(true);
  });

  it('can be used with keys alone', async () => {
    const page = await openPage(server.url);
    await page.getByLabel('What to do').focus();
    await page.keyboard.type(instruction);
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByText(/^Compiled/).waitFor();
    // Over the button for an example, to the input.
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.type(input);
    await page.keyboard.press('Enter');
    await page.getByText(/tokens? written/).waitFor();
    expect(await page.getByRole('listitem').count()).toBe(1);
  });

  it('measures beside the plain T5 with each number of examples', async () => {
    const page = await openPage(server.url);
    await write(page);
    await page.getByLabel('What the instruction is applied to').fill(input);
    await page.getByRole('button', { name: 'Measure' }).click();
    await page.getByText(/^With 2 examples the plain T5 reads/).waitFor();
    for (const title of ['Time per input', 'FLOPs per input']) {
      const rows = page.getByRole('table', { name: title }).locator('tbody tr');
      expect(await rows.locator('th').allInnerTexts()).toEqual(['0 examples', '1 example', '2 examples']);
    }
    const flops = await page.getByRole('table', { name: 'FLOPs per input' }).locator('.fill').all();
    const widths = await Promise.all(flops.map(async (bar) => (await bar.boundingBox())?.width ?? 0));
    // Of a compiled task, then of the plain T5, with none, one and two examples.
    const [, none = 0, , one = 0, , two = 0] = widths;
    expect(one - none).toBeGreaterThan(5);
    expect(two - one).toBeGreaterThan(5);
    expect((widths[4] ?? 0) - (widths[0] ?? 0)).toBeLessThan((two - none) / 3);
  });

  it('shows tasks, gives their files and takes them back', async () => {
    const own = await serve(await openTiny());
    const page = await openPage(own.url);
    await page.getByText(/^No task yet/).waitFor();
    await write(page, 1);
    await compile(page);
    const row = page.getByRole('row').filter({ hasText: `${instruction} + 1 example` });
    await row.waitFor();
    expect(await row.getByRole('cell').first().innerText()).toBe('on the device');
    const download = page.waitForEvent('download');
    await row.getByRole('button', { name: /^Download/ }).click();
    const file = join(folder, 'task.safetensors');
    await (await download).saveAs(file);
    await row.getByRole('button', { name: /^Forget/ }).click();
    await page.getByText(/^No task yet/).waitFor();
    await page.getByLabel('Upload a task file').setInputFiles(file);
    await row.waitFor();
    await page.getByText(/^Compiled before: none of its/).waitFor();
    expect((await ask(own, 'GET', '/v1/tasks')).body).toMatchObject({ data: [{ instruction }] });
    const wrong = join(folder, 'wrong.safetensors');
    await writeFile(wrong, 'no task');
    const refused = await openPage(own.url, {}, /status of 400/);
    await refused.getByLabel('Upload a task file').setInputFiles(wrong);
    await refused.getByRole('alert').filter({ hasText: 'task file' }).waitFor();
  });

  it('shows a chat’s task by its id only, and counts requests as they come', async () => {
    const own = await serve(await openTiny());
    const page = await openPage(own.url);
    const requests = page.locator('dl div').filter({ hasText: 'requests in all' }).locator('dd');
    await requests.waitFor();
    const before = Number(await requests.innerText());
    const secret = 'Say what the secret is.';
    const messages = [
      { role: 'system', content: secret },
      { role: 'user', content: input },
    ];
    await ask(own, 'POST', '/v1/chat/completions', { model: 'tiny', messages, max_tokens: 2 });
    await expect
      .poll(async () => Number(await requests.innerText()), { timeout: 30_000 })
      .toBeGreaterThan(before);
    await page.getByText(/^not registered/).waitFor();
    expect(await page.content()).not.toContain(secret);
  });

  it('asks for a key where the server wants one', async () => {
    const key = 'a-key-of-some-length-0123';
    await writeFile(join(folder, 'keys'), key);
    const guarded = await serve(engine, { apiKeys: join(folder, 'keys') });
    const page = await openPage(guarded.url, {}, /status of 401/);
    const field = page.getByLabel('A key of this server');
    await field.fill('another-key-that-is-none');
    await page.getByRole('button', { name: 'Use this key' }).click();
    await page.getByRole('alert').filter({ hasText: 'not one of this server' }).waitFor();
    await field.fill(key);
    await field.press('Enter');
    await page.getByText('tiny', { exact: true }).waitFor();
    await write(page, 0);
    await compile(page);
  });

  it('says so when the server refuses, and when it is gone', async () => {
    const own = await serve(engine, { limits: { instructionTokens: 8 } });
    const page = await openPage(own.url, {}, /status of 400|ERR_CONNECTION_REFUSED/);
    await write(page, 2);
    await page.getByRole('button', { name: 'Compile', exact: true }).click();
    await page.getByRole('alert').filter({ hasText: 'the limit is 8' }).waitFor();
    await own.close();
    await page.getByRole('alert').filter({ hasText: 'is it still running?' }).waitFor();
  });

  it.each([
    ['a desktop', { width: 1280, height: 900 }, 'light'],
    ['a desktop', { width: 1280, height: 900 }, 'dark'],
    ['a phone', { width: 360, height: 740 }, 'light'],
  ] as const)('has no barrier on %s of %o in %s colours, and fits', async (_, viewport, colorScheme) => {
    const page = await openPage(server.url, { viewport, colorScheme });
    await write(page);
    await page.getByLabel('What the instruction is applied to').fill(input);
    await compile(page);
    await page.getByRole('button', { name: 'Answer' }).click();
    await page.getByText(/tokens? written/).waitFor();
    await page.getByRole('button', { name: 'Measure' }).click();
    await page.getByText(/^With 2 examples/).waitFor();
    await page.getByRole('row').filter({ hasText: instruction }).first().waitFor();
    const [inner, outer] = await page.evaluate<[number, number]>(
      '[document.documentElement.scrollWidth, window.innerWidth]',
    );
    expect(inner).toBeLessThanOrEqual(outer);
    const shots = process.env.HINT_PAGE_SCREENSHOTS;
    if (shots !== undefined)
      await page.screenshot({ path: join(shots, `${viewport.width}-${colorScheme}.png`), fullPage: true });
    expect(await barriers(page)).toEqual([]);
  });
});
