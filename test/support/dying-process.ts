import { once } from 'node:events';
import type { AppProcess } from './app-processes.js';

/** Of a process that dies so: sysexits' EX_SOFTWARE. */
export const DIED_OF_AN_ERROR = 70;

/**
 * The environment of a process that can be made to die of an error that nobody catches. The error carries what an HTTP
 * client or a driver may put into one: its options with the credentials, and the environment.
 */
export function mortal(secret: string): NodeJS.ProcessEnv {
  // the secret is not in the script itself, which is an address in the stack
  const listener = `() => {
    const secret = process.env.SOME_SECRET;
    const error = Object.assign(new Error('nobody catches this'), {
      config: { headers: { authorization: 'Bearer ' + secret }, env: process.env },
      cause: Object.assign(new Error('because'), { password: secret }),
    });
    setImmediate(() => { throw error; });
  }`;
  const script = `data:text/javascript,${encodeURIComponent(`process.on('SIGUSR2', ${listener});`)}`;
  return { SOME_SECRET: secret, NODE_OPTIONS: `--import=${script}` };
}

/** Throws that error in it, and returns its exit code when all of its output has come. */
export async function dieOfAnError({ child }: AppProcess): Promise<number | null> {
  const closed = once(child, 'close');
  child.kill('SIGUSR2');
  const [code] = (await closed) as [number | null];
  return code;
}
