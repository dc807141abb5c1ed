import { stringify } from 'yaml';
import { markdownTable } from '../../util/markdown.js';
import { shellWord } from '../../util/shell-word.js';
import { shown, shownMarkdown } from '../../util/shown.js';
import type { PublishedScore } from './scores.js';

/** A task file beside a published model. */
export interface PublishedTask {
  /** Path within the folder. */
  readonly file: string;
  readonly definition: string;
  readonly instructionTokens: number;
  /** An input that it can be tried with, if one is known. */
  readonly input: string | undefined;
}

/** What a model card says. */
export interface CardContent {
  readonly title: string;
  /** Sentences about the system. */
  readonly summary: string;
  readonly system: string;
  readonly family: string;
  /** An identifier of the hub's list, such as `apache-2.0`; undefined: none is stated. */
  readonly license: string | undefined;
  /** The hub's names of the data, if they have any. */
  readonly datasets: readonly string[];
  /** The hub's name of what the run started from, if it has one. */
  readonly base: string | undefined;
  readonly parameters: number;
  readonly data: readonly string[];
  /** Settings that people ask for first, by their keys. */
  readonly settings: readonly (readonly [key: string, value: string])[];
  /** Clauses about settings that were others in earlier steps. */
  readonly changes: readonly string[];
  readonly scores: readonly PublishedScore[];
  readonly tasks: readonly PublishedTask[];
  readonly provenance: readonly (readonly [what: string, value: string])[];
  readonly hasCurves: boolean;
}

/** The README.md of a model on the hub: front matter that the hub reads, then text. */
export function modelCard(card: CardContent): string {
  return `---\n${stringify(frontMatter(card))}---\n\n${sections(card).join('\n\n')}\n`;
}

function frontMatter(card: CardContent): Record<string, unknown> {
  const { title, system, family, license, datasets, base, scores } = card;
  const task = family === 't5' ? 'text2text-generation' : 'text-generation';
  return {
    ...(license === undefined ? {} : { license }),
    library_name: 'hint-engine',
    pipeline_tag: task,
    tags: ['hint-engine', system, family],
    ...(datasets.length > 0 ? { datasets: [...datasets] } : {}),
    ...(base === undefined ? {} : { base_model: base }),
    ...(scores.length === 0
      ? {}
      : {
          'model-index': [
            {
              name: title,
              results: scores.map(({ metric, name, value, dataset }) => ({
                task: { type: task },
                dataset: { type: dataset, name: dataset },
                metrics: [{ type: metric, name, value }],
              })),
            },
          ],
        }),
  };
}

function sections(card: CardContent): string[] {
  const { title, summary, license, data, settings, scores, tasks, provenance, parameters } = card;
  return [
    `# ${shownMarkdown(title)}`,
    `${summary} ${parameters.toLocaleString('en')} parameters, trained with [hint-engine](https://github.com/hint-engine/hint-engine).`,
    '## Use',
    usage(tasks),
    ...(tasks.length > 0
      ? [
          '## Compiled tasks',
          'Each file holds what the model made of an instruction, which it does not read again.',
          markdownTable(
            ['file', 'instruction', 'tokens'],
            tasks.map(({ file, definition, instructionTokens }) => [
              { markdown: `[${file}](${file})` },
              definition,
              instructionTokens,
            ]),
          ).join('\n'),
        ]
      : []),
    '## Scores',
    scores.length > 0 ? scoreText(scores) : 'The run was not validated, so there are no scores.',
    '## Data',
    data.join('\n\n'),
    '## Training',
    markdownTable(['setting', 'value'], settings).join('\n'),
    'All settings are in [training_config.json](training_config.json), which `hint train --config` takes once its `data`, `model` and `output` name folders of yours.',
    ...(card.changes.length > 0
      ? [
          `These settings are those of the last step. The run had ${shownMarkdown(card.changes.join('; '))}: no run from the start with them ends in the same model.`,
        ]
      : []),
    ...(card.hasCurves ? ['![Curves of the training](curves.png)'] : []),
    '## Licence',
    license === undefined
      ? 'No licence is stated.'
      : `${shownMarkdown(license)}, as the publisher of this model states it.`,
    '## Provenance',
    markdownTable(['what', 'value'], provenance).join('\n'),
  ];
}

function usage(tasks: readonly PublishedTask[]): string {
  const [first] = tasks;
  // A line feed would end the command, a backtick nothing within a block that tildes fence.
  const input = shown(first?.input ?? 'An input of the task.');
  const command =
    first === undefined
      ? `hint run . --definition "What to do." --input ${shellWord(input)}`
      : `hint run . --task ${first.file} --input ${shellWord(input)}`;
  const opened =
    first === undefined
      ? "const task = await engine.compile({ definition: 'What to do.' });"
      : `const task = await engine.loadTask(${JSON.stringify(first.file)});`;
  return [
    '~~~sh',
    'npm install hint-engine',
    `npx ${command}`,
    '~~~',
    '',
    '~~~js',
    "import { Engine } from 'hint-engine';",
    '',
    "const engine = await Engine.open('.');",
    opened,
    `const [{ text }] = await task.generate([${JSON.stringify(input)}]);`,
    'await engine.close();',
    '~~~',
  ].join('\n');
}

function scoreText(scores: readonly PublishedScore[]): string {
  const commands = [...new Set(scores.map(({ command }) => command))].flatMap((command) => {
    const given = scores.filter((score) => score.command === command).map(({ name }) => name);
    return [`# ${given.join(', ')}`, command];
  });
  return [
    markdownTable(
      ['score', 'value', 'data', 'examples'],
      scores.map(({ name, value, dataset, examples }) => [name, String(value), dataset, examples]),
    ).join('\n'),
    '',
    'The commands that give them, where capitals stand for folders of yours:',
    '',
    '~~~sh',
    ...commands,
    '~~~',
  ].join('\n');
}
