import { execFileSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HINT_COMMAND, startCommand, type Started } from './launch.js';

const SUBNET = '10.77.0';

/** Two hosts a and b of this machine, each with a network and a name of its own, and a link between them. */
export class TwoHosts {
  private readonly names = ['a', 'b'].map((host) => `hint-${process.pid}-${host}`);
  private readonly agent: string;

  /** @param scratch where a script lies that starts commands on b */
  constructor(scratch: string) {
    const [a, b] = this.names as [string, string];
    for (const name of this.names) ip('netns', 'add', name);
    ip('link', 'add', 'link-a', 'netns', a, 'type', 'veth', 'peer', 'name', 'link-b', 'netns', b);
    for (const [i, name] of this.names.entries()) {
      const link = `link-${'ab'[i]}`;
      ip('-n', name, 'addr', 'add', `${SUBNET}.${i + 1}/24`, 'dev', link);
      for (const device of ['lo', link]) ip('-n', name, 'link', 'set', device, 'up');
    }
    this.agent = join(scratch, 'agent.sh');
    const start = `exec ip netns exec ${b} unshare --uts sh -c "hostname b; $*"`;
    writeFileSync(this.agent, `#!/bin/sh\nshift\n${start}\n`);
    chmodSync(this.agent, 0o755);
  }

  /** Starts `hint` as a rank on each host. */
  start(words: readonly string[], env: Record<string, string> = {}): Started {
    const only = `${SUBNET}.0/24`;
    const mpirun = [
      ...[
        'mpirun',
        '--allow-run-as-root',
        '--oversubscribe',
        '-n',
        '2',
        '--mca',
        'plm_rsh_agent',
        this.agent,
      ],
      ...['--host', `${SUBNET}.1:1,${SUBNET}.2:1`, '--mca', 'btl', 'self,tcp'],
      ...['--mca', 'btl_tcp_if_include', only, '--mca', 'oob_tcp_if_include', only],
      ...Object.keys(env).flatMap((name) => ['-x', name]),
    ];
    const command = ['sh', '-c', 'hostname a; exec "$@"', 'sh', ...mpirun, ...HINT_COMMAND, ...words];
    return startCommand('ip', ['netns', 'exec', this.names[0]!, 'unshare', '--uts', ...command], env);
  }

  /** Nothing passes between the hosts any more. */
  cut(): void {
    ip('-n', this.names[1]!, 'link', 'set', 'link-b', 'down');
  }

  /** The processes of a host whose words include one. */
  processes(host: 'a' | 'b', word: string): number[] {
    const pids = ip('netns', 'pids', this.names['ab'.indexOf(host)]!).split('\n').filter(Boolean);
    const wordsOf = (pid: string): string => {
      try {
        return execFileSync('cat', [`/proc/${pid}/cmdline`], { encoding: 'utf8', stdio: 'pipe' });
      } catch {
        return '';
      }
    };
    return pids.filter((pid) => wordsOf(pid).split('\0').includes(word)).map(Number);
  }

  /** Ends all that runs on the hosts, and the hosts. */
  close(): void {
    for (const name of this.names) {
      for (const pid of ip('netns', 'pids', name).split('\n').filter(Boolean)) {
        try {
          process.kill(Number(pid), 'SIGKILL');
        } catch {
          // It has ended meanwhile.
        }
      }
      ip('netns', 'del', name);
    }
  }
}

function ip(...words: string[]): string {
  return execFileSync('ip', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
}

/** Whether this process may make networks, hosts' names and disks. */
export function hasNamespaces(): boolean {
  const name = `hint-${process.pid}-try`;
  try {
    ip('netns', 'add', name);
    ip('netns', 'del', name);
    const words = ['--mount', '--uts', 'sh', '-c', 'hostname b && mount -t tmpfs none /mnt'];
    execFileSync('unshare', words, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
