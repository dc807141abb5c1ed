import { useCallback, useEffect, useState } from 'preact/hooks';
import { Answers } from './answers.js';
import { getJson, postJson, ServerError, setKey, type Draft, type TaskBody } from './api.js';
import { ComparisonPanel } from './comparison.js';
import { sentence } from './format.js';
import { InstructionForm } from './instruction.js';
import { KeyForm } from './key.js';
import { Live } from './live.js';
import { Tasks } from './tasks.js';

const EMPTY: Draft = { instruction: '', examples: [] };

/** Whether a task is that of what is written now. */
function isOf(task: TaskBody, draft: Draft): boolean {
  const key = ({ instruction, examples }: Draft): string =>
    JSON.stringify([instruction, examples.map(({ input, output }) => [input, output])]);
  return key(task) === key(draft);
}

export function App() {
  const [model, setModel] = useState<string>();
  const [needsKey, setNeedsKey] = useState(false);
  const [fault, setFault] = useState<string>();
  const [draft, setDraft] = useState(EMPTY);
  const [task, setTask] = useState<TaskBody>();
  const [busy, setBusy] = useState(false);
  const [input, setInput] = useState('');
  // Counts what may have changed the list of tasks.
  const [changes, setChanges] = useState(0);
  const changed = useCallback(() => setChanges((before) => before + 1), []);

  const connect = useCallback(async () => {
    try {
      const { data } = await getJson<{ data: { id: string }[] }>('v1/models');
      setModel(data[0]?.id ?? 'model');
      setNeedsKey(false);
      setFault(undefined);
    } catch (error) {
      setNeedsKey(error instanceof ServerError && error.status === 401);
      setFault(sentence(error));
    }
  }, []);
  useEffect(() => void connect(), [connect]);

  const compile = async (): Promise<void> => {
    setBusy(true);
    setFault(undefined);
    try {
      setTask(await postJson<TaskBody>('v1/tasks', draft));
      changed();
    } catch (error) {
      setTask(undefined);
      setFault(sentence(error));
    } finally {
      setBusy(false);
    }
  };
  const use = (chosen: TaskBody): void => {
    const { instruction, examples } = chosen;
    setDraft({ instruction, examples });
    setTask(chosen);
    setFault(undefined);
    document.getElementById('input')?.focus();
  };
  const current = task && isOf(task, draft) ? task : undefined;

  if (needsKey)
    return (
      <Frame model={undefined}>
        <KeyForm
          fault={fault}
          onKey={(key) => {
            setKey(key);
            void connect();
          }}
        />
      </Frame>
    );
  return (
    <Frame model={model}>
      {fault !== undefined && (
        <p class="fault" role="alert">
          {fault}
        </p>
      )}
      <div class="columns">
        <div class="column">
          <InstructionForm draft={draft} task={current} busy={busy} onChange={setDraft} onCompile={compile} />
          <Answers task={current} input={input} onInput={setInput} onAnswered={changed} />
        </div>
        <div class="column">
          <ComparisonPanel draft={draft} input={input} onMeasured={changed} />
          <Live ready={model !== undefined} />
        </div>
      </div>
      <Tasks ready={model !== undefined} changes={changes} onChanged={changed} onUse={use} />
    </Frame>
  );
}

function Frame({ model, children }: { model: string | undefined; children: preact.ComponentChildren }) {
  return (
    <>
      <header class="top">
        <h1>hint serve {model !== undefined && <span class="model">{model}</span>}</h1>
        <p>
          An instruction is read once and becomes part of the model; each input then costs its own tokens
          only.
        </p>
        <nav aria-label="More">
          <a href="openapi.json">API</a> <a href="metrics">Metrics</a>
        </nav>
      </header>
      <main>{children}</main>
    </>
  );
}
