import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { streamP3 } from '../../../src/data/p3/dataset.js';
import { JinjaTemplate } from '../../../src/data/p3/promptsource/jinja.js';
import { PromptRenderer, type RenderedPrompt } from '../../../src/data/p3/promptsource/render.js';
import { readPromptTemplates } from '../../../src/data/p3/promptsource/templates.js';
import { renderPromptsource, type RenderOptions } from '../../../src/data/p3/promptsource/write.js';
import { unpackExamples } from '../../../src/data/token-cache.js';
import { rowOf } from './jinja-rows.js';
import { Tokenizer } from '../../../src/formats/tokenizer/tokenizer.js';

const fixture = (name: string): string => new URL(`../../fixtures/${name}`, import.meta.url).pathname;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-promptsource-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const options = (changed: Partial<RenderOptions> = {}): RenderOptions => ({
  templates: fixture('promptsource/templates.yaml'),
  rows: fixture('promptsource/rows.jsonl'),
  directory: join(folder, 'p3'),
  split: 'train',
  ...changed,
});

interface Line {
  template: string;
  idx: number;
  prompt: string;
  target: string;
  answer_choices?: string[];
  instruction: string;
  fields: Record<string, string>;
}

async function render(changed: Partial<RenderOptions> = {}): Promise<Line[]> {
  const { file } = await renderPromptsource(options(changed));
  const lines = gunzipSync(await readFile(file))
    .toString()
    .trim()
    .split('\n');
  return lines.map((line) => JSON.parse(line) as Line);
}

/** One template of a file of its own. */
async function template(jinja: string, answers: string | null = null): Promise<string> {
  const file = join(folder, 'own.yaml');
  const one = { name: 'own', jinja, answer_choices: answers };
  await writeFile(file, JSON.stringify({ dataset: 'shop', subset: null, templates: { a: one } }));
  return file;
}

const renderText = (source: string, row: Record<string, unknown> = {}): string =>
  new JinjaTemplate(source, { where: 'It' })
    .render(rowOf(row), () => 0)
    .map(({ text }) => text)
    .join('');

