import type { ApplyResult, LockRecord } from '@concordat/commit-protocol';
import { WaitingLines } from './waiting-lines.js';

type ProvenRecord = Extract<LockRecord, { type: 'lock-renew' | 'lock-release' }>;

/** One tenure of a lock, by the records of the log alone; times are true. */
interface Tenure {
  readonly name: string;
  readonly owner: string;
  readonly token: number;
  readonly grantedAt: number;
  /** of the grant, or the last renewal */
  extendedAt: number;
  extendedIndex: number;
  ttlMs: number;
  endedAt: number;
}

/** What a client believes: it counts from the moment at which it asked. */
interface Belief {
  readonly owner: string;
  readonly token: number;
  readonly until: number;
}

/** What the list of a node said of a lock. */
interface Listed {
  readonly name: string;
  readonly owner: string;
  readonly fencingToken: number;
}

/**
 * An account of the locks of its own: from the records of the log, which it judges anew, from what clients are told, and
 * from the resources that they guard. Every answer must have been true at some moment between the question and itself
 * (linearizability); no two clients may believe at the same time that they have a lock; who waits is served in the order
 * of arrival; and tokens only grow.
 */
export class LockBook {
  readonly counts = { grants: 0, renewals: 0, releases: 0, expiries: 0, refusals: 0, fenced: 0 };
  readonly lines: WaitingLines;
  private readonly held = new Map<string, Tenure>();
  private readonly tenures = new Map<number, Tenure>();
  private readonly past = new Map<string, Tenure[]>();
  private readonly beliefs = new Map<string, Belief>();
  private readonly resources = new Map<string, number>();
  private readonly asked = new Map<string, number>();
  private readonly granted = new Map<string, number>();
  private latestToken = 0;

  constructor(
    private readonly violate: (rule: string) => void,
    private readonly now: () => number,
  ) {
    this.lines = new WaitingLines(violate, now);
  }

  /** Locks that somebody has, by the log. */
  get heldCount(): number {
    return this.held.size;
  }

  /** A record that no node has applied before, and what the first one made of it. */
  learn(index: number, record: LockRecord, result: ApplyResult): void {
    const done = result.refusal === undefined;
    switch (record.type) {
      case 'lock-acquire':
        return this.acquired(index, record, result, done);
      case 'lock-renew': {
        const tenure = this.tenureOf(record);
        this.mustBe(record, done, tenure !== undefined);
        if (done && tenure) this.extend(tenure, index, record.ttlMs);
        return;
      }
      case 'lock-release': {
        const tenure = this.tenureOf(record);
        const { unrenewedSince = Infinity } = record;
        this.mustBe(record, done, tenure !== undefined && tenure.extendedIndex <= unrenewedSince);
        if (done && tenure) this.end(tenure, 'releases');
        return;
      }
      case 'lock-expire':
        for (const { name, fencingToken } of result.endedLocks ?? []) this.expired(name, fencingToken);
    }
  }

  // --- clients

  /** A client asks for a lock, perhaps not for the first time. */
  asks(owner: string): void {
    this.asked.set(owner, (this.asked.get(owner) ?? 0) + 1);
  }

  /**
   * A client asks for a lease that may end before the one that it has. Whether the answer arrives or not, it cannot count
   * on the longer one any more.
   */
  mayShorten(name: string, owner: string, until: number): void {
    const belief = this.beliefs.get(name);
    if (belief?.owner === owner && until < belief.until) this.beliefs.set(name, { ...belief, until });
  }

  /** A client was told that it has a lock. */
  heardOf(lock: Listed, sentAt: number, ttlMs: number): void {
    const { name, owner, fencingToken: token } = lock;
    this.wasTrue(lock, sentAt);
    const until = sentAt + ttlMs;
    const other = this.beliefs.get(name);
    if (until <= this.now()) return; // too late to believe in it
    if (other && other.token !== token && other.until > this.now())
      this.violate(`${owner} and ${other.owner} have ${name} at the same time, under ${token} and ${other.token}`);
    if (!other || other.token <= token) this.beliefs.set(name, { owner, token, until });
  }

  /** A client gives a lock back, or gives it up: from now on it does not touch what it guards. */
  letsGo(name: string, token: number): void {
    if (this.beliefs.get(name)?.token === token) this.beliefs.delete(name);
  }

  wasReleased({ name, fencingToken }: Listed, sentAt: number): void {
    const endedAt = this.tenures.get(fencingToken)?.endedAt ?? Infinity;
    if (endedAt < sentAt || endedAt > this.now())
      this.violate(`${name} is said to be released under ${fencingToken}, and was not between question and answer`);
  }

  /** `LOCK_NOT_HELD` */
  wasNotHeld({ name, owner, fencingToken }: Listed): void {
    this.counts.refusals++;
    const tenure = this.tenures.get(fencingToken);
    if (tenure?.endedAt === Infinity)
      this.violate(`${owner} is told that it does not hold ${name} under ${fencingToken}, and it does`);
  }

