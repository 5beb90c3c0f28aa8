import type { LogRecord } from '@concordat/commit-protocol';
import type { Failpoints } from '@concordat/foundation';
import type { CoordinatorFailpoint } from 'concordat/embedded';
import { UnknownNameError } from '../errors.js';
import type { LockRequest } from './lock-requests.js';
import { SwitchState, type Switch } from './switch.js';

interface Point {
  /** the failpoints of the coordinator that it is made of */
  readonly before: readonly (CoordinatorFailpoint | LockPoint)[];
  readonly after: readonly (CoordinatorFailpoint | LockPoint)[];
  /** which records; without it, all */
  readonly matches?: (record: LogRecord) => boolean;
}

/** The points that `FaultyLocks` passes: a request about a lock is one record. */
export type LockPoint = `${LockRequest}.${'before' | 'after'}`;

const ofLocks = (request: LockRequest): Point => ({ before: [`${request}.before`], after: [`${request}.after`] });

const ofRecord = (kind: 'enlist' | 'commit-requested' | 'pre-commit' | 'end'): Point => ({
  before: [`coordinator.${kind}.before-append`],
  after: [`coordinator.${kind}.after-append`],
});

const decides = (decision: 'commit' | 'abort'): Point => ({
  before: ['coordinator.decide.before-append'],
  after: ['coordinator.decide.after-append'],
  matches: (record) => record.type === 'decide' && record.decision === decision,
});

/**
 * The points at which a coordinator can be made to crash. Those of the log: before the record is in the log, and when
 * it is and nobody has acted on it. Those of messages (`prepare`, `decision`): before they leave, and when they have
 * left. Those of locks: before the request is logged, and when it is and its client has no answer.
 */
const POINTS = {
  begin: {
    before: ['coordinator.begin.before-append', 'coordinator.delegate.before-append'],
    after: ['coordinator.begin.after-append', 'coordinator.delegate.after-append'],
    matches: (record) => record.type === 'begin',
  },
  enlist: ofRecord('enlist'),
  'commit-requested': ofRecord('commit-requested'),
  prepare: {
    before: ['coordinator.prepare.before-send', 'coordinator.commit-one-phase.before-send'],
    after: ['coordinator.prepare.after-send', 'coordinator.commit-one-phase.after-send'],
  },
  precommit: ofRecord('pre-commit'),
  commit: decides('commit'),
  abort: decides('abort'),
  decision: { before: ['coordinator.decision.before-send'], after: ['coordinator.decision.after-send'] },
  end: ofRecord('end'),
  'lock-acquire': ofLocks('acquire'),
  'lock-renew': ofLocks('renew'),
  'lock-release': ofLocks('release'),
} as const satisfies Record<string, Point>;

export type CrashPoint = keyof typeof POINTS;

export const CRASH_POINTS = Object.keys(POINTS) as readonly CrashPoint[];

interface ArmedPoint {
  readonly names: readonly string[];
  readonly matches: Point['matches'];
  readonly state: SwitchState;
  readonly crash: () => void;
}

/** The failpoints of an embedded coordinator: an armed point crashes it, once. */
export class CrashPoints implements Failpoints {
  private readonly armed = new Set<ArmedPoint>();

  /** @throws UnknownNameError listing the points */
  arm(moment: 'before' | 'after', name: string, crash: () => void): Switch {
    const point: Point | undefined = Object.hasOwn(POINTS, name) ? POINTS[name as CrashPoint] : undefined;
    if (!point) {
      throw new UnknownNameError(`no point is called "${name}"; there are: ${CRASH_POINTS.join(', ')}`);
    }
    const state = new SwitchState(() => this.armed.delete(armed));
    const armed: ArmedPoint = { names: point[moment], matches: point.matches, state, crash };
    this.armed.add(armed);
    return state;
  }

  clear(): void {
    for (const { state } of this.armed) state.off();
  }

  hit(name: string, about?: object): Promise<void> | undefined {
    if (this.armed.size === 0) return undefined;
    for (const point of this.armed) {
      if (!point.names.includes(name)) continue;
      if (point.matches && !(about && point.matches(about as LogRecord))) continue;
      point.state.off();
      if (name.endsWith('.after-send'))
        setImmediate(() => fire(point)); // the stream writes at the end of this turn
      else fire(point);
      return new Promise(() => undefined); // nothing behind this point runs
    }
    return undefined;
  }
}

function fire({ crash, state }: ArmedPoint): void {
  crash();
  state.hit();
}