describe('rendering with promptsource templates', () => {
  it('gives the whole prompt, and the template and the fields apart', async () => {
    const lines = await render();
    expect(lines[0]).toMatchObject({
      dataset: 'shop_reviews',
      template: 'good_or_bad_',
      idx: 0,
      prompt: 'Review: Lovely cup. It keeps tea warm ||| for hours.\n\nIs the review of the cup bad or good?',
      target: 'good',
      answer_choices: ['bad', 'good'],
      instruction: 'Review: [TEXT]\n\nIs the review of [PRODUCT_NAME] bad or good?',
      fields: { TEXT: 'Lovely cup. It keeps tea warm ||| for hours.', PRODUCT_NAME: 'the cup' },
    });
    // A loop over a field is one field: the template does not depend on how many items there are.
    expect(lines[1]).toMatchObject({
      instruction: '[TEXT] Which of these fits best?\n[TAGS]',
      fields: { TAGS: '1. warm\n2. nice\n3. warm' },
      answer_choices: ['warm', 'nice', 'warm'],
      target: 'warm',
    });
  });

  it('gives back the prompt when the fields are put into the template', async () => {
    for (const { prompt, instruction, fields } of await render()) {
      const filled = instruction.replace(/\[([A-Z0-9_]+)\]/g, (_, name: string) => fields[name] as string);
      expect(filled).toBe(prompt);
    }
  });

  it('writes values as Python does, takes the most frequent item, and leaves rows out that have no prompt', async () => {
    const lines = (await render()).filter(({ template: name }) => name === 'name_tag');
    expect(lines.map(({ idx }) => idx)).toEqual([0, 1]);
    expect(lines[0]).toMatchObject({ target: 'warm', fields: { TEXT_0: 'lovely', VERIFIED: 'True' } });
    expect(lines[0]!.instruction).toMatch(/^(Name a tag of|Give a tag for) "\[TEXT_0\]" \(\[VERIFIED\]\)\.$/);
    expect(lines[0]!.answer_choices).toBeUndefined();
  });

  it('draws by the seed alone', async () => {
    const wording = async (seed: number): Promise<string> =>
      JSON.stringify(await render({ seed, only: ['name_tag'] }));
    expect(await wording(3)).toBe(await wording(3));
    const drawn = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(async (seed) => {
      const [line] = await render({ seed, only: ['name_tag'], directory: join(folder, `p3-${seed}`) });
      return line!.instruction;
    })); // prettier-ignore
    expect(new Set(drawn).size).toBe(2);
  });

  it('leaves rows to other templates as they were, whatever a template does to their lists and dicts', async () => {
    const rows = join(folder, 'rows.jsonl');
    await writeFile(rows, '{"l": ["a", {"k": [1]}], "d": {"x": ["y"]}}\n');
    const one =
      '{% set _ = l.append(9) %}{% set _ = l[1].k.clear() %}{% set _ = d.x.pop() %}{{ l }}{{ d }} ||| t';
    const templates = join(folder, 'own.yaml');
    const entries = ['a', 'b'].map((name) => [
      name,
      { name, jinja: one, answer_choices: '{{ d.update(z=1) }}' },
    ]);
    await writeFile(templates, JSON.stringify({ dataset: 'shop', templates: Object.fromEntries(entries) }));
    const prompts = (await render({ templates, rows })).map(({ prompt }) => prompt);
    // The answers belong to the same template, and are rendered first.
    const wanted = "['a', {'k': []}, 9]{'x': [], 'z': 1}";
    expect(prompts).toEqual([wanted, wanted]);
  });

  it('makes a directory that P3 is read from, and adds splits to it', async () => {
    await render();
    await render({ split: 'eval', limit: 2 });
    const lists = await Promise.all(
      ['splits.json', 'templates.json'].map(
        async (name) => JSON.parse(await readFile(join(folder, 'p3', name), 'utf8')) as unknown,
      ),
    );
    expect(lists[0]).toEqual({ train: ['shop_reviews'], eval: ['shop_reviews'] });
    expect(lists[1]).toMatchObject([
      { template: 'good_or_bad_', original_task: true, has_answer_choices: true, rows: 5, fixed_answer_choices: ['bad', 'good'] },
      { template: 'pick_tag', original_task: false, fixed_answer_choices: null },
      { template: 'name_tag', has_answer_choices: false, rows: 4 },
    ]); // prettier-ignore
    const tokenizer = await Tokenizer.load(fixture('tokenizer'));
    const examples = [];
    const setting = { form: 'split', shots: 0 } as const;
    for await (const packed of streamP3({
      directory: join(folder, 'p3'),
      split: 'eval',
      setting,
      tokenizer,
      threads: 0,
      withChoices: true,
    }))
      // prettier-ignore
      examples.push(...unpackExamples(packed));
    expect(examples).toHaveLength(6);
    expect(tokenizer.decode(examples[3]!.input)).toBe('[1]: Broke at once [2]: the lamp');
    expect(examples[0]!.choices?.map(({ text }) => text)).toEqual(['bad', 'good']);
  });
});

