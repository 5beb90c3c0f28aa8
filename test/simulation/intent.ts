import type { Protocol } from '@concordat/commit-protocol';
import type { BranchRequest } from '../../apps/coordinator/src/index.js';

/** How a client's wish ended, as far as the client was told. */
export type Fate =
  | 'open'
  | 'committed'
  | 'aborted'
  /** every attempt was refused in a way that means "nothing happened" */
  | 'nothing'
  /** an attempt without a key may have happened */
  | 'unknown';

/** What one client wants, once. */
export interface Intent {
  readonly id: string;
  readonly key: string | undefined;
  readonly protocol: Protocol;
  readonly branches: readonly BranchRequest[];
  readonly timeoutMs: number;
  /** it has something odd to it, which is in the payload of an operation */
  readonly isOdd: boolean;
  /** the code with which no coordinator may take it up */
  readonly refusal?: string;
  fate: Fate;
  /** transactions that attempts of it are known to have begun */
  readonly transactionIds: Set<string>;
}
