import { useRef, useState } from 'preact/hooks';
import { postJson, type Comparison, type Draft } from './api.js';
import { count, flops, milliseconds, sentence } from './format.js';

interface ComparisonPanelProps {
  draft: Draft;
  input: string;
  onMeasured: () => void;
}

/** The input under the compiled instruction and by a plain T5, with no example, with one, and so on to all of the draft. */
export function ComparisonPanel({ draft, input, onMeasured }: ComparisonPanelProps) {
  const [measured, setMeasured] = useState<Comparison[]>([]);
  const [fault, setFault] = useState<string>();
  const [isRunning, setRunning] = useState(false);
  const stop = useRef<AbortController | undefined>(undefined);
  const { instruction, examples } = draft;
  const isReady = instruction.trim() !== '' && input.trim() !== '';

  const measure = async (): Promise<void> => {
    const controller = (stop.current = new AbortController());
    setRunning(true);
    setFault(undefined);
    setMeasured([]);
    try {
      for (let shots = 0; shots <= examples.length; shots++) {
        const body = { instruction, examples: examples.slice(0, shots), input };
        const comparison = await postJson<Comparison>('v1/compare', body, controller.signal);
        setMeasured((before) => [...before, comparison]);
      }
    } catch (error) {
      if (!controller.signal.aborted) setFault(sentence(error));
    } finally {
      setRunning(false);
      onMeasured();
    }
  };

  return (
    <section class="card" aria-labelledby="comparison-title">
      <h2 id="comparison-title">Beside a plain T5</h2>
      <p class="hint">
        The same model without its hypernetwork reads the instruction and the examples with every input. It
        was not trained to: its cost counts, not its words.
      </p>
      <div class="row">
        <button
          type="button"
          class="main"
          disabled={!isReady && !isRunning}
          aria-describedby="comparison-hint"
          onClick={() => (isRunning ? stop.current?.abort() : void measure())}
        >
          {isRunning ? 'Stop' : 'Measure'}
        </button>
        <span id="comparison-hint" class="hint">
          {isReady
            ? `With 0 to ${examples.length} examples, one after the other.`
            : 'Write an instruction and an input first.'}
        </span>
      </div>
      {fault !== undefined && (
        <p class="fault" role="alert">
          {fault}
        </p>
      )}
      {measured.length > 0 && (
        <>
          <Bars
            title="Time per input"
            of={measured}
            value={({ milliseconds: ms }) => ms}
            show={milliseconds}
          />
          <Bars title="FLOPs per input" of={measured} value={(side) => side.flops} show={flops} />
        </>
      )}
      <p class="told" role="status">
        {!isRunning && measured.length > 0 && (
          <Summary last={measured.at(-1) as Comparison} shots={measured.length - 1} />
        )}
      </p>
    </section>
  );
}

type Side = Comparison['plain'];

interface BarsProps {
  title: string;
  of: Comparison[];
  value: (side: Side) => number;
  show: (value: number) => string;
}

/** A row per number of examples, with two bars each; the numbers stand beside them. */
function Bars({ title, of, value, show }: BarsProps) {
  const most = Math.max(...of.flatMap(({ compiled, plain }) => [value(compiled), value(plain)]));
  const bar = (kind: 'compiled' | 'plain', label: string, side: Side) => (
    <td class="bar">
      <span class={`fill ${kind}`} style={{ width: `${(100 * value(side)) / most}%` }} aria-hidden="true" />
      <span class="number">
        <span class="kind">{label}</span> {show(value(side))}
      </span>
    </td>
  );
  return (
    <table class="bars">
      <caption>{title}</caption>
      <thead class="unseen">
        <tr>
          <th scope="col">Examples</th>
          <th scope="col">Compiled</th>
          <th scope="col">Plain T5</th>
        </tr>
      </thead>
      <tbody>
        {of.map(({ compiled, plain }, shots) => (
          <tr key={shots}>
            <th scope="row">{count(shots, 'example')}</th>
            {bar('compiled', 'Compiled', compiled)}
            {bar('plain', 'Plain T5', plain)}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function times(ratio: number): string {
  return `${Number(ratio.toPrecision(2)).toLocaleString('en')} times`;
}

function Summary({ last: { compiled, plain }, shots }: { last: Comparison; shots: number }) {
  const saved = plain.flops - compiled.flops;
  const inputs = Math.ceil(compiled.compile_flops / saved);
  const repaid = saved > 0 ? `, which ${count(inputs, 'input')} win back` : '';
  return (
    <>
      With {count(shots, 'example')} the plain T5 reads {plain.read_tokens.toLocaleString('en')} tokens
      instead of {compiled.read_tokens.toLocaleString('en')}:{' '}
      {times(plain.milliseconds / compiled.milliseconds)} the time, {times(plain.flops / compiled.flops)} the
      FLOPs. Compiling took {flops(compiled.compile_flops)} once{repaid}.
    </>
  );
}
