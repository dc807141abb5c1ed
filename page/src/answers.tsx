import { useRef, useState } from 'preact/hooks';
import { streamAnswer, type TaskBody } from './api.js';
import { count, milliseconds, sentence } from './format.js';

/** Answers that stay on the page. */
const KEPT = 50;

interface Answer {
  number: number;
  input: string;
  text: string;
  state: 'running' | 'done' | 'stopped' | 'failed';
  /** What is told below it. */
  note: string;
}

interface AnswersProps {
  task: TaskBody | undefined;
  input: string;
  onInput: (input: string) => void;
  onAnswered: () => void;
}

/** Inputs for the compiled task, and answers as they come, the last one first. */
export function Answers({ task, input, onInput, onAnswered }: AnswersProps) {
  const [answers, setAnswers] = useState<Answer[]>([]);
  const numbers = useRef(0);
  const running = useRef(new Map<number, AbortController>());

  const ask = async (): Promise<void> => {
    if (!task || input.trim() === '') return;
    const number = ++numbers.current;
    const stop = new AbortController();
    running.current.set(number, stop);
    setAnswers((before) => [
      { number, input, text: '', state: 'running', note: '' },
      ...before.slice(0, KEPT - 1),
    ]);
    const change = (change: (answer: Answer) => Partial<Answer>): void =>
      setAnswers((before) => before.map((one) => (one.number === number ? { ...one, ...change(one) } : one)));
    const began = performance.now();
    let first: number | undefined;
    try {
      for await (const event of streamAnswer(task.id, input, stop.signal)) {
        first ??= performance.now() - began;
        if (event.object === 'generation.delta') change(({ text }) => ({ text: text + event.text }));
        if (event.object === 'generation.output') change(() => ({ text: event.text }));
        if (event.object !== 'generation.end') continue;
        const { input_tokens: read, output_tokens: written } = event.usage;
        const took = `${milliseconds(performance.now() - began)}, the first token after ${milliseconds(first)}`;
        change(() => ({
          state: 'done',
          note: `${count(read, 'token')} read, ${count(written, 'token')} written, in ${took}`,
        }));
      }
    } catch (error) {
      if (stop.signal.aborted) change(() => ({ state: 'stopped', note: 'Stopped.' }));
      else change(() => ({ state: 'failed', note: sentence(error) }));
    } finally {
      running.current.delete(number);
      onAnswered();
    }
  };

  return (
    <section class="card" aria-labelledby="input-title">
      <h2 id="input-title">Input</h2>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void ask();
        }}
      >
        <label for="input">What the instruction is applied to</label>
        <textarea
          id="input"
          rows={2}
          required
          value={input}
          placeholder="a blue car"
          aria-describedby="input-hint"
          onInput={(event) => onInput(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            void ask();
          }}
        />
        <div class="row">
          <button type="submit" class="main" disabled={!task}>
            Answer
          </button>
          <span id="input-hint" class="hint">
            {task ? 'Enter answers, Shift+Enter begins a line.' : 'Compile an instruction first.'}
          </span>
        </div>
      </form>
      <ol class="answers" reversed aria-label="Answers, the last one first">
        {answers.map((answer) => (
          <li key={answer.number} class={answer.state}>
            <p class="asked">{answer.input}</p>
            <output class="answer" aria-live="polite" aria-busy={answer.state === 'running'}>
              {answer.text === '' && answer.state === 'done' ? <em>(an empty answer)</em> : answer.text}
              {answer.state === 'running' && <span class="cursor" aria-hidden="true" />}
            </output>
            <p class={answer.state === 'failed' ? 'fault' : 'hint'}>
              {answer.note}
              {answer.state === 'running' && (
                <button
                  type="button"
                  class="quiet"
                  onClick={() => running.current.get(answer.number)?.abort()}
                >
                  Stop
                </button>
              )}
            </p>
          </li>
        ))}
      </ol>
    </section>
  );
}
