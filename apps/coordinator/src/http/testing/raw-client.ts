import { connect } from 'node:net';

/** What a node answered over one connection: `<status> <code of the problem>` for each answer. */
export type RawAnswers = readonly string[];

export interface RawExchangeUnderWay {
  /** when the node has closed the connection */
  readonly answers: Promise<RawAnswers>;
  /** when it has, or when it seems to wait for the rest of the last request */
  readonly quiet: Promise<void>;
}

/** Stands behind the last answer when that announced the end of the connection, or a reset took what came behind it. */
export const CLOSING = 'closing';

/** Longer silence than any time limit of the tested node: it forgot about the connection. */
const SILENCE_MS = 60_000;
/** Silence of a node that has answered everything but the last request. */
const QUIET_MS = 100;
const PARTS = /HTTP\/1\.1 (\d{3})|"code":"([A-Z_]+)"|\r\n(connection: close)\r\n/gi;

/** Sends bytes over a connection of their own and reads until the node closes it. */
export function exchange(port: number, bytes: Buffer, requestCount: number): RawExchangeUnderWay {
  let becomeQuiet: () => void = () => undefined;
  const quiet = new Promise<void>((resolve) => (becomeQuiet = resolve));
  const answers = new Promise<RawAnswers>((resolve, reject) => {
    let [text, reset] = ['', false];
    let timer: NodeJS.Timeout | undefined;
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (text.includes('\nretry: ')) socket.destroy(); // an event stream, which has no end
      clearTimeout(timer);
      if (readAnswers(text).length >= requestCount - 1) timer = setTimeout(becomeQuiet, QUIET_MS);
    });
    socket.on('error', () => (reset = true)); // by a node that does not read on; what has arrived counts
    socket.on('close', () => {
      clearTimeout(timer);
      becomeQuiet();
      const answers = readAnswers(text);
      resolve(reset && answers.at(-1) !== CLOSING ? [...answers, CLOSING] : answers);
    });
    socket.setTimeout(SILENCE_MS, () => {
      socket.destroy();
      reject(new Error(`no end of the connection after ${JSON.stringify(bytes.toString('latin1'))}`));
    });
    socket.write(bytes);
  });
  return { answers, quiet };
}

/** Up to the answer that announces the end of the connection: what a node sends behind that is for nobody. */
function readAnswers(text: string): string[] {
  const answers: string[] = [];
  let closing = false;
  for (const [, status, code] of text.matchAll(PARTS)) {
    if (status !== undefined && closing) break;
    if (status !== undefined) answers.push(status);
    else if (code !== undefined) answers[answers.length - 1] += ` ${code}`;
    else closing = true;
  }
  if (closing) answers.push(CLOSING);
  return answers;
}
