import { fork, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import type { AnswerMessage, CallName, Calls, MemberOptions } from './process-protocol.js';

const PROGRAM = path.resolve(import.meta.dirname, 'process-main.js');

interface Waiting {
  readonly resolve: (answer: Calls[CallName]['answer']) => void;
  readonly reject: (error: Error) => void;
}

/** A process of a replicated log, from the benchmark's side. A call to one that has ended rejects. */
export class MemberProcess {
  private readonly child: ChildProcess;
  private readonly waiting = new Map<number, Waiting>();
  private readonly ended: Promise<void>;
  private lastCall = 0;

  /** @param profileDirectory where a CPU profile goes when the process ends; undefined: none is made */
  constructor(
    readonly options: MemberOptions,
    profileDirectory?: string,
  ) {
    const profiling =
      profileDirectory === undefined
        ? []
        : [
            '--cpu-prof',
            `--cpu-prof-dir=${profileDirectory}`,
            `--cpu-prof-name=${options.kind}-${options.nodeId}-${Date.now()}.cpuprofile`,
          ];
    const sampling = options.samplesMemory === true ? ['--expose-gc'] : [];
    this.child = fork(PROGRAM, { execArgv: ['--enable-source-maps', ...sampling, ...profiling] });
    this.child.on('message', (message: AnswerMessage) => this.settle(message));
    this.ended = new Promise((resolve) => {
      this.child.once('exit', () => {
        for (const { reject } of this.waiting.values()) reject(new Error(`${this.name} has ended`));
        this.waiting.clear();
        resolve();
      });
    });
  }

  get name(): string {
    return `${this.options.kind}-${this.options.nodeId}`;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  call<Name extends CallName>(name: Name, request: Calls[Name]['request']): Promise<Calls[Name]['answer']> {
    const id = ++this.lastCall;
    return new Promise<Calls[CallName]['answer']>((resolve, reject) => {
      if (!this.child.connected) return reject(new Error(`${this.name} has ended`));
      this.waiting.set(id, { resolve, reject });
      this.child.send({ id, name, request });
    });
  }

  /** Starts what is measured, in the process. */
  async start(): Promise<void> {
    await this.call('start', this.options);
  }

  /** Ends it as its user would. */
  async stop(): Promise<void> {
    await this.call('stop', null).catch(() => undefined); // it may have died on its own, which is as good
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
