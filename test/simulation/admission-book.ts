import type { WorkMessage } from '@concordat/commit-protocol';

/**
 * Which transaction has work out for which declared key, by what each leader sends. A transaction's work may leave only
 * when all before it with a common key are decided: then those wait for nobody, and it waits for their end at most.
 *
 * Leaders of different terms know nothing of each other's work, so each term is a world of its own.
 */
export class AdmissionBook {
  /** the latest transaction, by term, participant and key */
  private readonly latest = new Map<string, string>();

  constructor(
    private readonly violate: (rule: string) => void,
    /** false for what is not in the log either: its `Begin` was lost or refused, and it gave up its keys */
    private readonly isUndecided: (transactionId: string) => boolean,
  ) {}

  sent(nodeId: number, term: number, { transactionId, participant, operations }: WorkMessage): void {
    for (const key of new Set(operations.flatMap(({ keys }) => keys))) {
      const place = `${term} ${participant}/${key}`;
      const before = this.latest.get(place);
      if (before !== undefined && before !== transactionId && this.isUndecided(before))
        this.violate(`admission: node ${nodeId} sends work for ${participant}/${key}, which ${before} still holds`);
      this.latest.set(place, transactionId);
    }
  }
}