describe('the Jinja of promptsource', () => {
  it.each([
    ['{{ names | join(", ") }} {{ names.index("b") }} {{ names[-1] }}', 'a, b, c 1 c'],
    ['{{ {0: "zero", 1: "one"}[label] }}', 'one'],
    ['{{ {"x": "yes"}["x"] if label == 1 else "no" }}', 'yes'],
    ['{% for a, b in zip(names, range(3)) %}{{ a }}{{ b }}{% endfor %}', 'a0b1c2'],
    ['{{ text[:4] }}|{{ text.strip("e") | upper }}|{{ " ".join(names) }}', 'some|SOM|a b c'],
    ['{{ names }} {{ none }} {{ 2.0 }} {{ flag }}', "['a', 'b', 'c'] None 2.0 False"],
    ['{% if absent is defined %}here{% else %}absent{% endif %}', 'absent'],
    ['{% set ns = namespace(n=0) %}{% for a in names %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}', '3'],
  ])('renders %s', (source, expected) => {
    const row = { names: ['a', 'b', 'c'], label: 1, text: 'some', flag: false };
    expect(renderText(source, row).trim()).toBe(expected.trim());
  });

  it('cuts long outputs at a word, each by itself', () => {
    const long = 'word '.repeat(1000).trim();
    const renderer = new PromptRenderer({
      ...{ name: 'long', taskName: 'long', jinja: '{{ text }}!{{ text }} ||| {{ text }}', metrics: [] },
      ...{ answerChoices: undefined, originalTask: true, choicesInPrompt: false },
    });
    const { prompt, fields } = renderer.render(rowOf({ text: long }), () => 0) as RenderedPrompt;
    expect(fields.TEXT).toMatch(/^(word )+word\.\.\.$/);
    expect(fields.TEXT!.length).toBeLessThanOrEqual(2048);
    expect(prompt).toBe(`${fields.TEXT}!${fields.TEXT}`);
  });

  it('stands in YAML as Python reads it: words of YAML 1.1 are booleans, octal numbers are numbers, and the rest is text', async () => {
    const names = ['yes', 'On', 'n', 'Y', '010', '0x1F', '1:30', '1_000', '1e3', '1.0e3', '2.5e+0', '"off"'];
    const entries = names.map((name, i) => `  t${i}: !Template\n    name: ${name}\n    jinja: 'a ||| b'\n    metadata: !TemplateMetadata\n      original_task: yes\n`);
    const file = join(folder, 'own.yaml');
    await writeFile(file, `dataset: shop\ntemplates:\n${entries.join('')}`);
    const read = (await readPromptTemplates(file)).templates;
    expect(read.map(({ name }) => name)).toEqual(['True', 'True', 'n', 'Y', '8', '31', '90', '1000', '1e3', '1.0e3', '2.5', 'off']);
    expect(read.every(({ originalTask }) => originalTask)).toBe(true);
  }); // prettier-ignore
});

