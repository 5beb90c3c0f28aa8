import { describe, expect, it } from '@jest/globals';
import type { PastSpan, Tracing } from '@concordat/foundation';
import type { TransactionState } from '@concordat/commit-protocol';
import { recordSpan } from './queries/decided-span.js';
import { Harness, transfer, work } from './testing/harness.js';

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

describe('the trace of a client', () => {
  it('goes with the work to every participant, also when it is sent again by the next leader', async () => {
    const harness = new Harness();
    harness.watch(harness.execute({ ...transfer(), traceparent }));
    await harness.settle();
    expect(harness.bus.of('prepare').map((message) => message.traceparent)).toEqual([traceparent, traceparent]);
    harness.log.follow();
    harness.log.lead();
    await harness.settle();
    expect(harness.bus.of('prepare')).toHaveLength(4);
    expect(new Set(harness.bus.of('prepare').map((message) => message.traceparent))).toEqual(new Set([traceparent]));
  });

  it('goes with work that is delegated, too, and not with other messages', async () => {
    const harness = new Harness();
    harness.watch(harness.execute({ ...transfer(), branches: [work('bank-a')], traceparent }));
    await harness.settle();
    expect(harness.bus.of('commit-one-phase').map((message) => message.traceparent)).toEqual([traceparent]);
    harness.watch(harness.execute({ ...transfer(), traceparent }));
    await harness.settle();
    await harness.answerPrepares('yes');
    expect(harness.bus.of('decision').length).toBeGreaterThan(0);
    expect(harness.bus.of('decision').some((message) => 'traceparent' in message)).toBe(false);
  });

  it('is absent where the client has none: the messages are those of before', async () => {
    const harness = new Harness();
    harness.watch(harness.execute());
    await harness.settle();
    expect(harness.bus.of('prepare').some((message) => 'traceparent' in message)).toBe(false);
  });
});

describe('the span of a decided transaction', () => {
  const spans: PastSpan[] = [];
  const tracing = { record: (span: PastSpan) => void spans.push(span) } as unknown as Tracing;
  const decided = { transactionId: 't', protocol: '2pc', createdAt: 5, decidedAt: 9, branches: [], traceparent };

  it('lasts from begin to decision, and says how it was decided', () => {
    const cause = { reason: 'LOCK_TIMEOUT', detail: 'bank-a waited too long' };
    recordSpan(tracing, { ...decided, outcome: 'aborted', cause } as unknown as TransactionState);
    expect(spans.splice(0)).toEqual([
      {
        name: 'concordat coordinate',
        kind: 'server',
        parent: traceparent,
        startedAt: 5,
        endedAt: 9,
        error: 'bank-a waited too long',
        attributes: {
          'concordat.transaction.id': 't',
          'concordat.protocol': '2pc',
          'concordat.outcome': 'aborted',
          'concordat.abort.reason': 'LOCK_TIMEOUT',
          'concordat.branches': 0,
        },
      },
    ]);
  });

  it('is not there without a trace', () => {
    recordSpan(tracing, { ...decided, traceparent: undefined } as unknown as TransactionState);
    expect(spans).toEqual([]);
  });
});
