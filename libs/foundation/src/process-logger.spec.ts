import { describe, expect, it } from '@jest/globals';
import { ProcessLogger, type LogFormat, type LogLevel } from './process-logger.js';

function linesOf(level: LogLevel, format: LogFormat, log: (logger: ProcessLogger) => void): string[] {
  const lines: string[] = [];
  log(new ProcessLogger({ level, format, scope: 'coordinator', node: 2, write: (line) => void lines.push(line) }));
  return lines;
}

describe('the log', () => {
  it('writes lines for people, with the stack of an error', () => {
    const [line, failure] = linesOf('info', 'text', (logger) => {
      logger.info('leading in term 3');
      logger.error('apply failed', new TypeError('no such field'));
    });
    expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z info {2}\[2\] coordinator: leading in term 3\n$/);
    expect(failure).toMatch(/error \[2\] coordinator: apply failed\nTypeError: no such field\n\s+at /);
  });

  it('writes one JSON object per line for machines', () => {
    const [line] = linesOf('debug', 'json', (logger) => logger.child('nest').log('started\nwell'));
    expect(line?.indexOf('\n')).toBe((line?.length ?? 0) - 1);
    expect(JSON.parse(line ?? '')).toMatchObject({ level: 'debug', node: 2, scope: 'nest', message: 'started\nwell' });
  });

  it('names no node where there is none', () => {
    const lines: string[] = [];
    new ProcessLogger({ level: 'info', scope: 'bank-a', write: (line) => void lines.push(line) }).info('ready');
    expect(lines.join('')).toMatch(/Z info {2}bank-a: ready\n$/);
  });

  it('shows the members of an object, which Nest passes on for the error of a reply', () => {
    const [line] = linesOf('info', 'text', (logger) => logger.error({ statusCode: 402, message: 'no credit' }));
    expect(line).toMatch(/error \[2\] coordinator: \{"statusCode":402,"message":"no credit"\}\n$/);
  });

  it('leaves out what is less severe than its level', () => {
    const lines = linesOf('warn', 'text', (logger) => {
      logger.debug('a');
      logger.info('b');
      logger.log('c');
      logger.warn('d');
      logger.fatal(new Error('e'));
    });
    expect(lines).toHaveLength(2);
  });
});
