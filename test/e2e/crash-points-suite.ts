import { describe, expect, it } from '@jest/globals';
import { credit, debit, type BranchBody } from '../support/rest.js';
import { IS_NIGHTLY } from '../support/nightly.js';
import { agreed, type Link, type SystemUnderTest } from './system.js';

const AMOUNT = 7;
const CLIENTS = 8;
const TRANSFERS_EACH = 15;

interface CrashPoint {
  /** `leader`, or a participant */
  readonly process: string;
  readonly failpoint: string;
  /** either one where the work may come too late after the restart */
  readonly outcome: 'committed' | 'either';
  /** default: a transfer between two banks */
  readonly branches?: readonly BranchBody[];
}

const IN_ONE_BANK: readonly BranchBody[] = [debit('acc-40', AMOUNT), credit('acc-41', AMOUNT, 'bank-a')];

/** Along the way of a transfer: each message, before and after it is sent, and when it arrives. */
const CRASH_POINTS: readonly CrashPoint[] = [
  { process: 'leader', failpoint: 'coordinator.prepare.before-send', outcome: 'either' },
  { process: 'leader', failpoint: 'coordinator.prepare.after-send', outcome: 'either' },
  { process: 'bank-b', failpoint: 'participant.prepare.received', outcome: 'either' },
  { process: 'bank-b', failpoint: 'participant.vote.before-send', outcome: 'either' },
  { process: 'leader', failpoint: 'coordinator.vote.received', outcome: 'either' },
  { process: 'leader', failpoint: 'coordinator.decision.before-send', outcome: 'committed' },
  { process: 'leader', failpoint: 'coordinator.decision.after-send', outcome: 'committed' },
  { process: 'bank-b', failpoint: 'participant.decision.received', outcome: 'committed' },
  { process: 'bank-b', failpoint: 'participant.done.before-send', outcome: 'committed' },
  { process: 'leader', failpoint: 'coordinator.done.received', outcome: 'committed' },
  {
    process: 'leader',
    failpoint: 'coordinator.commit-one-phase.after-send',
    outcome: 'either',
    branches: IN_ONE_BANK,
  },
  { process: 'bank-a', failpoint: 'participant.done.before-send', outcome: 'committed', branches: IN_ONE_BANK },
];

/** All of them at night. By day, systems on streams alone and with Kafka beside them share the points. */
function pointsOf(link: Link): readonly CrashPoint[] {
  const part = link === 'direct' ? 0 : 1;
  return IS_NIGHTLY ? CRASH_POINTS : CRASH_POINTS.filter((_, place) => place % 2 === part);
}

/** A process is killed at each step of a message: the transfer happens everywhere or nowhere, once. */
export function describeCrashPoints(system: SystemUnderTest): void {
  describe('kill -9 at a crash point', () => {
    it.each(pointsOf(system.link))(
      '$failpoint of $process ($outcome)',
      async ({ process, failpoint, outcome, branches }) => {
        const name = process === 'leader' ? await system.leader() : process;
        const accounts = [
          ['bank-a', 'acc-40'],
          ['bank-a', 'acc-41'],
          ['bank-b', 'acc-40'],
        ] as const;
        const balances = (): Promise<number[]> =>
          Promise.all(accounts.map(([bank, account]) => system.balance(bank, account)));
        const before = await balances();
        await system.arm(name, `${failpoint}=kill`);
        const answering = system.client().execute(branches ?? [debit('acc-40', AMOUNT), credit('acc-40', AMOUNT)]);
        await system.waitUntilDead(name);
        await system.restart(name);
        const answer = await answering;
        await system.settled();
        await agreed(system, answer.body.id ?? answer.body.transactionId);
        const moved = (await balances()).map((balance, index) => balance - before[index]!);
        const committed = branches ? [-AMOUNT, AMOUNT, 0] : [-AMOUNT, 0, AMOUNT];
        expect({ status: answer.status, moved }).toEqual(
          answer.status === 200 || outcome === 'committed'
            ? { status: 200, moved: committed }
            : { status: 409, moved: [0, 0, 0] },
        );
      },
    );
  });

  it('a leader is killed under load: each client has an answer to every transfer, and the balances agree with them', async () => {
    const account = (client: number): string => `acc-${50 + client}`;
    const before = await Promise.all(
      Array.from({ length: CLIENTS }, (_, client) => system.balance('bank-b', account(client))),
    );
    let answered = 0;
    let kill: () => void = () => undefined;
    const halfway = new Promise<void>((resolve) => (kill = resolve));
    const clients = Array.from({ length: CLIENTS }, async (_, client) => {
      let committed = 0;
      for (let count = 0; count < TRANSFERS_EACH; count++) {
        const { status } = await system.client().execute([debit(account(client), 1), credit(account(client), 1)]);
        if (status === 200) committed++;
        if (++answered === (CLIENTS * TRANSFERS_EACH) / 2) kill();
      }
      return committed;
    });
    const leader = await system.leader();
    await halfway;
    system.kill(leader);
    await system.waitUntilDead(leader);
    const committed = await Promise.all(clients);
    await system.restart(leader);
    await system.settled();
    const after = await Promise.all(before.map((_, client) => system.balance('bank-b', account(client))));
    expect(after.map((balance, client) => balance - before[client]!)).toEqual(committed);
    // a change of leader refuses nothing: what was asked before it is asked again
    expect(committed.reduce((sum, count) => sum + count)).toBe(CLIENTS * TRANSFERS_EACH);
  });
}
