export { openTelemetry, type OpenTelemetryOptions } from '@concordat/foundation/opentelemetry';
