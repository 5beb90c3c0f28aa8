import { foreignShare, readCpu } from '../machine/foreign-cpu.js';
import type { RunningSystem } from '../system.js';
import type { Leadership } from './leadership.js';
import { foreignText, MARKS, measureSteadily, type Row } from './steady-row.js';

/** Measures rows of tables, each with the share of the machine that others used meanwhile. */
export class RowRunner {
  /** @param systems all that the benchmark has started: what they use is not foreign, also while they idle */
  constructor(private readonly systems: readonly RunningSystem[]) {}

  /** A row in which no coordinator takes part. */
  async ofBound<Value>(label: string, work: () => Promise<Value>, text: (value: Value) => string): Promise<Row<Value>> {
    return await this.run(label, text, async () => ({ ...(await this.watched(work)), leaderChanged: false }));
  }

  /** A row of a system, whose leader is to stay the same. */
  async ofSystem<Value>(
    label: string,
    leadership: Leadership,
    work: () => Promise<Value>,
    text: (value: Value) => string,
  ): Promise<Row<Value>> {
    return await this.run(label, text, async () => {
      const { result, leaderChanged } = await leadership.during(() => this.watched(work));
      return { ...result, leaderChanged };
    });
  }

  private async run<Value>(
    label: string,
    text: (value: Value) => string,
    measure: () => Promise<{ value: Value; foreignShare: number | undefined; leaderChanged: boolean }>,
  ): Promise<Row<Value>> {
    return await measureSteadily(
      async () => {
        const measured = await measure();
        const foreign = foreignText([{ foreignShare: measured.foreignShare, doubts: [] }]);
        process.stderr.write(`  ${label}: ${text(measured.value)}, foreign CPU ${foreign}\n`);
        return measured;
      },
      (doubts) =>
        process.stderr.write(`  ${label}: again, ${doubts.map((doubt) => `${doubt} (${MARKS[doubt]})`).join(', ')}\n`),
    );
  }

  private async watched<Value>(
    work: () => Promise<Value>,
  ): Promise<{ value: Value; foreignShare: number | undefined }> {
    const roots = [process.pid, ...this.systems.flatMap((system) => system.processIds())];
    const before = readCpu(roots);
    const value = await work();
    return { value, foreignShare: foreignShare(before, readCpu(roots)) };
  }
}
