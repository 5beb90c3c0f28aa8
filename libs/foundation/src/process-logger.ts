import type { Logger } from './logger.js';
import { errorMessage } from './coded-error.js';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFormat = 'text' | 'json';

export interface LoggingOptions {
  /** the lowest level that is written */
  readonly level: LogLevel;
  /** default `text` */
  readonly format?: LogFormat;
  /** the part of the process, unless a `child` logs */
  readonly scope: string;
  /** the node's id, part of every line; undefined where there is none */
  readonly node?: number;
  /** receives the lines; default standard error */
  readonly write?: (line: string) => void;
}

/**
 * Writes one line per event to standard error: for people (`text`) or for machines (`json`). Also has the methods of
 * Nest's `LoggerService`.
 */
export class ProcessLogger implements Logger {
  private readonly threshold: number;
  private readonly writeLine: (line: string) => void;

  constructor(private readonly options: LoggingOptions) {
    this.threshold = LOG_LEVELS.indexOf(options.level);
    this.writeLine = options.write ?? ((line) => void process.stderr.write(line));
  }

  /** The same logger with another scope. */
  child(scope: string): ProcessLogger {
    return new ProcessLogger({ ...this.options, scope });
  }

  debug(message: unknown): void {
    this.line('debug', message);
  }

  info(message: unknown): void {
    this.line('info', message);
  }

  /** Nest's word for `info`; written as debug, because the framework's start messages only help its developers. */
  log(message: unknown): void {
    this.line('debug', message);
  }

  verbose(message: unknown): void {
    this.line('debug', message);
  }

  warn(message: unknown): void {
    this.line('warn', message);
  }

  error(message: unknown, error?: unknown): void {
    this.line('error', message, error);
  }

  fatal(message: unknown): void {
    this.line('error', message);
  }

  private line(level: LogLevel, message: unknown, error?: unknown): void {
    if (LOG_LEVELS.indexOf(level) < this.threshold) return;
    const time = new Date().toISOString();
    const text = typeof message === 'string' ? message : errorMessage(message);
    const cause = error ?? (message instanceof Error ? message : undefined);
    const stack =
      cause instanceof Error ? (cause.stack ?? cause.message) : cause === undefined ? undefined : errorMessage(cause);
    const { node, format, scope } = this.options;
    if (format === 'json') {
      this.writeLine(`${JSON.stringify({ time, level, node, scope, message: text, error: stack })}\n`);
    } else {
      const label = node === undefined ? scope : `[${node}] ${scope}`;
      this.writeLine(`${time} ${level.padEnd(5)} ${label}: ${text}${stack ? `\n${stack}` : ''}\n`);
    }
  }
}
