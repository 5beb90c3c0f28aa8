import { context, trace, type HrTime } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace-base';

/** The SDK of OpenTelemetry as an application registers it, with its spans in memory. One for a test file. */
export class RecordedSpans {
  private readonly exporter = new InMemorySpanExporter();
  readonly provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(this.exporter)] });

  static register(): RecordedSpans {
    const spans = new RecordedSpans();
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    trace.setGlobalTracerProvider(spans.provider);
    return spans;
  }

  /** In the order of their ends. */
  get all(): readonly ReadableSpan[] {
    return this.exporter.getFinishedSpans();
  }

  named(name: string): readonly ReadableSpan[] {
    return this.all.filter((span) => span.name === name);
  }

  /** `parent > child` for each span, by name; a parent outside is `?`, none is left out. */
  get tree(): string[] {
    const names = new Map(this.all.map((span) => [span.spanContext().spanId, span.name]));
    return this.all
      .map(({ name, parentSpanContext }) =>
        parentSpanContext ? `${names.get(parentSpanContext.spanId) ?? '?'} > ${name}` : name,
      )
      .sort();
  }

  get traceIds(): string[] {
    return [...new Set(this.all.map((span) => span.spanContext().traceId))];
  }

  reset(): void {
    this.exporter.reset();
  }

  unregister(): void {
    context.disable();
    trace.disable();
  }
}

export const milliseconds = ([seconds, nanoseconds]: HrTime): number => seconds * 1_000 + nanoseconds / 1e6;
