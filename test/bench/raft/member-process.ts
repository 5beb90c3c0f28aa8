import path from 'node:path';
import { CalledProcess } from '../called-process.js';
import type { CallName, Calls, MemberOptions } from './process-protocol.js';

const PROGRAM = path.resolve(import.meta.dirname, 'process-main.js');

/** A process of a replicated log, from the benchmark's side. A call to one that has ended rejects. */
export class MemberProcess extends CalledProcess<CallName, Calls> {
  /** @param profileDirectory where a CPU profile goes when the process ends; undefined: none is made */
  constructor(
    readonly options: MemberOptions,
    profileDirectory?: string,
  ) {
    const { kind, nodeId, samplesMemory } = options;
    const profiling =
      profileDirectory === undefined
        ? []
        : [
            '--cpu-prof',
            `--cpu-prof-dir=${profileDirectory}`,
            `--cpu-prof-name=${kind}-${nodeId}-${Date.now()}.cpuprofile`,
          ];
    const sampling = samplesMemory === true ? ['--expose-gc'] : [];
    super({ name: `${kind}-${nodeId}`, program: PROGRAM, execArgv: [...sampling, ...profiling] });
  }

  /** Starts what is measured, in the process. */
  async start(): Promise<void> {
    await this.call('start', this.options);
  }

  /** Ends it as its user would. */
  async stop(): Promise<void> {
    await this.end('stop');
  }
}
