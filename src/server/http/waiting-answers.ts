import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const answersOf = new WeakMap<Socket, Set<ServerResponse>>();

/**
 * Has an answer tell that its client went away while it waits behind others of its connection. A client may send requests
 * before the earlier ones are answered; of these answers Node.js closes only the one that it is sending when the connection ends.
 */
export function closeWithConnection(answer: ServerResponse, socket: Socket): void {
  const answers = answersOf.get(socket) ?? answersBehind(socket);
  answers.add(answer);
  answer.once('close', () => answers.delete(answer));
}

function answersBehind(socket: Socket): Set<ServerResponse> {
  const answers = new Set<ServerResponse>();
  answersOf.set(socket, answers);
  // One listener for all: many are no leak.
  socket.once('close', () => {
    for (const answer of answers) if (!answer.socket) close(answer);
  });
  return answers;
}

/** As Node.js does with an answer that has got its connection. */
function close(answer: ServerResponse): void {
  answer.destroy();
  answer.emit('close');
}
