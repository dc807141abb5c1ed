import type { Socket } from 'node:net';

/** The longest word that one rank says to another, in characters. */
export const LONGEST_WORD = 1 << 16;

/** Hears the words that come in by a line; what is none, or too long, ends it. */
export function onWords<Word>(
  socket: Socket,
  parse: (line: string) => Word | undefined,
  hear: (word: Word) => void,
): void {
  let rest = '';
  socket.setEncoding('utf8').on('data', (text) => {
    const lines = (rest + String(text)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const word = parse(line);
      if (word) hear(word);
      else socket.destroy();
    }
    if (rest.length > LONGEST_WORD) socket.destroy();
  });
}
