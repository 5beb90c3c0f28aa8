import { describe, expect, it } from '@jest/globals';
import { changedParts, deadParts } from './restart.js';
import { reasonsIn } from './services.js';
import type { ProcessRecord } from './system-file.js';

const record = (name: ProcessRecord['name'], pid: number): ProcessRecord => ({
  name,
  role: 'coordinator',
  pid,
  ports: {},
  logFile: `${name}.log`,
  marker: name,
});
const processes = [record('coordinator-1', 1), record('coordinator-2', 2), record('coordinator-3', 3)];
const runs = ({ pid }: ProcessRecord): boolean => pid === 3;

describe('parts to be started again', () => {
  it('are those that are named, each once', () => {
    const found = deadParts({ processes }, ['coordinator-2', 'coordinator-1', 'coordinator-2'], runs);
    expect(found.map(({ name }) => name)).toEqual(['coordinator-2', 'coordinator-1']);
  });

  it.each([
    [['coordinator-1', 'coordinator-9'], 'no part "coordinator-9" in the running system; there are coordinator-1,'],
    [['coordinator-1', 'coordinator-3'], 'coordinator-3 is running (process 3); only a part that has died'],
  ])('%j: nothing is started unless all can be', (names, sentence) => {
    expect(() => deadParts({ processes }, names, runs)).toThrow(sentence);
  });
});

describe('parts that a scenario has changed', () => {
  it('are those that run with variables of a scenario; a dead one loses them when it is started again', () => {
    const environment = { CONCORDAT_DIRECT_ADVERTISED: '127.0.0.1:1' };
    const changed = processes.map((process) => (process.pid > 1 ? { ...process, environment } : process));
    expect(changedParts({ processes: changed }, runs).map(({ name }) => name)).toEqual(['coordinator-3']);
  });
});

describe('what keeps a part from being ready', () => {
  it.each([
    ['{"status":"not-ready","reasons":["no leader is known"]}', ['no leader is known']],
    ['{"ready":false,"busConnected":true,"databaseReachable":false}', ['databaseReachable is false']],
    ['{"ready":true,"busConnected":true}', []],
    ['Bad Gateway', []],
  ])('%s', (text, reasons) => expect(reasonsIn(text)).toEqual(reasons));
});
