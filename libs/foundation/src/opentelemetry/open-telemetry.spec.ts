import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { RecordedSpans, milliseconds } from '../../../../test/support/recorded-spans.js';
import { isTraceparent, traceparentOf } from '../tracing.js';
import { openTelemetry } from './open-telemetry.js';

const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const spans = RecordedSpans.register();
const tracing = openTelemetry();

afterEach(() => spans.reset());
afterAll(() => spans.unregister());

describe('a traceparent', () => {
  it.each([
    [PARENT, true],
    [PARENT.toUpperCase(), false],
    [`01${PARENT.slice(2)}`, false],
    [PARENT.slice(0, -1), false],
    [`${PARENT}-x`, false],
    [PARENT.replace(/[0-9a-f]{32}/, '0'.repeat(32)), false],
    [PARENT.replace(/-[0-9a-f]{16}-/, `-${'0'.repeat(16)}-`), false],
    ['', false],
    [undefined, false],
  ])('%s: %s', (text, expected) => expect(isTraceparent(text)).toBe(expected));

  it('is the first valid one of a header that came twice', () => {
    expect(traceparentOf(`x, ${PARENT}`)).toBe(PARENT);
    expect(traceparentOf(['', PARENT])).toBe(PARENT);
    expect([traceparentOf('nonsense'), traceparentOf([]), traceparentOf(undefined)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('openTelemetry()', () => {
  it('makes spans inside each other, and says which one runs', async () => {
    expect(tracing.traceparent()).toBeUndefined();
    await tracing.span({ name: 'outer', attributes: { a: 1, b: undefined } }, async (span) => {
      expect(tracing.traceparent()).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
      await tracing.span({ name: 'inner', kind: 'server', attributes: {} }, async () => undefined);
      span.set({ c: 'x' });
    });
    expect(spans.tree).toEqual(['outer', 'outer > inner']);
    expect(spans.named('outer')[0]).toMatchObject({ attributes: { a: 1, c: 'x' }, kind: SpanKind.INTERNAL });
    expect(Object.keys(spans.named('outer')[0]!.attributes)).toEqual(['a', 'c']);
    expect(spans.named('inner')[0]!.kind).toBe(SpanKind.SERVER);
  });

  it('takes the caller’s span as the parent, unless one of the same trace is running', async () => {
    await tracing.span({ name: 'joined', parent: PARENT, attributes: {} }, async () => {
      await tracing.span({ name: 'nearer', parent: PARENT, attributes: {} }, async () => undefined);
    });
    await tracing.span({ name: 'stranger', attributes: {} }, () =>
      tracing.span({ name: 'of-caller', parent: PARENT, attributes: {} }, async () => undefined),
    );
    await tracing.span({ name: 'root', parent: 'nonsense', attributes: {} }, async () => undefined);
    expect(spans.tree).toEqual(['? > joined', '? > of-caller', 'joined > nearer', 'root', 'stranger']);
    expect(spans.named('of-caller')[0]!.parentSpanContext).toMatchObject({
      spanId: 'b7ad6b7169203331',
      isRemote: true,
    });
  });

  it('passes errors on, and marks the span', async () => {
    const error = new Error('no funds');
    await expect(tracing.span({ name: 'failing', attributes: {} }, async () => Promise.reject(error))).rejects.toBe(
      error,
    );
    const [failing] = spans.all;
    expect(failing!.status).toEqual({ code: SpanStatusCode.ERROR, message: 'no funds' });
    expect(failing!.events.map(({ name }) => name)).toEqual(['exception']);
  });

  it('reports what is over, with its times', () => {
    const [startedAt, endedAt] = [1_800_000_001_000, 1_800_000_003_500];
    tracing.record({ name: 'past', parent: PARENT, startedAt, endedAt, error: 'late', attributes: {} });
    const [past] = spans.all;
    expect([milliseconds(past!.startTime), milliseconds(past!.endTime), past!.status.message]).toEqual([
      startedAt,
      endedAt,
      'late',
    ]);
  });

  it('does nothing without a registered SDK', async () => {
    trace.disable();
    await expect(tracing.span({ name: 'none', attributes: {} }, async () => tracing.traceparent())).resolves.toBe(
      undefined,
    );
    expect(spans.all).toEqual([]);
  });
});
