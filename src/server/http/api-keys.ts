import { timingSafeEqual } from 'node:crypto';
import { HintError } from '../../util/errors.js';
import { sha256 } from '../../util/hash.js';
import { readText } from '../../util/read-file.js';
import { recordsOf } from '../../util/records.js';

const LEAST_CHARACTERS = 16;
// With the other headers a longer one would be beyond the server's limit of headers.
const MOST_CHARACTERS = 4096;
const KEY = new RegExp(`^[!-~]{${LEAST_CHARACTERS},${MOST_CHARACTERS}}$`);

/** The keys that clients may give. Only their hashes are kept. */
export class ApiKeys {
  private constructor(private readonly hashes: readonly Buffer[]) {}

  /**
   * Reads a file with a key a line; empty lines and those that begin with # say nothing.
   *
   * @throws HintError NOT_FOUND, IO, INVALID_DATA for a key that no header can hold, a short one, or none
   */
  static async read(path: string): Promise<ApiKeys> {
    const keys = recordsOf(await readText(path, 'the API keys'))
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('#'));
    const wrong = keys.findIndex((key) => !KEY.test(key));
    if (keys.length === 0 || wrong >= 0) {
      const fault =
        keys.length === 0
          ? 'has no key'
          : `has a key, number ${wrong + 1}, of fewer than ${LEAST_CHARACTERS} characters, of more than ${MOST_CHARACTERS}, or with others than letters, digits and signs of ASCII`;
      throw new HintError(
        'INVALID_DATA',
        `${path} ${fault}; write one a line, such as: openssl rand -hex 24 >> ${path}`,
      );
    }
    return new ApiKeys(keys.map((key) => sha256(key)));
  }

  /** Whether a key is one of them; how long that takes tells nothing about them. */
  has(key: string): boolean {
    const hash = sha256(key);
    let found = false;
    for (const one of this.hashes) found = timingSafeEqual(one, hash) || found;
    return found;
  }
}
