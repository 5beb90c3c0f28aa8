import type { Variable } from '@concordat/foundation';

/** A variable with what `--help` says of it. */
export interface DescribedVariable<Value> extends Variable<Value> {
  readonly meaning: string;
  readonly unit?: string;
}

export function variable<Value>(description: DescribedVariable<Value>): DescribedVariable<Value> {
  return description;
}
