/** W3C Trace Context, https://www.w3.org/TR/trace-context/#traceparent-header, version 00 */
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** Whether a text is a `traceparent` of version 00: `00-<trace id>-<span id>-<flags>`. */
export function isTraceparent(value: unknown): value is string {
  return typeof value === 'string' && TRACEPARENT.test(value);
}

/**
 * The `traceparent` among the values of a header. Several may come when an instrumentation adds its own, and Node.js
 * joins them with a comma; the first that is valid counts. Others are ignored, as the standard asks.
 */
export function traceparentOf(value: string | readonly string[] | undefined): string | undefined {
  const values = typeof value === 'string' ? [value] : (value ?? []);
  return values
    .flatMap((one) => one.split(','))
    .map((one) => one.trim())
    .find(isTraceparent);
}

/** The names of the attributes that several parts use. */
export const SPAN_ATTRIBUTES = {
  transactionId: 'concordat.transaction.id',
  protocol: 'concordat.protocol',
  outcome: 'concordat.outcome',
  reason: 'concordat.abort.reason',
  participant: 'concordat.participant',
  branchId: 'concordat.branch.id',
  operation: 'concordat.operation',
} as const;

export type SpanAttributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** What a span is about; `attributes` with an undefined value are left out. */
export interface SpanRequest {
  readonly name: string;
  /** default `internal` */
  readonly kind?: 'internal' | 'server' | 'client' | 'consumer';
  /**
   * the span of the caller, as it came with the call. Where a span of the same trace is running already (that of an
   * instrumentation of HTTP, say), it is the parent. Without it, the running span is
   */
  readonly parent?: string | undefined;
  readonly attributes: SpanAttributes;
}

/** A span that is running. */
export interface RunningSpan {
  set(attributes: SpanAttributes): void;
}

/** A span that is over when it is reported. */
export interface PastSpan extends SpanRequest {
  /** milliseconds since 1970 */
  readonly startedAt: number;
  readonly endedAt: number;
  /** it failed, with this sentence */
  readonly error?: string | undefined;
}

/** Where spans go. Calls never throw, and change nothing but the trace. */
export interface Tracing {
  /** Runs `work` inside a span, which ends with it. A rejection is the span's error, and is passed on. */
  span<T>(request: SpanRequest, work: (span: RunningSpan) => Promise<T>): Promise<T>;
  record(span: PastSpan): void;
  /** the running span, to send along with a call; undefined outside of one */
  traceparent(): string | undefined;
}

const NO_SPAN: RunningSpan = { set: () => undefined };

/** No spans. */
export const NO_TRACING: Tracing = {
  span: (_request, work) => work(NO_SPAN),
  record: () => undefined,
  traceparent: () => undefined,
};
