import type { LoggerService } from '@nestjs/common';
import { errorMessage, type Logger } from '@concordat/foundation';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFormat = 'text' | 'json';

export interface LoggingOptions {
  /** the least severe level that is written */
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** written into every line, such as the node's id */
  readonly node: number;
  /** where lines go; default is standard error */
  readonly write?: (line: string) => void;
}

/** Token of the process's `Logger`. */
export const LOGGER = Symbol('LOGGER');

/**
 * Writes one line per event to standard error: for people (`text`) or for machines (`json`). Serves our
 * libraries (`Logger`) and Nest (`LoggerService`) alike.
 */
export class ProcessLogger implements Logger, LoggerService {
  private readonly threshold: number;
  private readonly writeLine: (line: string) => void;

  constructor(
    private readonly options: LoggingOptions,
    private readonly scope = 'coordinator',
  ) {
    this.threshold = LOG_LEVELS.indexOf(options.level);
    this.writeLine = options.write ?? ((line) => void process.stderr.write(line));
  }

  /** The same logger under another name. */
  child(scope: string): ProcessLogger {
    return new ProcessLogger(this.options, scope);
  }

  debug(message: unknown): void {
    this.line('debug', message);
  }

  info(message: unknown): void {
    this.line('info', message);
  }

  /** Nest's word for `info`; what the framework says when it starts is of use to its developers only. */
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
    const { node, format } = this.options;
    if (format === 'json') {
      this.writeLine(`${JSON.stringify({ time, level, node, scope: this.scope, message: text, error: stack })}\n`);
    } else {
      this.writeLine(`${time} ${level.padEnd(5)} [${node}] ${this.scope}: ${text}${stack ? `\n${stack}` : ''}\n`);
    }
  }
}
