import { Reflector } from '@nestjs/core';
import type { ComponentName } from './schemas.js';

export interface ParameterSchema {
  readonly type: 'string' | 'integer';
  readonly enum?: string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: string | number;
}

export interface QueryParameter {
  readonly name: string;
  readonly schema: ParameterSchema;
  readonly required?: boolean;
}

export interface CallDescription {
  readonly id: string;
  readonly summary: string;
  readonly tag?: string;
  /** the path has a transaction id */
  readonly withId?: boolean;
  readonly body?: ComponentName | readonly ComponentName[];
  /** the body may be left out */
  readonly hasOptionalBody?: true;
  readonly idempotent?: boolean;
  /** takes the invitation of the transaction */
  readonly invited?: true;
  readonly wait?: boolean;
  /** a read: takes `consistency`, answers with the applied index in a header */
  readonly reading?: boolean;
  /** the path has a node id */
  readonly withNodeId?: boolean;
  /** the path has the name of a lock */
  readonly withLockName?: boolean;
  readonly query?: readonly QueryParameter[];
  /** schema of the body by status; `text` and `events` are not JSON; `nothing`: there is none */
  readonly answers: Readonly<Record<number, ComponentName | 'text' | 'events' | 'nothing'>>;
  /** statuses answered with a problem; 500 is always included, and those of access where it is not open */
  readonly problems?: readonly number[];
  /** nobody is asked who it is, also with authentication */
  readonly open?: boolean;
}

/** Describes a route for OpenAPI. Does not affect how requests are handled. */
export const Call = Reflector.createDecorator<CallDescription>();
