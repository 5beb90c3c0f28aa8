import { describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { FailpointError, type Failpoints } from '@concordat/foundation';
import { COORDINATOR_FAILPOINTS } from './failpoints.js';
import { Harness, transfer, work } from '../transactions/testing/harness.js';

const HOUR_MS = 3_600_000;

/** Remembers what was passed; `act` may hold things up or throw. */
function recording(act: (name: string) => Promise<void> | undefined = () => undefined) {
  const passed: string[] = [];
  const failpoints: Failpoints = {
    hit: (name) => {
      passed.push(name);
      return act(name);
    },
  };
  return { passed, failpoints };
}

/** A gate at one failpoint: what comes there waits until it is opened. */
function gateAt(gated: string) {
  let open = (): void => undefined;
  const held = new Promise<void>((resolve) => (open = resolve));
  let shut = true;
  const { passed, failpoints } = recording((name) => (shut && name === gated ? held : undefined));
  const release = (): void => {
    shut = false;
    open();
  };
  return { passed, failpoints, release };
}

const record = (kind: string): string[] =>
  ['before-append', 'after-append', 'after-apply'].map((moment) => `coordinator.${kind}.${moment}`);
const sent = (type: string): string[] => ['before-send', 'after-send'].map((moment) => `coordinator.${type}.${moment}`);

/** How a node comes by each kind of record and message. */
const PATHS: readonly (readonly [path: string, walk: (harness: Harness) => Promise<void>, failpoints: string[]])[] = [
  [
    'a transfer that commits',
    async (harness) => void (await harness.committed()),
    [record('begin'), sent('prepare'), record('decide'), sent('decision'), record('end'), sent('outcome')].flat(),
  ],
  [
    'an interactive transaction',
    async (harness) => {
      const id = await harness.begin();
      await harness.enlist(id, 'bank-a');
      await harness.enlist(id, 'bank-b');
      harness.watch(harness.manager.commit(id, { wait: 'decided', waitMs: 1_000 }));
      await harness.settle();
    },
    [record('begin'), record('enlist'), record('commit-requested'), sent('prepare')].flat(),
  ],
  [
    'a transaction with one branch',
    async (harness) => {
      harness.watch(harness.execute({ ...transfer(), branches: [work('bank-a')] }));
      await harness.settle();
    },
    [record('delegate'), sent('commit-one-phase')].flat(),
  ],
  [
    'the commit of an interactive transaction with one branch',
    async (harness) => {
      const id = await harness.begin();
      await harness.enlist(id, 'bank-a');
      harness.watch(harness.manager.commit(id, { wait: 'decided', waitMs: 1_000 }));
      await harness.settle();
    },
    [record('begin'), record('enlist'), record('delegate'), sent('commit-one-phase')].flat(),
  ],
  [
    'a ruling against the decision',
    async (harness) => {
      harness.watch(harness.execute());
      await harness.answerPrepares('yes');
      const { transactionId, branchId } = harness.bus.of('decision')[0]!;
      const ruling = { action: 'abort', operator: 'ann', reason: 'by hand', force: true, branchId } as const;
      await harness.manager.resolve(transactionId, ruling);
      await harness.settle();
    },
    [record('resolve'), sent('ruling')].flat(),
  ],
  [
    'an announcement of something new',
    async (harness) => {
      harness.manager.onReply({ type: 'announce', participant: 'bank-z', operations: ['debit'] });
      await harness.settle();
    },
    record('participant'),
  ],
  [
    'the end of the retention',
    async (harness) => {
      await harness.committed();
      await harness.pass(25 * HOUR_MS);
      await harness.pass(60_000);
    },
    record('expire'),
  ],
  [
    'an inquiry about a transaction that may have been forgotten',
    async (harness) => {
      harness.inquire(randomUUID());
      await harness.settle();
    },
    sent('unknown-old'),
  ],
  [
    'an inquiry about a transaction that never was',
    async (harness) => {
      harness.inquire(harness.newId());
      await harness.settle();
    },
    sent('decision'),
  ],
];

describe('failpoints of a coordinator', () => {
  it.each(PATHS)('%s passes its own', async (_path, walk, expected) => {
    const { passed, failpoints } = recording();
    await walk(new Harness({ failpoints }));
    expect([...new Set(passed)].sort()).toEqual(expect.arrayContaining([...expected].sort()));
  });

  it('have no name that cannot be armed', async () => {
    const { passed, failpoints } = recording();
    for (const [, walk] of PATHS) await walk(new Harness({ failpoints }));
    expect(passed.filter((name) => !COORDINATOR_FAILPOINTS.some((known) => known === name))).toEqual([]);
  });

  it('are passed in the order in which a transfer goes', async () => {
    const { passed, failpoints } = recording();
    await new Harness({ failpoints }).committed();
    const first = passed.filter((name, place) => passed.indexOf(name) === place);
    const order = [
      'coordinator.begin.before-append',
      'coordinator.begin.after-append',
      'coordinator.decide.before-append',
      'coordinator.decide.after-append',
      'coordinator.decision.before-send',
      'coordinator.decide.after-apply',
      'coordinator.decision.after-send',
      'coordinator.end.before-append',
      'coordinator.end.after-append',
      'coordinator.outcome.before-send',
      'coordinator.outcome.after-send',
    ];
    expect(first.filter((name) => order.includes(name))).toEqual(order);
  });

  it('are passed by the leader only', async () => {
    const { passed, failpoints } = recording();
    const harness = new Harness({ failpoints, leading: false });
    const leader = new Harness();
    await leader.committed();
    for (const { record: applied } of leader.log.applied) harness.log.apply(applied);
    expect(passed).toEqual([]);
  });
});

describe('what a failpoint holds up', () => {
  it('before the append, is proposed when it is let go', async () => {
    const { failpoints, release } = gateAt('coordinator.decide.before-append');
    const harness = new Harness({ failpoints });
    const answer = harness.watch(harness.execute());
    await harness.answerPrepares('yes');
    expect(harness.log.applied.map(({ record: { type } }) => type)).not.toContain('decide');
    release();
    await harness.settle();
    expect(answer.value?.transaction.outcome).toBe('committed');
  });

  it('behind the append, is known to nobody, and what comes behind it waits in the order of the log', async () => {
    const { passed, failpoints, release } = gateAt('coordinator.decide.after-append');
    const harness = new Harness({ failpoints });
    const answer = harness.watch(harness.execute());
    await harness.answerPrepares('yes');
    const other = harness.watch(harness.begin());
    await harness.settle();
    expect(harness.log.applied.map(({ record: { type } }) => type).slice(-2)).toEqual(['decide', 'begin']);
    expect([answer.isSettled, other.isSettled, harness.bus.of('decision')]).toEqual([false, false, []]);
    release();
    await harness.settle();
    expect(answer.value?.transaction.outcome).toBe('committed');
    expect(other.isSettled).toBe(true);
    expect(harness.bus.of('decision')).toHaveLength(2);
    expect(passed.lastIndexOf('coordinator.begin.after-append')).toBeGreaterThan(
      passed.indexOf('coordinator.decide.after-apply'),
    );
  });

  it('is told at once when the leadership ends, and the next one starts from all of it', async () => {
    const { failpoints, release } = gateAt('coordinator.decide.after-append');
    const harness = new Harness({ failpoints });
    const answer = harness.watch(harness.execute());
    await harness.answerPrepares('yes');
    harness.log.follow();
    await harness.settle();
    expect(answer.value?.transaction.outcome).toBe('committed');
    harness.bus.forget();
    harness.log.lead();
    await harness.settle();
    expect(harness.bus.of('decision')).toHaveLength(2);
    release();
    await harness.settle();
    expect(harness.bus.of('decision')).toHaveLength(2);
    expect(harness.alerts).toEqual([]);
  });

  it('is dropped when a failpoint before the wire throws, and sent again', async () => {
    let thrown = 0;
    const { failpoints } = recording((name) => {
      if (name !== 'coordinator.decision.before-send' || thrown++ > 0) return undefined;
      throw new FailpointError('told to fail');
    });
    const harness = new Harness({ failpoints });
    harness.watch(harness.execute());
    await harness.answerPrepares('yes');
    expect(harness.bus.of('decision')).toEqual([]);
    await harness.pass(2_000);
    expect(new Set(harness.bus.of('decision').map(({ participant }) => participant))).toEqual(
      new Set(['bank-a', 'bank-b']),
    );
  });
});