describe('what cannot be rendered', () => {
  it.each([
    ['a template that does not end', '{{ text ||| {{ label }}', /no template that can be read; the first: The template "own" cannot be read: TemplateSyntaxError: /],
    ['an unknown filter', '{{ text | shout }} ||| x', /The template "own" cannot be read: TemplateAssertionError: No filter named 'shout'/],
    ['no separator', 'Only {{ text }}', /The template "own" has no \|\|\| between prompt and target/],
  ])('%s is an error that names it', async (_what, jinja, message) => {
    await expect(render({ templates: await template(jinja) })).rejects.toThrow(message);
    expect(await readdir(join(folder, 'p3', 'train')).catch(() => [])).toEqual([]);
  }); // prettier-ignore

  it('of a file leaves out itself, not the file, and is named', async () => {
    const file = join(folder, 'own.yaml');
    const own = (name: string, jinja: unknown): object => ({ name, jinja });
    const templates = {
      a: own('good', '{{ text }} ||| x'),
      b: own('bad tag', '{% break %}{{ text }} ||| x'),
      c: own('bad filter', '{{ text | shout }} ||| x'),
      d: own('no text', true),
      e: own('no target', '{{ text }} x'),
    };
    await writeFile(file, JSON.stringify({ dataset: 'shop', templates }));
    const { templates: rendered, unreadable } = await renderPromptsource(options({ templates: file }));
    expect(rendered).toMatchObject([{ template: 'good', rows: 3, skipped: 0, reasons: [], absentColumns: [] }]);
    expect(unreadable).toMatchObject([
      { template: 'd', reason: /templates\.d\.jinja/ },
      { template: 'bad_tag', reason: /unknown tag 'break'/ },
      { template: 'bad_filter', reason: /No filter named 'shout'/ },
      { template: 'no_target', reason: /no \|\|\|/ },
    ].map(({ template, reason }) => ({ template, reason: expect.stringMatching(reason) as string })));
  }); // prettier-ignore

  it('of a row leaves out the row, and is counted by its reason', async () => {
    const rows = join(folder, 'rows.jsonl');
    const cells = [{ a: 'x', b: '1' }, { a: '', b: '1' }, { a: 'x', b: ' ' }, { a: null, b: '1' }, { a: 'x' }, { a: 'y', b: '|||' }, { a: 'z', b: ['|||'] }, { a: 7, b: 1 }]; // prettier-ignore
    await writeFile(rows, cells.map((row) => JSON.stringify(row)).join('\n'));
    const jinja =
      "{% if a is number %}{{ a.x.y }}{% elif a is none %}{{ 'x' + 1 }}{% endif %}{{ a }} ||| {{ b }}{{ c }}";
    const { templates: rendered, file } = await renderPromptsource(options({ rows, templates: await template(jinja) })); // prettier-ignore
    expect(rendered).toEqual([
      {
        template: 'own',
        rows: 2,
        skipped: 6,
        reasons: [
          { reason: 'empty target', rows: 2, first: expect.stringMatching(/line 3$/) as string },
          { reason: 'empty prompt', rows: 1, first: expect.stringMatching(/line 2$/) as string },
          { reason: 'TypeError', rows: 1, first: expect.stringMatching(/line 4: The template "own" cannot be rendered: TypeError: unsupported operand/) as string },
          { reason: 'more than one |||', rows: 1, first: expect.stringMatching(/line 7$/) as string },
          { reason: 'UndefinedError', rows: 1, first: expect.stringMatching(/line 8: .*'int object' has no attribute 'x'/) as string },
        ],
        absentColumns: ['c'],
      },
    ]); // prettier-ignore
    const lines = gunzipSync(await readFile(file))
      .toString()
      .trim()
      .split('\n');
    expect(lines.map((line) => (JSON.parse(line) as Line).target)).toEqual(['1', '|||']);
  });

  it('by the fault of a column called answer_choices is an error', async () => {
    const rows = join(folder, 'rows.jsonl');
    await writeFile(rows, '{"text": "a", "answer_choices": ["b"]}');
    await expect(render({ rows, templates: await template('{{ text }} ||| x') })).rejects.toThrow(/line 1: The row has a field "answer_choices"/); // prettier-ignore
  });

  it('names the file that is no YAML, the entry that is no template, and the line that is no row', async () => {
    const file = join(folder, 'bad.yaml');
    await writeFile(file, 'templates:\n  - [unclosed\n');
    await expect(render({ templates: file })).rejects.toThrow(
      /bad\.yaml is no YAML \(.*[^:]\); fetch the file again\.$/,
    );
    await writeFile(file, 'dataset: x\ntemplates:\n  a:\n    name: n\n');
    await expect(render({ templates: file })).rejects.toThrow(/field templates\.a\.jinja/);
    await writeFile(file, '{"text": "a"}\n[1]\n');
    await expect(render({ rows: file, templates: await template('{{ text }} ||| x') })).rejects.toThrow(/line 2 is no row/); // prettier-ignore
    await expect(render({ only: ['nothing'] })).rejects.toThrow(/no template "nothing"; there are good or bad\?, pick_tag/); // prettier-ignore
    await expect(render({ rows: join(folder, 'none.jsonl') })).rejects.toThrow(/none\.jsonl/);
  });

  it('stops when told, and leaves nothing', async () => {
    await expect(render({ signal: AbortSignal.abort() })).rejects.toThrow(/aborted/i);
    expect(await readdir(join(folder, 'p3', 'train')).catch(() => [])).toEqual([]);
  });

  it.each([
    '{% for i in range(600) %}{% for j in range(600) %}{% endfor %}{% endfor %}{{ text }} ||| x',
    '{% for i in range(600) %}{{ text if i == 0 }}{% set ns %}{% for j in range(600) %}{% endfor %}{% endset %}{% endfor %} ||| x',
    '{% with %}{% block b %}{% if true %}{% for i in range(600) %}{% for j in range(600) %}{% endfor %}{% endfor %}{% endif %}{% endblock %}{% endwith %}{{ text }} ||| x',
  ])('hears that it is told to stop in the middle of a row (%s)', async (jinja) => {
    const rows = join(folder, 'rows.jsonl');
    await writeFile(rows, '{"text": "a"}');
    const given = { rows, templates: await template(jinja), directory: join(folder, 'own') };
    const lookedAt = async (most: number): Promise<number> => {
      let looks = 0;
      const { signal } = new AbortController();
      Object.defineProperty(signal, 'aborted', { get: () => ++looks > most });
      const lines = await render({ ...given, signal });
      expect(lines).toMatchObject([{ prompt: 'a', target: 'x' }]);
      return looks;
    };
    const looks = await lookedAt(Infinity);
    expect(looks).toBeGreaterThan(60);
    await expect(lookedAt(looks - 30)).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
