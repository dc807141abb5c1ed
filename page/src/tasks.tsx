import { useEffect, useState } from 'preact/hooks';
import { forgetTask, getJson, taskFile, uploadTask, type CacheEntry, type TaskBody } from './api.js';
import { age, bytes, count, sentence } from './format.js';

interface TasksProps {
  ready: boolean;
  /** Changes when the list may have. */
  changes: number;
  onChanged: () => void;
  onUse: (task: TaskBody) => void;
}

interface Row {
  id: string;
  task: TaskBody | undefined;
  cached: CacheEntry | undefined;
}

const REFRESH = 5000;
const TIERS = {
  full: 'on the device',
  encoded: 'encoded instruction only',
  file: 'in its file',
  arriving: 'being compiled',
};

/** All that is compiled or registered: what is used last comes first. */
export function Tasks({ ready, changes, onChanged, onUse }: TasksProps) {
  const [rows, setRows] = useState<Row[]>([]);
  const [total, setTotal] = useState(0);
  const [fault, setFault] = useState<string>();

  useEffect(() => {
    if (!ready) return;
    const load = async (): Promise<void> => {
      try {
        const [cache, tasks] = await Promise.all([
          getJson<{ bytes: number; data: CacheEntry[] }>('v1/cache'),
          getJson<{ data: TaskBody[] }>('v1/tasks'),
        ]);
        const known = new Map(tasks.data.map((task) => [task.id, task]));
        const cached = cache.data.map((entry) => ({
          id: entry.id,
          cached: entry,
          task: known.get(entry.id),
        }));
        const ids = new Set(cached.map(({ id }) => id));
        const others = tasks.data.filter(({ id }) => !ids.has(id));
        setRows([...cached, ...others.map((task) => ({ id: task.id, task, cached: undefined }))]);
        setTotal(cache.bytes);
      } catch {
        // The panel of live figures says that the server is gone.
      }
    };
    void load();
    const timer = setInterval(() => void load(), REFRESH);
    return () => clearInterval(timer);
  }, [ready, changes]);

  const act = async (work: () => Promise<void>): Promise<void> => {
    setFault(undefined);
    try {
      await work();
    } catch (error) {
      setFault(sentence(error));
    }
    onChanged();
  };
  const upload = (files: FileList | null): void => {
    const file = files?.[0];
    if (file) void act(async () => onUse(await uploadTask(file)));
  };

  return (
    <section class="card" aria-labelledby="tasks-title">
      <div class="head">
        <h2 id="tasks-title">
          Tasks <span class="hint">{bytes(total)} on the device</span>
        </h2>
        <label class="upload">
          Upload a task file
          <input
            type="file"
            accept=".safetensors"
            onChange={(event) => {
              upload(event.currentTarget.files);
              event.currentTarget.value = '';
            }}
          />
        </label>
      </div>
      {fault !== undefined && (
        <p class="fault" role="alert">
          {fault}
        </p>
      )}
      {rows.length === 0 ? (
        <p class="hint">No task yet: compile an instruction, or send a chat with a system message.</p>
      ) : (
        <div class="wide" tabIndex={0} role="group" aria-labelledby="tasks-title">
          <table class="tasks">
            <thead>
              <tr>
                <th scope="col">Instruction</th>
                <th scope="col">Kept</th>
                <th scope="col">Size</th>
                <th scope="col">Hits</th>
                <th scope="col">Age</th>
                <th scope="col">
                  <span class="unseen">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row, index) => (
                <TaskRow key={`${row.id} ${index}`} {...row} act={act} onUse={onUse} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

interface TaskRowProps extends Row {
  act: (work: () => Promise<void>) => Promise<void>;
  onUse: (task: TaskBody) => void;
}

function TaskRow({ id, task, cached, act, onUse }: TaskRowProps) {
  const title = task?.names.join(', ') || id.slice(0, 13);
  const shots = task && task.examples.length > 0 ? ` + ${count(task.examples.length, 'example')}` : '';
  return (
    <tr>
      <th scope="row">
        <span class="name">{title}</span>
        <span class="text">
          {task
            ? `${task.instruction}${shots}`
            : 'not registered: the system message of a chat, or measured only'}
        </span>
      </th>
      <td>{cached ? TIERS[cached.tier] : 'text only'}</td>
      <td>{cached ? bytes(cached.bytes) : '–'}</td>
      <td>{cached ? cached.hits.toLocaleString('en') : '–'}</td>
      <td>{cached ? age(Math.max(0, Date.now() / 1000 - cached.since)) : '–'}</td>
      <td class="actions">
        {task && (
          <>
            <button type="button" class="quiet" aria-label={`Use ${title}`} onClick={() => onUse(task)}>
              Use
            </button>
            <button
              type="button"
              class="quiet"
              aria-label={`Download ${title}`}
              onClick={() => void act(async () => offer(await taskFile(id), `${title}.safetensors`))}
            >
              Download
            </button>
            <button
              type="button"
              class="quiet"
              aria-label={`Forget ${title}`}
              onClick={() => void act(() => forgetTask(id))}
            >
              Forget
            </button>
          </>
        )}
      </td>
    </tr>
  );
}

/** Lets the browser save a file; a plain link could not send the API key. */
function offer(file: Blob, name: string): void {
  const url = URL.createObjectURL(file);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
