import type { Draft, Example, TaskBody } from './api.js';
import { bytes, count, milliseconds } from './format.js';

const SAMPLE: Draft = {
  instruction:
    'Here is a record with several fields. Say what stands after name and then name the second value. Do not write anything else.',
  examples: [],
};

interface InstructionFormProps {
  draft: Draft;
  /** The compiled task of just this draft. */
  task: TaskBody | undefined;
  busy: boolean;
  onChange: (draft: Draft) => void;
  onCompile: () => void;
}

/** What to do, with examples; compiled when it is sent. */
export function InstructionForm({ draft, task, busy, onChange, onCompile }: InstructionFormProps) {
  const { instruction, examples } = draft;
  const setExample = (index: number, part: Partial<Example>): void =>
    onChange({ ...draft, examples: examples.map((one, i) => (i === index ? { ...one, ...part } : one)) });
  return (
    <form
      class="card"
      aria-labelledby="instruction-title"
      onSubmit={(event) => {
        event.preventDefault();
        onCompile();
      }}
    >
      <div class="head">
        <h2 id="instruction-title">Instruction</h2>
        {instruction === '' && (
          <button type="button" class="quiet" onClick={() => onChange(SAMPLE)}>
            Fill in a sample
          </button>
        )}
      </div>
      <label for="instruction">What to do</label>
      <textarea
        id="instruction"
        rows={4}
        required
        placeholder="Name the colour in the list of words."
        value={instruction}
        onInput={(event) => onChange({ ...draft, instruction: event.currentTarget.value })}
      />
      {examples.map((example, index) => (
        <fieldset key={index} class="example">
          <legend>Example {index + 1}</legend>
          <label>
            Input
            <input
              value={example.input}
              required
              onInput={(event) => setExample(index, { input: event.currentTarget.value })}
            />
          </label>
          <label>
            Output
            <input
              value={example.output}
              required
              onInput={(event) => setExample(index, { output: event.currentTarget.value })}
            />
          </label>
          <button
            type="button"
            class="quiet"
            aria-label={`Remove example ${index + 1}`}
            onClick={() => onChange({ ...draft, examples: examples.filter((_, i) => i !== index) })}
          >
            Remove
          </button>
        </fieldset>
      ))}
      <div class="row">
        <button type="submit" class="main" disabled={busy}>
          {busy ? 'Compiling…' : 'Compile'}
        </button>
        <button
          type="button"
          onClick={() => onChange({ ...draft, examples: [...examples, { input: '', output: '' }] })}
        >
          Add an example
        </button>
      </div>
      <p class="told" role="status">
        {task && <Compiled task={task} />}
      </p>
    </form>
  );
}

function Compiled({ task }: { task: TaskBody }) {
  const { instruction_tokens: tokens, unknown_tokens: unknown, compile_milliseconds: took, cache } = task;
  const lacks = unknown > 0 ? `. The vocabulary lacks ${count(unknown, 'piece')} of it` : '';
  const kept = `${cache ? `; ${bytes(cache.bytes)} are kept` : ''}${lacks}`;
  if (tokens === 0) return <>Ready. This model reads the instruction with every input.</>;
  if (took === undefined)
    return (
      <>
        Compiled before: none of its {count(tokens, 'token')} was read again{kept}.
      </>
    );
  return (
    <>
      Compiled: {count(tokens, 'token')} read once, in {milliseconds(took)}
      {kept}.
    </>
  );
}
