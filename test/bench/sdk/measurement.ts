import type { Measurement } from '../closed-loop.js';
import type { Row } from '../rows/steady-row.js';
import type { ClsFigures } from './cls.js';
import type { ContenderName } from './contenders.js';

/** A row of a contender: what was measured, and the CPU of one transaction by process, in milliseconds. */
export interface CostedMeasurement {
  readonly measurement: Measurement;
  readonly cpuMs: Readonly<Record<string, number>>;
}

/** The rows of all contenders at one number of clients; those of one place are neighbours in time. */
export interface TransferRows {
  readonly clients: number;
  readonly rounds: Readonly<Record<ContenderName, readonly Row<CostedMeasurement>[]>>;
}

export interface BranchRows {
  readonly branches: number;
  readonly rounds: readonly Row<CostedMeasurement>[];
}

export interface SdkMeasurement {
  readonly transfers: readonly TransferRows[];
  readonly cls: readonly ClsFigures[];
  readonly branches: readonly BranchRows[];
}
