import {
  SpanKind,
  SpanStatusCode,
  context,
  trace,
  type Attributes,
  type Context,
  type Span,
  type SpanContext,
  type Tracer,
  type TracerProvider,
} from '@opentelemetry/api';
import { isTraceparent, type RunningSpan, type SpanAttributes, type SpanRequest, type Tracing } from '../tracing.js';
import { VERSION } from '../version.js';

export interface OpenTelemetryOptions {
  /** default: the one that the application has registered, such as that of `NodeSDK` */
  readonly tracerProvider?: TracerProvider;
}

const KINDS: Readonly<Record<NonNullable<SpanRequest['kind']>, SpanKind>> = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  consumer: SpanKind.CONSUMER,
};

/**
 * Spans by the API of OpenTelemetry. The application brings the SDK, its exporter and its context manager; without an
 * SDK the API does nothing. Only `traceparent` travels between processes, not `tracestate` and baggage.
 */
export function openTelemetry({ tracerProvider }: OpenTelemetryOptions = {}): Tracing {
  // asked anew: the application may register its SDK after this
  const tracer = (): Tracer => (tracerProvider ?? trace).getTracer('concordat', VERSION);
  return {
    span: (request, work) => {
      const around = contextOf(request);
      const span = tracer().startSpan(request.name, optionsOf(request), around);
      return context.with(trace.setSpan(around, span), () => runIn(span, work));
    },
    record: (past) => {
      const { startedAt, endedAt, error } = past;
      const span = tracer().startSpan(past.name, { ...optionsOf(past), startTime: startedAt }, contextOf(past));
      if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error });
      span.end(endedAt);
    },
    traceparent: () => {
      const current = trace.getSpanContext(context.active());
      return current && traceparentFrom(current);
    },
  };
}

async function runIn<T>(span: Span, work: (running: RunningSpan) => Promise<T>): Promise<T> {
  try {
    return await work({ set: (attributes) => void span.setAttributes(given(attributes)) });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    span.recordException(error instanceof Error ? error : message);
    span.setStatus({ code: SpanStatusCode.ERROR, message });
    throw error;
  } finally {
    span.end();
  }
}

function optionsOf({ kind = 'internal', attributes }: SpanRequest): { kind: SpanKind; attributes: Attributes } {
  return { kind: KINDS[kind], attributes: given(attributes) };
}

function given(attributes: SpanAttributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
}

/** The running span if it belongs to the caller's trace, otherwise the caller's. */
function contextOf({ parent }: SpanRequest): Context {
  const active = context.active();
  if (!isTraceparent(parent)) return active;
  const carried = spanContextOf(parent);
  return trace.getSpanContext(active)?.traceId === carried.traceId ? active : trace.setSpanContext(active, carried);
}

function spanContextOf(traceparent: string): SpanContext {
  const [, traceId, spanId, flags] = traceparent.split('-');
  return { traceId: traceId!, spanId: spanId!, traceFlags: Number.parseInt(flags!, 16), isRemote: true };
}

/** undefined for a span that belongs to no trace: no SDK is registered */
function traceparentFrom({ traceId, spanId, traceFlags }: SpanContext): string | undefined {
  const text = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
  return isTraceparent(text) ? text : undefined;
}