  /** `LOCK_HELD` */
  wasHeld(name: string, holder: string, asker: string, sentAt: number): void {
    this.counts.refusals++;
    if (holder === asker) this.violate(`${asker} is refused ${name}, which it has itself`);
    const overlaps = (this.past.get(name) ?? []).some(({ owner, endedAt }) => owner === holder && endedAt >= sentAt);
    if (!overlaps) this.violate(`${asker} is told that ${holder} has ${name}, which had ended before it asked`);
  }

  /** The first page of a linearizable list, of this many. */
  listed(items: readonly Listed[], limit: number, sentAt: number): void {
    for (const lock of items) this.wasTrue(lock, sentAt);
    if (items.length === limit) return;
    const shown = new Set(items.map(({ fencingToken }) => fencingToken));
    for (const { token, grantedAt, name } of this.held.values())
      if (grantedAt < sentAt && !shown.has(token))
        this.violate(`${name} is held under ${token} and is not in the list`);
  }

  // --- resources

  /**
   * A client writes to what a lock guards, under its token.
   *
   * @returns whether the resource takes it: it refuses a token lower than one that it has seen
   */
  writes(name: string, owner: string, token: number): boolean {
    const highest = this.resources.get(name) ?? 0;
    const holder = this.held.get(name);
    if (this.tenures.get(token)?.owner !== owner) this.violate(`${owner} writes under ${token}, which it never had`);
    if (token < highest) {
      this.counts.fenced++;
      if (holder?.token === token) this.violate(`the holder of ${name} is fenced off: ${token} is below ${highest}`);
      return false;
    }
    this.resources.set(name, token);
    return true;
  }

  // --- the log

  private acquired(
    index: number,
    { name, owner, ttlMs }: Extract<LockRecord, { type: 'lock-acquire' }>,
    { lock }: ApplyResult,
    done: boolean,
  ): void {
    const held = this.held.get(name);
    if (!done) {
      if (!held || held.owner === owner) this.violate(`${owner} is refused ${name}, which is free for it`);
      return;
    }
    this.countGrant(owner);
    if (held && held.owner !== owner) return this.violate(`${name} is granted to ${owner} while ${held.owner} has it`);
    if (held) {
      this.lines.served(name, owner);
      if (lock?.fencingToken !== held.token) this.violate(`the token of ${name} changes when ${owner} asks again`);
      return this.extend(held, index, ttlMs);
    }
    this.lines.granted(name, owner);
    const token = lock?.fencingToken ?? 0;
    if (token <= this.latestToken) this.violate(`${name} is granted under ${token}, not above ${this.latestToken}`);
    this.latestToken = Math.max(this.latestToken, token);
    const times = { grantedAt: this.now(), extendedAt: this.now(), endedAt: Infinity };
    const tenure: Tenure = { name, owner, token, ttlMs, extendedIndex: index, ...times };
    this.held.set(name, tenure);
    this.tenures.set(token, tenure);
    this.past.set(name, [...(this.past.get(name) ?? []), tenure]);
    this.counts.grants++;
  }

  private countGrant(owner: string): void {
    const granted = (this.granted.get(owner) ?? 0) + 1;
    this.granted.set(owner, granted);
    const asked = this.asked.get(owner) ?? 0;
    if (granted > asked) this.violate(`${owner} has asked for locks ${asked} times, and was granted ${granted}`);
  }

  /** The tenure that stands under the owner and the token of a record. */
  private tenureOf({ name, owner, fencingToken }: ProvenRecord): Tenure | undefined {
    const held = this.held.get(name);
    return held?.owner === owner && held.token === fencingToken ? held : undefined;
  }

  private mustBe({ type, name, owner, fencingToken }: ProvenRecord, done: boolean, right: boolean): void {
    if (done === right) return;
    const judgement = done ? 'is taken' : 'is refused';
    this.violate(`${type} of ${name} by ${owner} under ${fencingToken} ${judgement}, against its own rules`);
  }

  private extend(tenure: Tenure, index: number, ttlMs: number): void {
    tenure.extendedAt = this.now();
    tenure.extendedIndex = index;
    tenure.ttlMs = ttlMs;
    this.counts.renewals++;
  }

  private expired(name: string, token: number): void {
    const held = this.held.get(name);
    if (held?.token !== token) return this.violate(`a lease of ${name} under ${token} ends, which nobody has`);
    const heldMs = this.now() - held.extendedAt;
    if (heldMs < held.ttlMs)
      this.violate(`the lease of ${held.owner} on ${name} ends after ${heldMs} of ${held.ttlMs} ms`);
    this.end(held, 'expiries');
  }

  private end(tenure: Tenure, how: 'releases' | 'expiries'): void {
    tenure.endedAt = this.now();
    this.held.delete(tenure.name);
    this.counts[how]++;
  }

  private wasTrue({ name, owner, fencingToken }: Listed, sentAt: number): void {
    const tenure = this.tenures.get(fencingToken);
    if (tenure?.name !== name || tenure.owner !== owner)
      return this.violate(`${owner} is said to have ${name} under ${fencingToken}, and the log does not say so`);
    if (tenure.endedAt < sentAt)
      this.violate(`${owner} is said to have ${name} under ${fencingToken}, which had ended`);
  }
}
