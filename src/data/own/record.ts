import { HintError } from '../../util/errors.js';
import { showValue } from '../../util/show-value.js';

/** A worked example of an instruction. */
export interface OwnExample {
  input: string;
  output: string;
}

/** One record of a user's own data. */
export interface OwnRecord {
  instruction: string;
  /** Empty where the instruction says everything. */
  input: string;
  /** Acceptable outputs, at least one. */
  outputs: string[];
  /** Names the task; records without it are of the task that their instruction is. */
  task: string | undefined;
  id: string | undefined;
  /** The split it is in, where the data say so. */
  split: string | undefined;
  examples: OwnExample[];
}

/** What is wrong with a field of a record. */
export interface FieldFault {
  field: string;
  message: string;
}

/** What a record was read as. */
export interface ReadRecord {
  record: OwnRecord | undefined;
  faults: FieldFault[];
  /** Fields that mean nothing here. */
  others: string[];
}

/** How the fields may be called; the first name is ours and Alpaca's, the others are Dolly's and OpenAI's. */
export const FIELD_NAMES = {
  instruction: ['instruction', 'prompt'],
  input: ['input', 'context'],
  output: ['output', 'response', 'completion'],
  task: ['task'],
  id: ['id'],
  examples: ['examples'],
} as const;

/** The fields of a worked example. */
export const EXAMPLE_FIELDS = ['input', 'output'] as const;

type Field = keyof typeof FIELD_NAMES;

/**
 * Reads the fields of a record: all that is wrong with it is told at once.
 *
 * @param value a JSON object, or the texts of a row of a table
 * @param splitField the field that says which split the record is in
 */
export function readOwnRecord(value: unknown, splitField: string): ReadRecord {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { record: undefined, faults: [{ field: '', message: `is ${showValue(value)}, no object with fields` }], others: [] }; // prettier-ignore
  const fields = new Map<string, unknown>(Object.entries(value));
  const faults: FieldFault[] = [];
  const take = (field: Field): { name: string; value: unknown } => {
    const given = FIELD_NAMES[field].filter((name) => isGiven(fields.get(name)));
    const [name = field] = given;
    if (given.length > 1)
      faults.push({ field: name, message: `is there as ${given.join(' and ')}; keep one of them` });
    const found = fields.get(name);
    for (const each of FIELD_NAMES[field]) fields.delete(each);
    return { name, value: isGiven(found) ? found : undefined };
  };
  const optionalText = (name: string, found: unknown): string | undefined => {
    if (found === undefined || typeof found === 'string') return found;
    faults.push({ field: name, message: `is ${showValue(found)}, no text` });
    return undefined;
  };
  const split = fields.get(splitField);
  fields.delete(splitField);
  const instruction = take('instruction');
  const text = optionalText(instruction.name, instruction.value);
  if (instruction.value === undefined)
    faults.push({ field: 'instruction', message: missing('instruction', fields) });
  else if (text?.trim() === '') faults.push({ field: instruction.name, message: 'is empty' });
  const input = take('input');
  const [output, task, id, examples] = [take('output'), take('task'), take('id'), take('examples')];
  const record: OwnRecord = {
    instruction: text ?? '',
    input: optionalText(input.name, input.value) ?? '',
    outputs: readOutputs(output, fields, faults),
    task: optionalText(task.name, task.value),
    id: Number.isSafeInteger(id.value) ? String(id.value) : optionalText(id.name, id.value),
    split: isGiven(split) ? optionalText(splitField, split) : undefined,
    examples: readExamples(examples.value, faults),
  };
  return { record: faults.length === 0 ? record : undefined, faults, others: [...fields.keys()] };
}

/** A cell without value is like a field that is not there. */
function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** That a field is missing, with what may stand in its place. */
function missing(field: Field, others: ReadonlyMap<string, unknown>): string {
  const names: readonly string[] = FIELD_NAMES[field];
  const alike = [...others.keys()].find((name) => names.includes(name.trim().toLowerCase()));
  if (alike !== undefined)
    return `is missing; it seems to be called ${showValue(alike)}, and names are in small letters without spaces around them`;
  const [only = '', ...more] = others.keys();
  return more.length === 0 && /[;\t|]/.test(only)
    ? `is missing; there is one column ${showValue(only)}: values are separated by commas in a .csv file and by tabs in a .tsv file`
    : 'is missing';
}

function readOutputs(
  { name, value }: { name: string; value: unknown },
  others: ReadonlyMap<string, unknown>,
  faults: FieldFault[],
): string[] {
  if (typeof value === 'string') return [value];
  if (value === undefined) faults.push({ field: 'output', message: missing('output', others) });
  else if (!Array.isArray(value))
    faults.push({ field: name, message: `is ${showValue(value)}, neither a text nor a list of texts` });
  else if (value.length === 0) faults.push({ field: name, message: 'is an empty list' });
  else {
    const bad = value.findIndex((one) => typeof one !== 'string');
    if (bad < 0) return value as string[];
    faults.push({ field: `${name}[${bad}]`, message: `is ${showValue(value[bad])}, no text` });
  }
  return [];
}

function readExamples(given: unknown, faults: FieldFault[]): OwnExample[] {
  if (given === undefined || given === '') return [];
  let list = given;
  // A cell of a table holds them as JSON.
  if (typeof given === 'string')
    try {
      list = JSON.parse(given);
    } catch {
      faults.push({ field: 'examples', message: `is ${showValue(given)}, no JSON` });
      return [];
    }
  if (!Array.isArray(list)) {
    faults.push({ field: 'examples', message: `is ${showValue(list)}, no list of {"input", "output"}` });
    return [];
  }
  for (const [i, one] of list.entries()) {
    const { input, output } = (one ?? {}) as Record<string, unknown>;
    for (const [name, value] of Object.entries({ input, output }))
      if (typeof value !== 'string') {
        const message = value === undefined ? 'is missing' : `is ${showValue(value)}, no text`;
        faults.push({ field: `examples[${i}].${name}`, message });
        return [];
      }
  }
  return (list as OwnExample[]).map(({ input, output }) => ({ input, output }));
}

/** The error of a record that is not as it should be. */
export function notARecord(where: string, [fault]: readonly FieldFault[]): HintError {
  return new HintError(
    'INVALID_DATA',
    `${describeFault(where, fault)}. Mend it; \`hint data FILE --check\` lists all that is wrong.`,
  );
}

/** A fault as half a sentence. */
export function describeFault(where: string, fault: FieldFault | undefined): string {
  if (!fault) return where;
  return fault.field === '' ? `${where} ${fault.message}` : `${where}: field ${fault.field} ${fault.message}`;
}
