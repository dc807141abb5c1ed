// The page of all keys of a training configuration.
import * as z from 'zod';
import { commentsOf } from './comments.mjs';

const INTRODUCTION = `# Configuration

Every key of a run's JSON file, which \`hint train --config FILE\` reads; \`--set key=value\` sets any of them, with dots between nested keys.
What they do together is in [training.md](training.md), [systems.md](systems.md#a-runs-configuration) and [data.md](data.md). A key without a
default may be left out, unless it is said to be needed. Systems of other families than T5 have defaults of their own (\`hint systems\`).
An unknown key is refused, with the known one most like it.

This page is written by \`node scripts/config-page.mjs\` from the schema that checks a configuration.
`;

/** Keys that are told in words, because they are those of another place. */
const LIKE = {
  'validation.data':
    'Keys as those of `data`, but for plain text, which has no answers. `split` is `test` (`sni`), `eval` (`p3`) or `all` (`own`) unless given. ' +
    'Of data of the same kind, `positives`, `form`, `shots` and the limits are as in training unless given.',
};

/** Keys that are objects with names of the user's choice: what each of them may have. */
const NAMED = {
  'optimizer(adafactor).groups': ['NAME', 'adafactorGroupSchema'],
  'optimizer(adamw).groups': ['NAME', 'groupSchema'],
};

/**
 * @param schemas exports of src/training/config: configSchema, and the schemas of what has names of the user's choice
 * @returns the page, and the keys of which no comment says what they are
 */
export function configPage(root, schemas) {
  const commentOf = commentsOf(root);
  const undocumented = [];
  const sections = [];
  section('The run', '', json(schemas.configSchema));
  const head = '| key | may be | default | what it is |\n| --- | --- | --- | --- |';
  const body = sections.map(
    ({ title, rows, words }) => `## ${title}\n\n${words ?? `${head}\n${rows.join('\n')}`}\n`,
  );
  return { text: [INTRODUCTION, ...body].join('\n'), undocumented };

  /** A table of an object's keys, then those of the objects in it. */
  function section(title, path, schema) {
    const inner = [];
    const known = sections.find((one) => one.title === title);
    const { rows } = known ?? { rows: [] };
    if (!known) sections.push({ title, rows });
    for (const [name, of] of Object.entries(schema.properties)) {
      const own = path === '' ? name : `${path}.${name}`;
      const comment = sentence(commentOf(own));
      if (comment === '') undocumented.push(own);
      const needed = schema.required?.includes(name) && of.default === undefined ? 'needed' : '';
      rows.push(
        `| \`${name}\` | ${kinds(of).join(', ')} | ${shownDefault(of) || needed} | ${cell(comment)} |`,
      );
      const named = NAMED[own];
      if (named) inner.push([`${own}.${named[0]}`, json(schemas[named[1]])]);
      if (LIKE[own]) sections.push({ title: titleOf(own), words: LIKE[own] });
      else
        for (const object of objectsOf(of)) {
          const kind = object.properties.kind?.const ?? object.properties.name?.const;
          inner.push([kind === undefined ? own : `${own}(${kind})`, object]);
        }
    }
    for (const [own, object] of inner) section(titleOf(own), own, object);
  }
}

function json(schema) {
  // Of a value that is transformed zod leaves the default out, because it is one of the output.
  const override = ({ zodSchema, jsonSchema }) => {
    const { type, defaultValue } = zodSchema._zod.def;
    if (type === 'default') jsonSchema.default = defaultValue;
  };
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', override });
}

/** `data(sni)` as a reader finds it. */
function titleOf(path) {
  return `\`${path.replace(/\((\w+)\)/g, '')}\`${[...path.matchAll(/(\w+)\((\w+)\)/g)].map(([, key, kind]) => `, ${key === 'optimizer' ? 'name' : 'kind'} \`${kind}\``).at(-1) ?? ''}`;
}

/** Objects with known keys among what a schema admits. */
function objectsOf(schema) {
  const any = schema.anyOf ?? schema.oneOf ?? [schema];
  return any.flatMap((one) => (one.anyOf || one.oneOf ? objectsOf(one) : one.properties ? [one] : []));
}

/** What a value may be, in words. */
function kinds(schema) {
  const any = schema.anyOf ?? schema.oneOf;
  if (any) return [...new Set(any.flatMap(kinds))];
  if (schema.const !== undefined) return [`\`${schema.const}\``];
  if (schema.enum) return schema.enum.map((value) => `\`${value}\``);
  if (schema.type === 'boolean') return ['`true`, `false`'];
  if (schema.type === 'integer') return [`whole number${range(schema)}`];
  if (schema.type === 'number') return [`number${range(schema)}`];
  if (schema.type === 'string') return ['text'];
  if (schema.type === 'array') return [`list of ${kinds(schema.items).join(', ')}`];
  return ['object'];
}

// Bounds that only keep numbers exact, and that nobody meets.
const UNBOUNDED = 2 ** 31 - 1;

function range({ minimum, exclusiveMinimum, maximum, exclusiveMaximum }) {
  const low = minimum !== undefined && minimum > -UNBOUNDED ? ` from ${minimum}` : exclusiveMinimum !== undefined ? ` above ${exclusiveMinimum}` : ''; // prettier-ignore
  const high = maximum !== undefined && maximum < UNBOUNDED ? ` to ${maximum}` : exclusiveMaximum !== undefined ? ` below ${exclusiveMaximum}` : ''; // prettier-ignore
  return `${low}${high}`;
}

function shownDefault(schema) {
  if (schema.default === undefined || typeof schema.default === 'object') return '';
  return `\`${typeof schema.default === 'string' ? schema.default : JSON.stringify(schema.default)}\``;
}

function sentence(comment = '') {
  return comment === '' || /[.!?]$/.test(comment) ? comment : `${comment}.`;
}

function cell(text) {
  return text.replaceAll('|', '\\|');
}
