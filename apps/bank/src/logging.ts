import type { LoggerService } from '@nestjs/common';
import { errorMessage, type Logger } from '@concordat/foundation';
import { LOG_LEVELS, type LogLevel } from './config.js';

/** Writes one line per event to standard error; serves our libraries (`Logger`) and Nest (`LoggerService`) alike. */
export class ProcessLogger implements Logger, LoggerService {
  private readonly threshold: number;

  constructor(
    private readonly name: string,
    level: LogLevel,
  ) {
    this.threshold = LOG_LEVELS.indexOf(level);
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
    const cause = error instanceof Error ? `\n${error.stack ?? error.message}` : '';
    process.stderr.write(`${new Date().toISOString()} ${level} ${this.name}: ${errorMessage(message)}${cause}\n`);
  }
}
