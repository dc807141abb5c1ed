import { parseDocument, type ScalarTag, type CollectionTag } from 'yaml';
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

/** The templates of one dataset. */
export interface PromptTemplates {
  /** As in P3's names: `super_glue_rte`. */
  readonly dataset: string;
  readonly templates: readonly PromptTemplate[];
}

const fileSchema = z.object({
  dataset: z.string().min(1),
  subset: z.string().nullish(),
  templates: recordOf(
    z.object({
      name: z.string().min(1),
      jinja: z.string().min(1),
      answer_choices: z.union([z.string(), listOf(z.string())]).nullish(),
      metadata: z
        .object({
          original_task: z.boolean().nullish(),
          choices_in_prompt: z.boolean().nullish(),
          metrics: listOf(z.string()).nullish(),
        })
        .nullish(),
    }),
  ),
});

// Bytes of memory that the parser holds for each byte of a document.
const YAML_FACTOR = 256;
const MOST_ALIASES = 100;

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
  const { data, faults } = check(fileSchema, parseYaml(text, file));
  if (faults) {
    const [issue] = faults;
    throw new HintError(
      'INVALID_DATA',
      `${file} is no file of promptsource templates: field ${issue.path.join('.') || '(the whole)'}: ${issue.message}.`,
    );
  }
  const { dataset, subset, templates } = data;
  return {
    dataset: taskName(subset ? `${dataset}_${subset}` : dataset),
    templates: Object.values(templates).map(({ name, jinja, answer_choices: choices, metadata }) => ({
      name,
      taskName: taskName(name),
      jinja,
      answerChoices: Array.isArray(choices) ? choices.join(' ||| ') : (choices ?? undefined),
      originalTask: metadata?.original_task ?? false,
      choicesInPrompt: metadata?.choices_in_prompt ?? false,
      metrics: metadata?.metrics ?? [],
    })),
  };
}

/** A document's value. Aliases may stand for a hundred times what they name, no more. */
function parseYaml(text: string, file: string): unknown {
  checkBytes(file, 'as YAML it has', text.length, YAML_FACTOR);
  try {
    return withinSeconds(file, () => {
      const document = parseDocument(text, { customTags: tags });
      const [problem] = document.errors;
      if (problem) throw problem;
      const value: unknown = document.toJS({ maxAliasCount: MOST_ALIASES });
      checkLevels(value, file, 'INVALID_DATA');
      return value;
    });
  } catch (cause) {
    if (cause instanceof HintError) throw cause;
    const reason = cause instanceof RangeError ? 'it is nested too deeply' : (cause as Error).message;
    throw new HintError('INVALID_DATA', `${file} is no YAML: ${reason.split('\n')[0]}`, { cause });
  }
}

function taskName(name: string): string {
  return name.replace(/[^\p{L}\p{N}_.]+/gu, '_');
}
