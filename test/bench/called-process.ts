import { fork, type ChildProcess } from 'node:child_process';

/** What a process can be asked for, by name. Every table has `stop`, after whose answer the process ends. */
export type CallTable<Name extends string> = Record<Name, { readonly request: unknown; readonly answer: unknown }>;

export interface CallMessage<Name extends string = string> {
  readonly id: number;
  readonly name: Name;
  readonly request: unknown;
}

export type AnswerMessage =
  { readonly id: number; readonly answer: unknown } | { readonly id: number; readonly error: string };

interface Waiting {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

export interface CalledProcessOptions {
  /** in messages of errors */
  readonly name: string;
  readonly program: string;
  readonly execArgv: readonly string[];
}

/** A process under measurement that answers calls over its IPC channel. A call to one that has ended rejects. */
export class CalledProcess<Name extends string, Calls extends CallTable<Name>> {
  readonly name: string;
  private readonly child: ChildProcess;
  private readonly waiting = new Map<number, Waiting>();
  private readonly ended: Promise<void>;
  private lastCall = 0;

  constructor({ name, program, execArgv }: CalledProcessOptions) {
    this.name = name;
    this.child = fork(program, { execArgv: ['--enable-source-maps', ...execArgv] });
    this.child.on('message', (message: AnswerMessage) => this.settle(message));
    this.ended = new Promise((resolve) => {
      this.child.once('exit', () => {
        for (const { reject } of this.waiting.values()) reject(new Error(`${name} has ended`));
        this.waiting.clear();
        resolve();
      });
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  call<Called extends Name>(name: Called, request: Calls[Called]['request']): Promise<Calls[Called]['answer']> {
    const id = ++this.lastCall;
    return new Promise((resolve, reject) => {
      if (!this.child.connected) return reject(new Error(`${this.name} has ended`));
      this.waiting.set(id, { resolve, reject });
      this.child.send({ id, name, request } satisfies CallMessage);
    });
  }

  /** Ends it as its user would, when it has answered the call `name`. */
  protected async end(name: Name): Promise<void> {
    await this.call(name, null).catch(() => undefined); // it may have died on its own, which is as good
    await this.ended;
  }

  /** kill -9 */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  private settle(message: AnswerMessage): void {
    const call = this.waiting.get(message.id);
    this.waiting.delete(message.id);
    if ('error' in message) call?.reject(new Error(`${this.name}: ${message.error}`));
    else call?.resolve(message.answer);
  }
}

/**
 * The other side, in the process itself: answers calls until it is asked to stop, or the benchmark ends.
 *
 * @param last the name of the call after whose answer the process ends
 */
export function answerCalls<Name extends string>(
  last: Name,
  answer: (call: CallMessage<Name>) => Promise<unknown>,
): void {
  const serve = async (call: CallMessage<Name>): Promise<void> => {
    let message: AnswerMessage;
    try {
      message = { id: call.id, answer: await answer(call) };
    } catch (error) {
      message = { id: call.id, error: error instanceof Error ? error.message : String(error) };
    }
    process.send?.(message, undefined, undefined, () => {
      if (call.name === last) process.exit(0);
    });
  };
  process.on('message', (call: CallMessage<Name>) => void serve(call));
  process.on('disconnect', () => process.exit(0));
}
