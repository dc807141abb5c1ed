import type { CollectionTag, ScalarTag, Tags } from 'yaml';
import { z } from 'zod';
import { HintError } from '../../../util/errors.js';
import { check, listOf } from '../../../util/check.js';
import { checkBytes, withinSeconds } from '../../../util/limits.js';
import { checkLevels, readText } from '../../../util/read-file.js';
import { recordOf } from '../../../util/record-schema.js';

/** A template of a promptsource `templates.yaml`. */
export interface PromptTemplate {
  readonly name: string;
  /** The name in P3: what is no letter, digit, dot or underscore becomes `_`. */
  readonly taskName: string;
  /** Prompt and target with `|||` between them. */
  readonly jinja: string;
  /** Answers with `|||` between them, possibly of the row's fields; undefined for templates without. */
  readonly answerChoices: string | undefined;
  readonly originalTask: boolean;
  readonly choicesInPrompt: boolean;
  readonly metrics: readonly string[];
}

/** A template that cannot be used, and why: a sentence. */
export interface UnusableTemplate {
  /** The name that its file gives it. */
  readonly template: string;
  /** A sentence: what cannot be read, and why. */
  readonly reason: string;
}

/** The templates of one dataset. */
export interface PromptTemplates {
  /** As in P3's names: `super_glue_rte`. */
  readonly dataset: string;
  readonly templates: readonly PromptTemplate[];
  /** Entries of the file that are no templates. */
  readonly unusable: readonly UnusableTemplate[];
}

const fileSchema = z.object({
  dataset: z.string().min(1),
  subset: z.string().nullish(),
  templates: recordOf(z.unknown()),
});

const templateSchema = z.object({
  // What YAML takes for a number or a boolean is a name as Python writes it.
  name: z.union([
    z.string().min(1),
    z.boolean().transform((value) => (value ? 'True' : 'False')),
    z.number().transform(String),
  ]),
  jinja: z.string().min(1),
  answer_choices: z.union([z.string(), listOf(z.string())]).nullish(),
  metadata: z
    .object({
      original_task: z.boolean().nullish(),
      choices_in_prompt: z.boolean().nullish(),
      metrics: listOf(z.string()).nullish(),
    })
    .nullish(),
});

// Bytes of memory that the parser holds for each byte of a document.
const YAML_FACTOR = 256;
const MOST_ALIASES = 100;

// Python's YAML is 1.1 but for lone letters, and for exponents of numbers without a point or a sign: these are texts to it.
const LETTER = '[YyNn]';
const EXPONENT = /^[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)[eE][-+][0-9]+$/;

// The tags only say which Python class an entry is; without them here, each would be a warning.
const tags = ['!Template', '!TemplateMetadata'].map((tag): CollectionTag | ScalarTag => ({
  tag,
  collection: 'map',
  resolve: (map) => map,
}));

/**
 * @throws HintError NOT_FOUND, IO, INVALID_DATA for what is no YAML, or no file of templates, LIMIT_EXCEEDED for a file of
 *   more than a megabyte by default, or one that takes too long
 */
export async function readPromptTemplates(file: string): Promise<PromptTemplates> {
  const text = await readText(file, 'the templates');
  const { data, faults } = check(fileSchema, await parseYaml(text, file));
  if (faults) {
    const [issue] = faults;
    throw new HintError(
      'INVALID_DATA',
      `${file} is no file of promptsource templates: field ${issue.path.join('.') || '(the whole)'} ${issue.message}; give a templates.yaml of promptsource.`,
    );
  }
  const { dataset, subset } = data;
  const templates: PromptTemplate[] = [];
  const unusable: UnusableTemplate[] = [];
  for (const [key, entry] of Object.entries(data.templates)) {
    const read = check(templateSchema, entry);
    if (read.faults) {
      const [issue] = read.faults;
      const where = ['templates', key, ...issue.path].join('.');
      unusable.push({ template: key, reason: `field ${where} ${issue.message}` });
    } else templates.push(promptTemplate(read.data));
  }
  return { dataset: taskName(subset ? `${dataset}_${subset}` : dataset), templates, unusable };
}

function promptTemplate({
  name,
  jinja,
  answer_choices: choices,
  metadata,
}: z.infer<typeof templateSchema>): PromptTemplate {
  // prettier-ignore
  return {
    name,
    taskName: taskName(name),
    jinja,
    answerChoices: Array.isArray(choices) ? choices.join(' ||| ') : (choices ?? undefined),
    originalTask: metadata?.original_task ?? false,
    choicesInPrompt: metadata?.choices_in_prompt ?? false,
    metrics: metadata?.metrics ?? [],
  };
}

/** A document's value. Aliases may stand for a hundred times what they name, no more. */
async function parseYaml(text: string, file: string): Promise<unknown> {
  checkBytes(file, 'as YAML it has', text.length, YAML_FACTOR);
  // Its 72 modules are read in with the first templates.
  const { parseDocument } = await import('yaml');
  try {
    return withinSeconds(file, () => {
      const document = parseDocument(text, {
        version: '1.1',
        customTags: (known) => [...known.map(asInPython), ...tags],
      });
      const [problem] = document.errors;
      if (problem) throw problem;
      const value: unknown = document.toJS({ maxAliasCount: MOST_ALIASES });
      checkLevels(value, file, 'INVALID_DATA');
      return value;
    });
  } catch (cause) {
    if (cause instanceof HintError) throw cause;
    const [first = ''] = (cause as Error).message.split('\n');
    // The reader's first line ends in a colon, behind which it shows the place.
    const reason = cause instanceof RangeError ? 'it is nested too deeply' : first.replace(/:$/, '');
    throw new HintError('INVALID_DATA', `${file} is no YAML (${reason}); fetch the file again.`, { cause });
  }
}

/** A tag of YAML 1.1 as Python's reader has it. */
function asInPython(tag: Tags[number]): Tags[number] {
  if (typeof tag === 'string' || !('test' in tag) || !tag.test) return tag;
  if (tag.tag === 'tag:yaml.org,2002:bool')
    return { ...tag, test: new RegExp(`^(?!${LETTER}$)(?:${tag.test.source})`) };
  return tag.tag === 'tag:yaml.org,2002:float' && tag.format === 'EXP' ? { ...tag, test: EXPONENT } : tag;
}

function taskName(name: string): string {
  return name.replace(/[^\p{L}\p{N}_.]+/gu, '_');
}
