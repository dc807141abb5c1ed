import { parseDocument, type ScalarTag, type CollectionTag } from 'yaml';
import { z } from 'zod';
import { HintError } from '../../../errors.js';
import { readBytes } from '../../../util/read-file.js';
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
      answer_choices: z.union([z.string(), z.array(z.string())]).nullish(),
      metadata: z
        .object({
          original_task: z.boolean().nullish(),
          choices_in_prompt: z.boolean().nullish(),
          metrics: z.array(z.string()).nullish(),
        })
        .nullish(),
    }),
  ),
});

// The tags only say which Python class an entry is; without them here, each would be a warning.
const tags = ['!Template', '!TemplateMetadata'].map((tag): CollectionTag | ScalarTag => ({
  tag,
  collection: 'map',
  resolve: (map) => map,
}));

/** @throws HintError NOT_FOUND, IO, INVALID_DATA for what is no YAML, or no file of templates */
export async function readPromptTemplates(file: string): Promise<PromptTemplates> {
  const text = (await readBytes(file, 'the templates')).toString('utf8');
  const document = parseDocument(text, { customTags: tags });
  const [problem] = document.errors;
  if (problem)
    throw new HintError('INVALID_DATA', `${file} is no YAML: ${problem.message.split('\n')[0]}`, {
      cause: problem,
    });
  const parsed = fileSchema.safeParse(document.toJS());
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new HintError(
      'INVALID_DATA',
      `${file} is no file of promptsource templates: field ${issue?.path.join('.') || '(the whole)'}: ${issue?.message ?? 'unknown'}.`,
    );
  }
  const { dataset, subset, templates } = parsed.data;
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

function taskName(name: string): string {
  return name.replace(/[^\p{L}\p{N}_.]+/gu, '_');
}
