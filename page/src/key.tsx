import { useState } from 'preact/hooks';

/** Asks for an API key, where the server wants one. It is kept for this tab only. */
export function KeyForm({ fault, onKey }: { fault: string | undefined; onKey: (key: string) => void }) {
  const [key, setKey] = useState('');
  return (
    <form
      class="card key"
      onSubmit={(event) => {
        event.preventDefault();
        onKey(key.trim());
      }}
    >
      <h2>API key</h2>
      <p role="alert">{fault}</p>
      <label for="key">A key of this server</label>
      <input
        id="key"
        type="password"
        autocomplete="off"
        required
        value={key}
        onInput={(event) => setKey(event.currentTarget.value)}
      />
      <div class="row">
        <button type="submit" class="main">
          Use this key
        </button>
      </div>
    </form>
  );
}
