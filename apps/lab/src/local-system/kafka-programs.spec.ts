import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { repositoryRoot } from './repository.js';
import { isKafkaPossible } from './kafka-programs.js';
import { linkOfThisMachine } from './supervisor.js';

const NAMES = ['PATH', 'KAFKA_BROKERS', 'KAFKA_HOME'] as const;
/** What `java -version` writes. */
const JAVA = {
  8: 'openjdk version "1.8.0_392"',
  11: 'openjdk version "11.0.22" 2024-01-16',
  17: 'openjdk version "17.0.15" 2025-04-15',
  25: 'java version "25" 2025-09-16 LTS',
} as const;

describe('a machine', () => {
  const environment = Object.fromEntries(NAMES.map((name) => [name, process.env[name]]));
  let folder: string;
  let root: string;

  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'concordat-programs-'));
    root = path.join(folder, 'root'); // without jars
    mkdirSync(path.join(root, 'apps/lab/assets/kafka'), { recursive: true });
    writeFileSync(path.join(root, 'apps/lab/assets/kafka/pom.xml'), '');
    for (const name of NAMES) delete process.env[name];
    process.env['PATH'] = folder;
  });

  afterEach(() => {
    for (const name of NAMES) {
      if (environment[name] === undefined) delete process.env[name];
      else process.env[name] = environment[name];
    }
    rmSync(folder, { recursive: true });
  });

  function install(program: string, words = ''): void {
    const file = path.join(folder, program);
    writeFileSync(file, `#!/bin/sh\necho '${words}' >&2\n`);
    chmodSync(file, 0o755);
  }

  it.each([
    ['nothing', [], {}, false],
    ['Maven only', ['mvn'], {}, false],
    ['Java 17 without Maven', [17], {}, false],
    ['Java 17 and Maven', [17, 'mvn'], {}, true],
    ['a later Java and Maven', [25, 'mvn'], {}, true],
    ['Java 8 and Maven', [8, 'mvn'], {}, false],
    ['Java 11 and Maven', [11, 'mvn'], {}, false],
    ['Java 17 and a Kafka of its own', [17], { KAFKA_HOME: '/opt/kafka' }, true],
    ['a Kafka without Java', [], { KAFKA_HOME: '/opt/kafka' }, false],
    ['a broker elsewhere', [], { KAFKA_BROKERS: 'broker:9092' }, true],
  ] as const)('with %s: a broker is possible or not', (_title, programs, variables, isPossible) => {
    for (const program of programs) {
      if (typeof program === 'number') install('java', JAVA[program]);
      else install(program);
    }
    Object.assign(process.env, variables);
    expect(isKafkaPossible(root)).toBe(isPossible);
  });

  it('without any of it runs on direct streams, and is told so in one line', () => {
    const said: string[] = [];
    const link = linkOfThisMachine((text) => said.push(text));
    expect([link, said]).toEqual([
      'direct',
      ['no Java 17 with Maven here: running without Kafka, on direct streams (npm start -- --help says more)'],
    ]);
    expect(repositoryRoot()).not.toBe(root);
  });
});
